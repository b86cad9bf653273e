/* inverse.c - the inverse of a square matrix, or of each of a stack
 *
 *   y = x^-1                        x [... N N] -> y [... N N]
 *   dL/dx = -y^T (dL/dy) y^T
 *
 * By LU with partial pivoting, LAPACK on one thread. An exactly singular matrix, or one that is not
 * finite, gives NaN. */
#include <math.h>
#include <string.h>

#include "autograd/op.h"
#include "kernels/gemm.h"
#include "kernels/lapack.h"

static const cr_input inputs[] = { { "x", "... N N", CR_TREAL, 0 }, { 0 } };
static const cr_output outputs[] = { { "y", "=0", CR_TREAL }, { 0 } };

static bool check(cr_call *c, cr_error *err) {
  const cr_tensor *x = c->in[0];
  if (x->shape[x->ndim - 2] != x->shape[x->ndim - 1])
    return cr_fail(err, CR_ESHAPE, "x must have as many rows as columns, got %lld and %lld",
                   (long long)x->shape[x->ndim - 2], (long long)x->shape[x->ndim - 1]);
  int64_t n = c->dim['N'];
  if (n > CR_LAPACK_MOST)
    return cr_fail(err, CR_ESHAPE, "x may have at most %d rows, got %lld", CR_LAPACK_MOST,
                   (long long)n);
  c->scratch_bytes = cr_invert_bytes(n);
  c->backward_scratch_bytes = (size_t)(n*n) * sizeof(real);
  return true;
}

static int64_t matrices(const cr_tensor *t) {
  int64_t count = 1;
  for (int d = 0; d < t->ndim - 2; d++) count *= t->shape[d];
  return count;
}

static void forward(cr_call *c) {
  int64_t n = c->dim['N'], count = matrices(c->out[0]);
  const real *x = cr_reals(c->in[0]);
  for (int64_t b = 0; b < count; b++) {
    real *y = cr_reals(c->out[0]) + b*n*n;
    memcpy(y, x + b*n*n, (size_t)(n*n) * sizeof(real));
    if (!cr_invert(n, y, c->scratch))
      for (int64_t i = 0; i < n*n; i++) y[i] = (real)NAN;
  }
}

static void backward(cr_call *c) {
  int64_t n = c->dim['N'], count = matrices(c->gin[0]);
  real *product = c->scratch;
  for (int64_t b = 0; b < count; b++) {
    const real *y = cr_reals(c->out[0]) + b*n*n, *gy = cr_reals(c->gout[0]) + b*n*n;
    cr_gemm(true, false, n, n, n, y, n, gy, n, false, product, n);
    for (int64_t i = 0; i < n*n; i++) product[i] = -product[i];
    cr_gemm(false, true, n, n, n, product, n, y, n, false, cr_reals(c->gin[0]) + b*n*n, n);
  }
}

const cr_op cr_op_inverse = {
  .name = "inverse", .help = "the inverse of a square matrix, or of each of a stack [... N N]",
  .formula = "y = x^-1", .inputs = inputs, .outputs = outputs, .backward_reads = CR_READS_OUT0,
  .check = check, .forward = forward, .backward = backward,
};
