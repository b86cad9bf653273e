/* flatten.c - several neighbouring dimensions as one
 *
 *   [B C H W]:flatten(2)  ->  [B, C*H*W]         start = 1, stop = -1 by default
 *
 * A view when x is contiguous; otherwise of a packed copy of x. A tensor of no dimensions becomes
 * [1]. */
#include <math.h>
#include <string.h>
#include "autograd/op.h"

enum { START, STOP };

static const cr_input inputs[] = { { "x", "...", CR_TANY, 0 }, { 0 } };
static const cr_output outputs[] = { { "out", NULL, CR_TSAME }, { 0 } };

static const cr_option options[] = {
  [START] = { "start", 0, -CR_MAX_DIMS, CR_MAX_DIMS, "first dimension of the group", CR_DIM },
  [STOP]  = { "stop", -1, -CR_MAX_DIMS, CR_MAX_DIMS, "last dimension of the group", CR_DIM },
  { 0 }
};

static bool view(cr_call *c, cr_error *err) {
  cr_tensor *out = c->out[0];
  int start, stop;
  if (out->ndim == 0) {
    out->ndim = 1;
    out->shape[0] = out->stride[0] = 1;
    return true;
  }
  if (!cr_option_dim(c, START, out->ndim, &start, err) ||
      !cr_option_dim(c, STOP, out->ndim, &stop, err))
    return false;
  if (start > stop)
    return cr_fail(err, CR_EVALUE, "start = %d must not come after stop = %d", start + 1, stop + 1);
  for (int d = start + 1; d <= stop; d++) out->shape[start] *= out->shape[d];
  for (int d = stop + 1; d < out->ndim; d++) out->shape[d - stop + start] = out->shape[d];
  out->ndim -= stop - start;
  cr_shape_strides(out->ndim, out->shape, out->stride);
  return true;
}

static void backward(cr_call *c) {
  memcpy(cr_reals(c->gin[0]), cr_reals(c->gout[0]),
         (size_t)cr_tensor_numel(c->gin[0]) * sizeof(real));
}

const cr_op cr_op_flatten = {
  .name = "flatten", .help = "several neighbouring dimensions as one",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_NOTHING,
  .view = view, .backward = backward,
};
