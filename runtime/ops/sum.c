/* sum.c - sum over dimensions
 *
 *   y = sum_i x_i        dL/dx_i = g
 *
 * Over all dimensions or the listed ones. Added up in double and in an order that depends on sizes alone, so the bits do not
 * depend on the number of threads. An empty sum is 0. */
#include "autograd/op.h"
#include "kernels/reduce.h"

enum { DIM, KEEPDIM };

static const cr_input inputs[] = { { "x", "...", CR_TREAL, 0 }, { 0 } };
static const cr_output outputs[] = { { "y", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [DIM] = { "dim", NAN, 0, 0, "dimensions to sum over; all by default", CR_DIMS },
  [KEEPDIM] = { "keepdim", 0, 0, 1, "leave them in place with size 1", CR_FLAG },
  { 0 }
};

static bool check(cr_call *c, cr_error *err) {
  cr_reduction r;
  if (!cr_reduce_check(c, CR_OVER_DIMS, 1, &r, err)) return false;
  c->scratch_bytes = cr_kernel_sum_bytes(&r);
  return true;
}

static void forward(cr_call *c) { cr_reduce_sum(c, false); }
static void backward(cr_call *c) { cr_reduce_spread(c, false); }

const cr_op cr_op_sum = {
  .name = "sum", .help = "sum over dimensions",
  .formula = "y = sum_i x_i",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = backward,
};
