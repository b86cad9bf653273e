/* pooling.h - the largest and the mean of a window that slides over planes, and their gradients
 *
 * x and gx [planes, in], y and gy [planes, out], contiguous; the window as in im2col.h. All spread
 * over the pool. */
#ifndef CR_KERNELS_POOLING_H
#define CR_KERNELS_POOLING_H

#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"
#include "base/real.h"
#include "kernels/im2col.h"

/* `place` of y: which element of the window, row by row, was the largest; the first of equals. A
 * NaN counts as larger than any number. Padding never wins: a window of nothing else, or of -inf,
 * gives -inf and sends its gradient nowhere. */
/* of at most 65535 elements, and the padding */
bool cr_max_pool_check(const cr_window *w, cr_error *err);
void cr_max_pool(const cr_window *w, int64_t planes, const real *x, real *y, uint16_t *place);
void cr_max_pool_grad(const cr_window *w, int64_t planes, const uint16_t *place, const real *gy,
                      real *gx);
/* Where the largest lies in the plane, row * width + column; -1 for nowhere. */
int64_t cr_max_pool_index(const cr_window *w, int64_t position, uint16_t place);

/* The padding is at most half of the window */
bool cr_pool_padding_check(const cr_window *w, cr_error *err);

/* The mean; count_padding: over all of the window that lies in input and padding, else over what
 * lies in the input. */
void cr_avg_pool(const cr_window *w, bool count_padding, int64_t planes, const real *x, real *y);
void cr_avg_pool_grad(const cr_window *w, bool count_padding, int64_t planes, const real *gy,
                      real *gx);

/* The plane cut into out[0] x out[1] parts that may overlap by one line: part p of a side takes the
 * input from floor(p in / out) to ceil((p + 1) in / out), the end not included. index: as
 * cr_max_pool_index. */
typedef struct cr_parts { int64_t in[2], out[2]; } cr_parts;
bool cr_parts_check(const cr_parts *s, cr_error *err);
void cr_part_avg(const cr_parts *s, int64_t planes, const real *x, real *y);
void cr_part_avg_grad(const cr_parts *s, int64_t planes, const real *gy, real *gx);
void cr_part_max(const cr_parts *s, int64_t planes, const real *x, real *y, int32_t *index);
void cr_part_max_grad(const cr_parts *s, int64_t planes, const int32_t *index, const real *gy,
                      real *gx);

#endif
