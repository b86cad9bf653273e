/* row_softmax.h - exponentials of a row, summed: softmax, its logarithm, log-sum-exp
 *
 * The row's largest element is subtracted first, so nothing overflows. A largest element of -inf (an empty or wholly masked row)
 * gives a log-sum-exp of -inf; softmax has no answer then and gives nan. Sums in double, in a fixed order. */
#ifndef CR_KERNELS_ROW_SOFTMAX_H
#define CR_KERNELS_ROW_SOFTMAX_H

#include <stdint.h>
#include "base/real.h"

/* y[i] = e^(x[i] - shift); returns their sum. y may be x. */
double cr_kernel_row_exp(const real *x, int64_t n, real shift, real *y);

/* log sum_i e^x[i] */
real cr_kernel_row_logsumexp(const real *x, int64_t n);

/* y = e^x / sum e^x */
void cr_kernel_row_softmax(const real *x, int64_t n, real *y);
/* gx = y (g - <g, y>) */
void cr_kernel_row_softmax_backward(const real *y, const real *g, int64_t n, real *gx);

/* y = x - log sum e^x */
void cr_kernel_row_log_softmax(const real *x, int64_t n, real *y);
/* gx = g - e^y sum g */
void cr_kernel_row_log_softmax_backward(const real *y, const real *g, int64_t n, real *gx);

#endif
