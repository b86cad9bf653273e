/* transpose.c - two dimensions change places; a view */
#include <math.h>
#include "autograd/op.h"

enum { DIM1, DIM2 };

static const cr_input inputs[] = { { "x", "...", CR_TANY, CR_STRIDED }, { 0 } };
static const cr_output outputs[] = { { "out", NULL, CR_TSAME }, { 0 } };

static const cr_option options[] = {
  [DIM1] = { "dim1", -2, -CR_MAX_DIMS, CR_MAX_DIMS, "one dimension", CR_DIM },
  [DIM2] = { "dim2", -1, -CR_MAX_DIMS, CR_MAX_DIMS, "the other", CR_DIM },
  { 0 }
};

static bool place(cr_call *c, cr_tensor *out, cr_error *err) {
  int a, b;
  if (!cr_option_dim(c, DIM1, out->ndim, &a, err) || !cr_option_dim(c, DIM2, out->ndim, &b, err))
    return false;
  int64_t size = out->shape[a], step = out->stride[a];
  out->shape[a] = out->shape[b], out->stride[a] = out->stride[b];
  out->shape[b] = size, out->stride[b] = step;
  return true;
}

static bool view(cr_call *c, cr_error *err) { return place(c, c->out[0], err); }

static void backward(cr_call *c) {
  cr_tensor part = *c->gin[0];
  place(c, &part, NULL);
  cr_tensor_copy(&part, c->gout[0]);
}

const cr_op cr_op_transpose = {
  .name = "transpose", .help = "two dimensions change places",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_NOTHING,
  .view = view, .backward = backward,
};
