/* limits.h - what the machine can do at its best: multiply-adds, and bytes from memory
 *
 * Both run on every thread of the pool, since what two cores reach together is what counts. */
#ifndef CR_KERNELS_LIMITS_H
#define CR_KERNELS_LIMITS_H

#include <stdint.h>
#include "base/real.h"

/* Does `rounds` rounds of independent fused multiply-adds on each of `blocks` blocks of the pool; returns how many
 * floating-point operations that were. */
double cr_limits_fma(int64_t blocks, int64_t rounds);

/* a = b + s c over n elements, in blocks of the pool. */
void cr_limits_triad(int64_t n, real s, real *a, const real *b, const real *c);

#endif
