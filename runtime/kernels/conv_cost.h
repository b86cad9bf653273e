/* conv_cost.h - what each way of convolution is expected to take, in nanoseconds of one thread
 *
 * products / rate + elements moved * time, with the rates measured by tests/bench/conv.c on a Zen 4
 * core with AVX-512. With other vectors all are slower alike, so the choice is the same. */
#ifndef CR_KERNELS_CONV_COST_H
#define CR_KERNELS_CONV_COST_H

#include "kernels/conv_nhwc.h"

/* On NHWC memory; INFINITY where the way cannot do the shape */
double cr_conv_cost(const cr_conv *v, cr_conv_pass pass, cr_conv_algorithm way);

double cr_conv_planes_cost(const cr_conv *v);           /* conv.h, the planes as they are */
double cr_conv_turn_cost(const cr_conv *v);             /* of x and y, to NHWC or back */

#endif
