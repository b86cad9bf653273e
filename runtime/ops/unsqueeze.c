/* unsqueeze.c - with a new dimension of size 1
 *
 *   [B D]:unsqueeze(1) -> [1 B D]        [B D]:unsqueeze(-1) -> [B D 1] */
#include <math.h>
#include <string.h>
#include "autograd/op.h"

enum { DIM };

static const cr_input inputs[] = { { "x", "...", CR_TANY, CR_STRIDED }, { 0 } };
static const cr_output outputs[] = { { "out", NULL, CR_TSAME }, { 0 } };

static const cr_option options[] = {
  [DIM] = { "dim", NAN, -CR_MAX_DIMS, CR_MAX_DIMS, "where the new dimension stands in the result",
            CR_DIM, NULL, true },
  { 0 }
};

static bool view(cr_call *c, cr_error *err) {
  cr_tensor *out = c->out[0];
  int dim;
  if (out->ndim == CR_MAX_DIMS)
    return cr_fail(err, CR_ESHAPE, "a tensor has at most %d dimensions", CR_MAX_DIMS);
  if (!cr_option_dim(c, DIM, out->ndim + 1, &dim, err)) return false;
  for (int d = out->ndim++; d > dim; d--) {
    out->shape[d] = out->shape[d-1];
    out->stride[d] = out->stride[d-1];
  }
  out->shape[dim] = 1;
  out->stride[dim] = dim + 1 < out->ndim ? out->stride[dim+1] * out->shape[dim+1] : 1;
  return true;
}

static void backward(cr_call *c) {
  memcpy(cr_reals(c->gin[0]), cr_reals(c->gout[0]),
         (size_t)cr_tensor_numel(c->gin[0]) * sizeof(real));
}

const cr_op cr_op_unsqueeze = {
  .name = "unsqueeze", .help = "with a new dimension of size 1",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_NOTHING,
  .view = view, .backward = backward,
};
