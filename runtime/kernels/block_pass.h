/* block_pass.h - what follows the convolution of a block, in one pass over memory: an affine map of
 * each channel (batch norm), a residual, ReLU and 2 x 2 max pooling; and the way back
 *
 *   v = (y - mean_c) scale_c + shift_c (+ residual),   a = max(v, 0) or v
 *   out = a, or the largest of each 2 x 2 places; an odd last row or column has no part in it
 *
 * y and residual [images, height, width, channels]; out the same, or with height and width halved,
 * rounded down. h, below, is the gradient at v: that of out where the place won (the first of
 * equals) and max let it through, else 0.
 *
 * All spread over the pool; sums are kept in double and added in block order. */
#ifndef CR_KERNELS_BLOCK_PASS_H
#define CR_KERNELS_BLOCK_PASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/real.h"

typedef struct cr_block {
  int64_t images, height, width, channels;
  bool relu, pool;
  const real *mean, *scale, *shift;     /* of each channel */
} cr_block;

/* residual NULL: none; with pool there is none. out may be y when there is no pooling. */
void cr_block_forward(const cr_block *b, const real *y, const real *residual, real *out);

/* sum[c] = sum of h, sum[channels + c] = sum of h (y - mean_c), by looking at y again */
void cr_block_sums(const cr_block *b, const real *y, const real *g, double *sum, void *scratch);

/* The same, where out > 0 says what max let through and `places` entries of y pair with those of
 * out: for a residual; and for pooling, where y is out itself and mean is shift. h, when not NULL,
 * is written. */
void cr_block_sums_by_out(const cr_block *b, int64_t places, const real *y, const real *mean,
                          const real *out, const real *g, real *h, double *sum, void *scratch);
size_t cr_block_sums_scratch(const cr_block *b);

/* y becomes its own gradient, a_c h + b_c (y - mean_c) + d_c, a_c being scale_c. */
void cr_block_backward(const cr_block *b, const real *g, const real *slope, const real *constant,
                       real *y);

#endif
