/* select.c - one place of one dimension, which disappears; a view
 *
 *   [B D]:select(2, 3)  ->  [B], column 3        x:select(1, -1)  the last row */
#include <math.h>
#include "autograd/op.h"

enum { DIM, INDEX };

static const cr_input inputs[] = { { "x", "...", CR_TANY, CR_STRIDED }, { 0 } };
static const cr_output outputs[] = { { "out", NULL, CR_TSAME }, { 0 } };

static const cr_option options[] = {
  [DIM]   = { "dim", NAN, -CR_MAX_DIMS, CR_MAX_DIMS, "dimension to take away", CR_DIM, NULL, true },
  [INDEX] = { "index", NAN, -INFINITY, INFINITY, "the place; negative counts from the end",
              CR_INDEX, NULL, true },
  { 0 }
};

static bool place(cr_call *c, cr_tensor *out, cr_error *err) {
  int dim;
  if (!cr_option_dim(c, DIM, out->ndim, &dim, err)) return false;
  int64_t size = out->shape[dim], index = (int64_t)c->option[INDEX];
  if (index < -size || index >= size)
    return cr_fail(err, CR_EVALUE, "index %lld is out of range 1..%lld",
                   (long long)(index < 0 ? index : index + 1), (long long)size);
  out->offset += (index < 0 ? index + size : index) * out->stride[dim];
  out->ndim--;
  for (int d = dim; d < out->ndim; d++) {
    out->shape[d] = out->shape[d+1];
    out->stride[d] = out->stride[d+1];
  }
  return true;
}

static bool view(cr_call *c, cr_error *err) { return place(c, c->out[0], err); }

static void backward(cr_call *c) {
  cr_tensor part = *c->gin[0];
  cr_tensor_fill(&part, 0);
  place(c, &part, NULL);
  cr_tensor_copy(&part, c->gout[0]);
}

const cr_op cr_op_select = {
  .name = "select", .help = "one place of one dimension",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_NOTHING,
  .view = view, .backward = backward,
};
