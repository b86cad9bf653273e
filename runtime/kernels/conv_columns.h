/* conv_columns.h - convolution on NHWC memory by unfolding windows into the rows of a matrix
 *
 * The way that takes every shape, and the one that others are held against. Arguments as in
 * conv_nhwc.h, without the sums. */
#ifndef CR_KERNELS_CONV_COLUMNS_H
#define CR_KERNELS_CONV_COLUMNS_H

#include "kernels/conv_nhwc.h"

size_t cr_conv_columns_scratch(const cr_conv *v, cr_conv_pass pass);
/* ready: the weights as [kernel, kernel, channels, filters] */
size_t cr_conv_columns_ready_bytes(const cr_conv *v);
void cr_conv_columns_ready(const cr_conv *v, const real *weight, void *ready);
void cr_conv_columns_forward(const cr_conv *v, const real *x, const void *ready, const real *bias,
                             real *y);
void cr_conv_columns_grad_x(const cr_conv *v, const real *weight, const real *gy, real *gx,
                            void *scratch);
void cr_conv_columns_grad_weight(const cr_conv *v, const real *x, const real *gy, real *gw,
                                 void *scratch);

#endif
