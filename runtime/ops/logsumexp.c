/* logsumexp.c - logarithm of a sum of exponentials over dimensions
 *
 *   y = log sum_i e^(x_i)        dL/dx_i = g e^(x_i - y)
 *
 * Neither overflows nor underflows. -inf where all x_i are -inf (or there are none), with gradient 0. */
#include "autograd/op.h"
#include "kernels/reduce.h"
#include "kernels/row_softmax.h"
#include "kernels/vmath.h"

enum { DIM, KEEPDIM };

static const cr_input inputs[] = { { "x", "...", CR_TREAL, 0 }, { 0 } };
static const cr_output outputs[] = { { "y", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [DIM] = { "dim", NAN, 0, 0, "dimensions to reduce; all by default", CR_DIMS },
  [KEEPDIM] = { "keepdim", 0, 0, 1, "leave reduced dimensions in place with size 1", CR_FLAG },
  { 0 }
};

static void value(const cr_row *r) { *r->y = cr_kernel_row_logsumexp(r->x, r->n); }

CR_VECTOR static void gradient(const cr_row *r) {
  const real *restrict x = r->x;
  real *restrict gx = r->gx, g = *r->g, y = *r->y == -INFINITY ? 0 : *r->y;
  for (int64_t i = 0; i < r->n; i++) gx[i] = g * cr_exp(x[i] - y);
}

static bool check(cr_call *c, cr_error *err) {
  cr_reduction r;
  if (!cr_reduce_check(c, CR_OVER_DIMS, 1, &r, err)) return false;
  cr_rows_scratch(c, &r, 1, 2);
  return true;
}

static void forward(cr_call *c) { cr_rows_forward(c, CR_OVER_DIMS, false, value); }
static void backward(cr_call *c) { cr_rows_backward(c, CR_OVER_DIMS, false, gradient); }

const cr_op cr_op_logsumexp = {
  .name = "logsumexp", .help = "log sum exp over dimensions",
  .formula = "y = log sum_i e^(x_i)",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_IN0 | CR_READS_OUT0,
  .check = check, .forward = forward, .backward = backward,
};
