/* winograd.h - 3 x 3 convolution of stride 1 on NHWC memory with a quarter of the multiplications
 *
 * Winograd's F(4 x 4, 3 x 3), in tiles of 4 x 4 outputs:
 *
 *   y  = A^T [ (G w G^T) * (B^T x B) ] A         * element by element, summed over channels
 *   gw = G^T [ (B^T x B) * (A gy A^T) ] G        summed over tiles
 *   gx: forward on gy with w turned by 180 degrees, and padding 2 - padding
 *
 *         4  0 -5  0  1  0            1/4    0     0
 *         0 -4 -4  1  1  0           -1/6  -1/6  -1/6            1  1  1  1  1  0
 *   B^T = 0  4 -4 -1  1  0       G = -1/6   1/6  -1/6     A^T =  0  1 -1  2 -2  0
 *         0 -2 -1  2  1  0           1/24  1/12   1/6            0  1  1  4  4  0
 *         0  2 -1 -2  1  0           1/24 -1/12   1/6            0  1 -1  8 -8  1
 *         0  4  0 -5  0  1             0     0     1
 *
 * Lavin, Gray, "Fast algorithms for convolutional neural networks", CVPR 2016, section 4.3. The
 * sums over channels (tiles) are 36 matrix products. */
#ifndef CR_KERNELS_WINOGRAD_H
#define CR_KERNELS_WINOGRAD_H

#include "kernels/conv_nhwc.h"

/* 3 x 3, stride 1, no dilation, padding at most 2, channels and filters multiples of 16, not above
 * 512 (256 in float64) */
bool cr_winograd_can(const cr_conv *v);
size_t cr_winograd_scratch(const cr_conv *v, cr_conv_pass pass);
/* ready, of cr_winograd_ready_bytes: G w G^T, what forward reads of the weights */
size_t cr_winograd_ready_bytes(const cr_conv *v);
void cr_winograd_ready(const cr_conv *v, const real *weight, void *ready);
void cr_winograd_forward(const cr_conv *v, const real *x, const void *ready, const real *bias,
                         real *y, double *sums, void *scratch);
void cr_winograd_grad_x(const cr_conv *v, const real *weight, const real *gy, real *gx,
                        void *scratch);
void cr_winograd_grad_weight(const cr_conv *v, const real *x, const real *gy, real *gw,
                             void *scratch);

#endif
