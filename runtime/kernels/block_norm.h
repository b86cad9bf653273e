/* block_norm.h - batch norm inside a block: the numbers of each channel
 *
 * y = convolution (+ bias) of `channels` filters, `count` values each, becomes
 * (y - mean) gamma rstd + beta. Pointers to what a call does not have are NULL: gamma is then 1,
 * beta and bias 0, and without running statistics mean is 0 and rstd 1. */
#ifndef CR_KERNELS_BLOCK_NORM_H
#define CR_KERNELS_BLOCK_NORM_H

#include <stdbool.h>
#include <stdint.h>
#include "base/real.h"

typedef struct cr_block_norm {
  int64_t channels, count;
  bool training, unbiased;      /* unbiased: y, and so mean, are meant without the bias */
  double momentum, eps;
  const real *bias, *gamma, *beta;
  real *running_mean, *running_var;
  double *mean, *rstd;
} cr_block_norm;

/* For training: mean, and the variance in the place of rstd, from the sums of y and y^2; where
 * these cancel, from y once more. */
void cr_block_moments(const cr_block_norm *n, const double *sums, const real *y);

/* mean and rstd, in training from what cr_block_moments left there, which also moves the running
 * statistics, else from these */
void cr_block_settle(const cr_block_norm *n);

/* scale = gamma rstd, shift = beta, and mean as real numbers */
void cr_block_map(const cr_block_norm *n, real *mean, real *scale, real *shift);
/* where there is nothing to do: 0, 1, 0 */
void cr_block_map_none(int64_t channels, real *mean, real *scale, real *shift);

/* Outside training a convolution and its batch norm are a convolution, of weight scale and with the
 * bias shift: scale = gamma rstd, shift = beta - mean scale; mean is that of y without its bias. */
void cr_block_fold(const cr_block_norm *n, double *scale, real *shift);
/* The way back from the gradients of folded and shift; those that are NULL are left out. */
void cr_block_fold_backward(const cr_block_norm *n, int64_t each, const real *weight,
                            const real *gfolded, const double *gshift, real *gweight, real *ggamma,
                            real *gbeta, real *gbias);

/* From sum h and sum h (y - mean), h the gradient behind the norm: that of y is
 * scale h + slope (y - mean) + constant. Gradients that are NULL are left out. */
void cr_block_norm_backward(const cr_block_norm *n, const double *sums, const real *scale,
                            real *slope, real *constant, real *ggamma, real *gbeta, real *gbias);

#endif
