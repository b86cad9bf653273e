/* var.c - variance over dimensions
 *
 *   y = sum_i (x_i - m)^2 / (n - correction)        m = 1/n sum_i x_i
 *   dL/dx_i = 2 g (x_i - m) / (n - correction)
 *
 * correction 1 (the default) estimates the variance of what x was drawn from; 0 is the variance of x itself, as
 * batch and layer norm use it. Where n - correction is not positive there is no answer: nan. Two passes, in
 * double. */
#include "autograd/op.h"
#include "kernels/reduce.h"

enum { DIM, KEEPDIM, CORRECTION };

static const cr_input inputs[] = { { "x", "...", CR_TREAL, 0 }, { 0 } };
static const cr_output outputs[] = { { "y", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [DIM] = { "dim", NAN, 0, 0, "dimensions to reduce; all by default", CR_DIMS },
  [KEEPDIM] = { "keepdim", 0, 0, 1, "leave reduced dimensions in place with size 1", CR_FLAG },
  [CORRECTION] = { "correction", 1, 0, INFINITY, "taken from n in the divisor" },
  { 0 }
};

static void value(const cr_row *r) {
  *r->y = (real)cr_kernel_row_variance(r->x, r->n, r->option[CORRECTION]);
}

static void gradient(const cr_row *r) {
  double m = cr_kernel_row_sum(r->x, r->n) / (double)r->n;
  double scale = 2 * (double)*r->g / fmax((double)r->n - r->option[CORRECTION], 0);
  for (int64_t i = 0; i < r->n; i++) r->gx[i] = (real)(scale * ((double)r->x[i] - m));
}

static bool check(cr_call *c, cr_error *err) {
  cr_reduction r;
  if (!cr_reduce_check(c, CR_OVER_DIMS, 1, &r, err)) return false;
  cr_rows_scratch(c, &r, 1, 2);
  return true;
}

static void forward(cr_call *c) { cr_rows_forward(c, CR_OVER_DIMS, false, value); }
static void backward(cr_call *c) { cr_rows_backward(c, CR_OVER_DIMS, false, gradient); }

const cr_op cr_op_var = {
  .name = "var", .help = "variance over dimensions",
  .formula = "y = sum_i (x_i - mean)^2 / (n - correction)",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_IN0,
  .check = check, .forward = forward, .backward = backward,
};
