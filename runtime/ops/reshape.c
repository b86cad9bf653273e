/* reshape.c - the same elements in another shape
 *
 *   x:reshape(2, 3)      x:reshape(6, -1)        at most one -1, which takes what is left
 *
 * Row-major order. A view when x is contiguous; otherwise of a packed copy of x. */
#include <math.h>
#include <string.h>
#include "autograd/op.h"

enum { SHAPE };

static const cr_input inputs[] = { { "x", "...", CR_TANY, 0 }, { 0 } };
static const cr_output outputs[] = { { "out", NULL, CR_TSAME }, { 0 } };

static const cr_option options[] = {
  [SHAPE] = { "shape", NAN, -1, 9e15, "sizes; one of them may be -1", CR_COUNTS },
  { 0 }
};

static bool view(cr_call *c, cr_error *err) {
  cr_tensor *out = c->out[0];
  const cr_list *list = &c->list[SHAPE];
  int64_t size = cr_tensor_numel(out), known = 1, numel;
  int free_dim = -1;
  char was[CR_SHAPE_TEXT], wanted[CR_SHAPE_TEXT];
  cr_shape_text(out->ndim, out->shape, was);
  cr_shape_text(list->n, list->at, wanted);

  for (int d = 0; d < list->n; d++) {
    out->shape[d] = list->at[d];
    if (list->at[d] >= 0)
      known = known && list->at[d] > INT64_MAX / known ? INT64_MAX : known * list->at[d];
    else if (free_dim < 0)
      free_dim = d;
    else
      return cr_fail(err, CR_ESHAPE, "shape %s has more than one -1", wanted);
  }
  if (free_dim >= 0) out->shape[free_dim] = known > 0 && size % known == 0 ? size / known : 0;
  out->ndim = list->n;
  if (!cr_shape_numel(out->ndim, out->shape, &numel) || numel != size ||
      (free_dim >= 0 && known == 0))
    return cr_fail(err, CR_ESHAPE, "shape %s does not hold the %lld elements of %s", wanted,
                   (long long)size, was);
  cr_shape_strides(out->ndim, out->shape, out->stride);
  return true;
}

static void backward(cr_call *c) {
  memcpy(cr_reals(c->gin[0]), cr_reals(c->gout[0]),
         (size_t)cr_tensor_numel(c->gin[0]) * sizeof(real));
}

const cr_op cr_op_reshape = {
  .name = "reshape", .help = "the same elements in another shape",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_NOTHING,
  .view = view, .backward = backward,
};
