/* narrow.c - `length` places of one dimension, from `start` on; a view
 *
 *   x:narrow(1, 3, 2)            rows 3 and 4 */
#include <math.h>
#include "autograd/op.h"

enum { DIM, START, LENGTH };

static const cr_input inputs[] = { { "x", "...", CR_TANY, CR_STRIDED }, { 0 } };
static const cr_output outputs[] = { { "out", NULL, CR_TSAME }, { 0 } };

static const cr_option options[] = {
  [DIM]    = { "dim", NAN, -CR_MAX_DIMS, CR_MAX_DIMS, "dimension to cut", CR_DIM, NULL, true },
  [START]  = { "start", NAN, -INFINITY, INFINITY,
               "first place kept; negative counts from the end", CR_INDEX, NULL, true },
  [LENGTH] = { "length", NAN, 0, 9e15, "how many places", CR_COUNT, NULL, true },
  { 0 }
};

static bool place(cr_call *c, cr_tensor *out, cr_error *err) {
  int dim;
  if (!cr_option_dim(c, DIM, out->ndim, &dim, err)) return false;
  int64_t size = out->shape[dim], start = (int64_t)c->option[START],
          length = (int64_t)c->option[LENGTH];
  if (start < 0) start += size;
  if (start < 0 || start > size || length > size - start)
    return cr_fail(err, CR_EVALUE, "%lld places from %lld on do not lie in 1..%lld",
                   (long long)length, (long long)(start + 1), (long long)size);
  out->offset += start * out->stride[dim];
  out->shape[dim] = length;
  return true;
}

static bool view(cr_call *c, cr_error *err) { return place(c, c->out[0], err); }

static void backward(cr_call *c) {
  cr_tensor part = *c->gin[0];
  cr_tensor_fill(&part, 0);
  place(c, &part, NULL);
  cr_tensor_copy(&part, c->gout[0]);
}

const cr_op cr_op_narrow = {
  .name = "narrow", .help = "some neighbouring places of one dimension",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_NOTHING,
  .view = view, .backward = backward,
};
