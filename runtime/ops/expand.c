/* expand.c - dimensions of size 1 repeated without a copy
 *
 *   [1 D]:expand(B, D)  ->  [B D]        [D]:expand(B, -1)  new dimensions stand in front; -1 keeps a size
 *
 * A view with stride 0: writing into it writes all copies at once. The gradient is summed over the copies. */
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

/* The copy that expand stands for. */
static int64_t source(const void *context, int d, int64_t i, int64_t n_in) {
  (void)context, (void)d;
  return n_in == 1 ? 0 : i;
}

/* The shape of x with ones in front, as long as the result. */
static const int64_t *padded(const cr_tensor *x, int ndim, int64_t shape[CR_MAX_DIMS]) {
  for (int d = 0; d < ndim; d++) shape[d] = d < ndim - x->ndim ? 1 : x->shape[d - ndim + x->ndim];
  return shape;
}

static bool view(cr_call *c, cr_error *err) {
  cr_tensor *out = c->out[0];
  const cr_list *list = &c->list[SHAPE];
  cr_tensor was = *out;
  char from[CR_SHAPE_TEXT], to[CR_SHAPE_TEXT];
  bool fits = list->n >= was.ndim;
  int64_t numel, ones[CR_MAX_DIMS];
  for (int d = 0; fits && d < list->n; d++) {
    int old = d - list->n + was.ndim;
    int64_t size = list->at[d], was_size = old < 0 ? 1 : was.shape[old];
    fits = size < 0 ? old >= 0 : size == was_size || was_size == 1;
    if (size < 0) size = was_size;
    out->shape[d] = size;
    out->stride[d] = old < 0 || (was_size == 1 && size != 1) ? 0 : was.stride[old];
  }
  if (!fits)
    return cr_fail(err, CR_ESHAPE, "shape %s cannot be expanded to %s", cr_shape_text(was.ndim, was.shape, from),
                   cr_shape_text(list->n, list->at, to));
  out->ndim = list->n;
  if (!cr_shape_numel(out->ndim, out->shape, &numel))
    return cr_fail(err, CR_ESHAPE, "shape %s has too many elements", cr_shape_text(list->n, list->at, to));
  c->backward_scratch_bytes = cr_index_rule_bytes(out->ndim, padded(&was, out->ndim, ones), out->shape, true);
  return true;
}

static void backward(cr_call *c) {
  const cr_tensor *g = c->gout[0];
  int64_t ones[CR_MAX_DIMS];
  cr_index_rule_sum(g->ndim, padded(c->gin[0], g->ndim, ones), g->shape, source, NULL, c->scratch, cr_reals(g),
                    cr_reals(c->gin[0]));
}

const cr_op cr_op_expand = {
  .name = "expand", .help = "dimensions of size 1 repeated without a copy",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_NOTHING,
  .view = view, .backward = backward,
};
