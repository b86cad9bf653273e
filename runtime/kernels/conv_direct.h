/* conv_direct.h - convolution on NHWC memory from the definition, in tiles that live in registers
 *
 * Six or twelve outputs side by side times a panel of filters; the inputs of a line of windows lie
 * in one piece once the zeros around the image are there. The gradient for x is a convolution of gy
 * with the turned weights, for a stride s one for each of the s x s places of x among the strides,
 * each with its own share of the window. */
#ifndef CR_KERNELS_CONV_DIRECT_H
#define CR_KERNELS_CONV_DIRECT_H

#include "kernels/conv_nhwc.h"

/* No dilation, lines that fit the room for them, strides up to 4 in the gradient for x, filters a
 * multiple of 16 in that for the weights */
bool cr_conv_direct_can(const cr_conv *v, cr_conv_pass pass);
size_t cr_conv_direct_scratch(const cr_conv *v, cr_conv_pass pass);
/* ready, of cr_conv_direct_ready_bytes: the weights in panels, as forward reads them */
size_t cr_conv_direct_ready_bytes(const cr_conv *v);
void cr_conv_direct_ready(const cr_conv *v, const real *weight, void *ready);
void cr_conv_direct_forward(const cr_conv *v, const real *x, const void *ready, const real *bias,
                            real *y, double *sums, void *scratch);
void cr_conv_direct_grad_x(const cr_conv *v, const real *weight, const real *gy, real *gx,
                           void *scratch);
void cr_conv_direct_grad_weight(const cr_conv *v, const real *x, const real *gy, real *gw,
                                void *scratch);

#endif
