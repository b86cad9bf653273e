/* im2col.h - windows that slide over a plane, and their contents as columns of a matrix
 *
 * Row r of the matrix is one place in one channel's window, r = (channel * kernel_h + i) * kernel_w
 * + j; column q is one position of the window, q = out_row * out_w + out_column. Both functions
 * work on rows r0 <= r < r1 and columns q0 <= q < q1 of it, kept as (r1 - r0) x (q1 - q0),
 * row-major. What lies in the padding is 0. Index 0 of a pair is the height's, 1 the width's. */
#ifndef CR_KERNELS_IM2COL_H
#define CR_KERNELS_IM2COL_H

#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"
#include "base/real.h"

typedef struct cr_window {
  int64_t in[2], kernel[2], stride[2], padding[2], dilation[2];
  int64_t out[2];                       /* positions; set by cr_window_set */
} cr_window;

/* Checks the options and works out `out`: floor((in + 2 padding - dilation (kernel - 1) - 1) /
 * stride) + 1; with `ceil` rounded up, as long as the last window begins in the input or the
 * padding before it. */
bool cr_window_set(cr_window *w, bool ceil, cr_error *err);

/* The window says where along one side: the first and past-the-last of positions p whose place `at`
 * of the window, p * stride - padding + at * dilation, lies inside the input. */
void cr_window_inside(const cr_window *w, int side, int64_t at, int64_t *first, int64_t *end);

void cr_im2col(const cr_window *w, const real *image, int64_t r0, int64_t r1,
               int64_t q0, int64_t q1, real *column);
/* image += the columns, each element where it came from */
void cr_col2im(const cr_window *w, const real *column, int64_t r0, int64_t r1,
               int64_t q0, int64_t q1, real *image);

#endif
