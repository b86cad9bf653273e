/* conv_nhwc.h - convolution of images whose channels lie innermost, and its gradients
 *
 *   y[b, p, q, o] = bias[o] + sum_{c, i, j} weight[o, c, i, j] x[b, row, column, c]
 *   row = p stride - padding + i dilation, column likewise; outside the image x is 0
 *
 * x, gx [images, in, in, channels], weight, gw [filters, channels, kernel, kernel] as the layers
 * keep it, y, gy [images, out, out, filters], all contiguous; groups is 1. scratch:
 * cr_conv_nhwc_scratch bytes, aligned to 64, contents of no account before and after; NULL when
 * that is 0. The arrays must not overlap.
 *
 * Largest error against the sum in double, relative to the largest element of the result, for
 * normally distributed inputs (tests/c/winograd_test.c holds them to twice that):
 *
 *   float                 up to 128 channels   512 channels   gradient for weights, 64 x 32 x 32
 *   direct, columns              1.5e-6            2.5e-6                  3e-7
 *   winograd                     1.0e-5            1.5e-5                  3.5e-6
 *
 * All spread over the pool themselves. The bits do not depend on the number of threads, and those
 * of an image, in forward and in the gradient for x, not on the images around it. */
#ifndef CR_KERNELS_CONV_NHWC_H
#define CR_KERNELS_CONV_NHWC_H

#include <stddef.h>
#include "kernels/conv.h"

/* What forward writes and, where given, sums[o] and sums[filters + o]: the sum over images and
 * positions of y[.., o] (its bias included) and of its square, in double, in a fixed order. */
void cr_conv_nhwc_forward(const cr_conv *v, const real *x, const real *weight, const real *bias,
                          real *y, double *sums, void *scratch);
/* The same in two steps, for weights that stay: they are turned into `ready`, aligned to 64, which
 * serves any number of images. */
size_t cr_conv_nhwc_ready_bytes(const cr_conv *v);
void cr_conv_nhwc_ready(const cr_conv *v, const real *weight, void *ready);
void cr_conv_nhwc_forward_ready(const cr_conv *v, const real *x, const void *ready,
                                const real *bias, real *y, void *scratch);
void cr_conv_nhwc_grad_x(const cr_conv *v, const real *weight, const real *gy, real *gx,
                         void *scratch);
void cr_conv_nhwc_grad_weight(const cr_conv *v, const real *x, const real *gy, real *gw,
                              void *scratch);

typedef enum { CR_CONV_FORWARD, CR_CONV_GRAD_X, CR_CONV_GRAD_WEIGHT } cr_conv_pass;
size_t cr_conv_nhwc_scratch(const cr_conv *v, cr_conv_pass pass);

/* The way this shape goes: v->algorithm where it can do the shape, else what costs least. Never
 * CR_CONV_AUTO. */
cr_conv_algorithm cr_conv_choose(const cr_conv *v, cr_conv_pass pass);

/* Whether this pass heeds what cr_conv says is done on the way. With v->pool y is [images, out / 2,
 * out / 2, filters]; sums are not taken of a y that ReLU or pooling made. */
bool cr_conv_nhwc_fuses(const cr_conv *v, cr_conv_pass pass);

/* For the ways: sums [2 filters] = part [blocks][2 filters], added up in order */
void cr_conv_add_parts(int64_t blocks, int64_t filters, const double *part, double *sums);

#endif
