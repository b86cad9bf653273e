/* turn.h - matrices turned: channels from outermost to innermost and back
 *
 *   to[b, j, i] = from[b, i, j]       from [images, rows, columns], to [images, columns, rows] */
#ifndef CR_KERNELS_TURN_H
#define CR_KERNELS_TURN_H

#include <stdint.h>
#include "base/real.h"

/* Spread over the pool */
void cr_turn(int64_t images, int64_t rows, int64_t columns, const real *from, real *to);

#endif
