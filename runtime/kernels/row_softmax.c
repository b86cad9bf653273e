/* row_softmax.c - see row_softmax.h */
#include "kernels/row_softmax.h"

#include <tgmath.h>
#include "kernels/reduce.h"
#include "kernels/vmath.h"

CR_VECTOR static void shifted_exp(const real *restrict x, int64_t n, real shift, real *restrict y) {
  for (int64_t i = 0; i < n; i++) y[i] = cr_exp(x[i] - shift);
}

CR_VECTOR static void shifted_exp_here(real *x, int64_t n, real shift) {
  for (int64_t i = 0; i < n; i++) x[i] = cr_exp(x[i] - shift);
}

double cr_kernel_row_exp(const real *x, int64_t n, real shift, real *y) {
  if (x == y) shifted_exp_here(y, n, shift);
  else        shifted_exp(x, n, shift, y);
  return cr_kernel_row_sum(y, n);
}

/* The exponentials themselves are not kept: a piece at a time. */
real cr_kernel_row_logsumexp(const real *x, int64_t n) {
  enum { PIECE = 256 };
  real piece[PIECE], most = cr_kernel_row_max(x, n);
  double sum = 0;
  if (isinf(most)) return most;
  for (int64_t i = 0; i < n; i += PIECE)
    sum += cr_kernel_row_exp(x + i, n - i < PIECE ? n - i : PIECE, most, piece);
  return most + (real)log(sum);
}

CR_VECTOR static void scale_row(real *x, int64_t n, real by) {
  for (int64_t i = 0; i < n; i++) x[i] *= by;
}

void cr_kernel_row_softmax(const real *x, int64_t n, real *y) {
  double sum = cr_kernel_row_exp(x, n, cr_kernel_row_max(x, n), y);
  scale_row(y, n, (real)(1 / sum));
}

/* <a, b> in double; eight sums side by side, so that the order is one on every processor */
CR_VECTOR static double dot(const real *restrict a, const real *restrict b, int64_t n) {
  double sum[8] = { 0 };
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (int j = 0; j < 8; j++) sum[j] += (double)a[i+j] * (double)b[i+j];
  for (; i < n; i++) sum[0] += (double)a[i] * (double)b[i];
  return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}

CR_VECTOR static void softmax_gradient(const real *restrict y, const real *restrict g, int64_t n,
                                       real mean, real *restrict gx) {
  for (int64_t i = 0; i < n; i++) gx[i] = y[i] * (g[i] - mean);
}

void cr_kernel_row_softmax_backward(const real *y, const real *g, int64_t n, real *gx) {
  softmax_gradient(y, g, n, (real)dot(g, y, n), gx);
}

CR_VECTOR static void subtract(const real *restrict x, int64_t n, real by, real *restrict y) {
  for (int64_t i = 0; i < n; i++) y[i] = x[i] - by;
}

void cr_kernel_row_log_softmax(const real *x, int64_t n, real *y) {
  real most = cr_kernel_row_max(x, n);
  if (isinf(most)) {
    subtract(x, n, most, y);                /* inf - inf: nan, as in softmax */
    return;
  }
  /* y holds the exponentials for a moment */
  real log_sum = (real)log(cr_kernel_row_exp(x, n, most, y));
  subtract(x, n, most, y);
  for (int64_t i = 0; i < n; i++) y[i] -= log_sum;
}

CR_VECTOR static void log_softmax_gradient(const real *restrict y, const real *restrict g, int64_t n,
                                           real sum, real *restrict gx) {
  for (int64_t i = 0; i < n; i++) gx[i] = g[i] - cr_exp(y[i]) * sum;
}

void cr_kernel_row_log_softmax_backward(const real *y, const real *g, int64_t n, real *gx) {
  log_softmax_gradient(y, g, n, (real)cr_kernel_row_sum(g, n), gx);
}
