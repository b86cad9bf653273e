/* expand.c - dimensions of size 1 repeated without a copy
 *
 *   [1 D]:expand(B, D)  ->  [B D]
 *   [D]:expand(B, -1)    ->  [B D]       new dimensions stand in front; -1 keeps a size
 *
 * A view with stride 0: writing into it writes all copies at once. The gradient is summed over the
 * copies. */
#include <math.h>
#include "autograd/op.h"
#include "kernels/index.h"

enum { SHAPE };

static const cr_input inputs[] = { { "x", "...", CR_TANY, CR_STRIDED }, { 0 } };
static const cr_output outputs[] = { { "out", NULL, CR_TSAME }, { 0 } };

static const cr_option options[] = {
  [SHAPE] = { "shape", NAN, -1, 9e15, "sizes of the result; -1 keeps the size", CR_COUNTS },
  { 0 }
};

static bool view(cr_call *c, cr_error *err) {
  cr_tensor *out = c->out[0];
  const cr_list *list = &c->list[SHAPE];
  cr_tensor was = *out;
  char from[CR_SHAPE_TEXT], to[CR_SHAPE_TEXT];
  bool fits = list->n >= was.ndim;
  int64_t numel;
  for (int d = 0; fits && d < list->n; d++) {
    int old = d - list->n + was.ndim;
    int64_t size = list->at[d], was_size = old < 0 ? 1 : was.shape[old];
    fits = size < 0 ? old >= 0 : size == was_size || was_size == 1;
    if (size < 0) size = was_size;
    out->shape[d] = size;
    out->stride[d] = old < 0 || (was_size == 1 && size != 1) ? 0 : was.stride[old];
  }
  if (!fits)
    return cr_fail(err, CR_ESHAPE, "shape %s cannot be expanded to %s",
                   cr_shape_text(was.ndim, was.shape, from), cr_shape_text(list->n, list->at, to));
  out->ndim = list->n;
  if (!cr_shape_numel(out->ndim, out->shape, &numel))
    return cr_fail(err, CR_ESHAPE, "shape %s has too many elements",
                   cr_shape_text(list->n, list->at, to));
  return true;
}

/* The copy that expand stands for, run backwards. */
static void backward(cr_call *c) {
  const cr_tensor *g = c->gout[0], *gx = c->gin[0];
  cr_axis axis[CR_MAX_DIMS];
  for (int d = 0; d < g->ndim; d++) {
    int old = d - g->ndim + gx->ndim;
    axis[d] = (cr_axis){ old < 0 ? 1 : gx->shape[old], g->shape[d], NULL };
  }
  cr_index_axes_sum(g->ndim, axis, cr_reals(g), NULL, cr_reals(gx));
}

const cr_op cr_op_expand = {
  .name = "expand", .help = "dimensions of size 1 repeated without a copy",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_NOTHING,
  .view = view, .backward = backward,
};
