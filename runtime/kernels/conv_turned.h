/* conv_turned.h - convolution of planes (conv.h) by way of NHWC memory (conv_nhwc.h)
 *
 * Some images at a time are turned so that their channels lie innermost, computed, and turned back;
 * about 16 MiB, so that they stay in the last cache. Arguments as in conv.h. */
#ifndef CR_KERNELS_CONV_TURNED_H
#define CR_KERNELS_CONV_TURNED_H

#include "kernels/conv_nhwc.h"

/* Whether this pass goes that way: it costs less, or v->algorithm asks for what only it has */
bool cr_conv_turned(const cr_conv *v, cr_conv_pass pass);

size_t cr_conv_turned_scratch(const cr_conv *v, cr_conv_pass pass);
void cr_conv_turned_forward(const cr_conv *v, const real *x, const real *weight, const real *bias,
                            real *y, void *scratch);
void cr_conv_turned_grad_x(const cr_conv *v, const real *weight, const real *gy, real *gx,
                           void *scratch);
void cr_conv_turned_grad_weight(const cr_conv *v, const real *x, const real *gy, real *gw,
                                void *scratch);

#endif
