/* block_thin.h - a block on images of one channel: convolution 3 x 3, an affine map of each filter,
 * ReLU, 2 x 2 max pooling, without the convolution's result ever being in memory
 *
 * Nine products make a value, so it costs less to compute it in registers than to fetch it. What
 * batch norm wants to know of all values follows from the 9 x 9 products of the taps:
 *
 *   patch_k   the image's value under tap k, k = 0 .. 8;  y_o = sum_k w_ok patch_k
 *   S_k = sum patch_k,   G_jk = sum patch_j patch_k      over all images and places
 *   sum y_o = sum_k w_ok S_k                sum y_o^2 = sum_jk w_oj G_jk w_ok
 *   sum y_o patch_k = sum_j w_oj G_jk
 *
 * and the gradient of the weights is a sum over the winners of the pooling, a quarter of the
 * places, and a combination of these sums. Spread over the pool; the bits do not depend on the
 * number of threads. */
#ifndef CR_KERNELS_BLOCK_THIN_H
#define CR_KERNELS_BLOCK_THIN_H

#include "kernels/block_pass.h"

typedef struct cr_thin {
  int64_t height, width, padding[2];    /* of x [images, height, width] */
  cr_block block;                       /* its height and width those of y; pool is true */
} cr_thin;

enum { CR_THIN_TAPS = 9, CR_THIN_SUMS = CR_THIN_TAPS * (CR_THIN_TAPS + 1) };

/* sums: S, then G row by row. scratch of cr_thin_scratch bytes, here and below. */
void cr_thin_sums(const cr_thin *t, const real *x, double *sums, void *scratch);

/* The mean of each filter's values, without a bias, and their variance */
void cr_thin_moments(const cr_thin *t, const double *sums, const real *weight, double *mean,
                     double *variance);

/* out [images, height / 2, width / 2, channels] of block; weight [channels, 3, 3]. winner, where
 * not NULL: of each of out, which place of its window won, 0 .. 3, or 4 where ReLU let nothing
 * through. */
void cr_thin_forward(const cr_thin *t, const real *x, const real *weight, real *out,
                     uint8_t *winner, void *scratch);

/* sum[o * 9 + k] = sum over winners of g patch_k, sum[9 * channels + o] = sum of their g */
void cr_thin_backward(const cr_thin *t, const real *x, const real *g, const uint8_t *winner,
                      double *sum, void *scratch);

/* From these two h_patch = sum and h = sum + 9 channels, and the sums of the taps (NULL: mean and
 * rstd do not depend on the weights): h_y[o] = sum of g (y - mean), and then the gradient of the
 * weights. With M places,
 *   gw_k = scale (h_patch_k - rstd^2 h_y (sum_j w_j G_jk - mean S_k) / M - h S_k / M) */
void cr_thin_product(const cr_thin *t, const real *weight, const double *mean, const double *sum,
                     double *h_y);
void cr_thin_grad_weight(const cr_thin *t, const real *weight, const double *sums,
                         const double *mean, const double *rstd, const double *sum,
                         const double *h_y, real *gweight);

size_t cr_thin_scratch(const cr_thin *t);

#endif
