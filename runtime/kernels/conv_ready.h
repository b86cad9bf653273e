/* conv_ready.h - weights as a convolution's forward reads them, kept from call to call
 *
 * Inference turns the same weights over and over: a batch norm folded into them, transformed or
 * packed, which costs more than a small batch does. What they were turned into is kept here with a
 * copy of what it was made from, and serves while that equals, number by number, what the caller
 * has. So nothing that changes weights needs to know. The least recently used gives way when all
 * together would pass 16 MB. For the main thread only. */
#ifndef CR_KERNELS_CONV_READY_H
#define CR_KERNELS_CONV_READY_H

#include "kernels/conv_nhwc.h"

/* scaled = weight, each filter times its scale */
void cr_conv_scale_weights(const cr_conv *v, const real *weight, const double *scale, real *scaled);

/* Makes room for the weights that lie here, if it can; whether there is room now */
void cr_conv_ready_reserve(const cr_conv *v, const real *weight);
bool cr_conv_ready_has(const cr_conv *v, const real *weight);

/* Where there is: cr_conv_nhwc_ready of weight, each filter times its scale, good until the next
 * reserve. */
const void *cr_conv_ready_find(const cr_conv *v, const real *weight, const double *scale);

#endif
