/* mean.c - mean over dimensions
 *
 *   y = 1/n sum_i x_i        dL/dx_i = g / n
 *
 * Over all dimensions or the listed ones; computed like sum. The mean of nothing is nan. */
#include "autograd/op.h"
#include "kernels/reduce.h"

enum { DIM, KEEPDIM };

static const cr_input inputs[] = { { "x", "...", CR_TREAL, 0 }, { 0 } };
static const cr_output outputs[] = { { "y", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [DIM] = { "dim", NAN, 0, 0, "dimensions to average over; all by default", CR_DIMS },
  [KEEPDIM] = { "keepdim", 0, 0, 1, "leave them in place with size 1", CR_FLAG },
  { 0 }
};

static bool check(cr_call *c, cr_error *err) {
  cr_reduction r;
  if (!cr_reduce_check(c, CR_OVER_DIMS, 1, &r, err)) return false;
  c->scratch_bytes = cr_kernel_sum_bytes(&r);
  return true;
}

static void forward(cr_call *c) { cr_reduce_sum(c, true); }
static void backward(cr_call *c) { cr_reduce_spread(c, true); }

const cr_op cr_op_mean = {
  .name = "mean", .help = "mean over dimensions",
  .formula = "y = 1/n sum_i x_i",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = backward,
};
