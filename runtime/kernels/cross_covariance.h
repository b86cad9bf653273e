/* cross_covariance.h - columns of two views of a batch, and how much they go together
 *
 *   C = scale a^T b                a, b [B D];  C [D D]
 *   S = sum_{i != j} C_ij^2        dS/da = 2 scale b C_off^T     dS/db = 2 scale a C_off
 *
 * where C_off is C with a diagonal of 0. C is never held: with B >= D a tile of its rows at a time
 * is, and with B < D a tile of rows of the B x B products a a^T and b b^T, since
 * |a^T b|^2 = <a a^T, b b^T> and b (a^T b)^T = (b b^T) a. Cost: min(B, D) B D. Memory: a tile, at
 * least 32 rows of min(B, D) numbers. The same bits for any number of threads. */
#ifndef CR_KERNELS_CROSS_COVARIANCE_H
#define CR_KERNELS_CROSS_COVARIANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/real.h"

/* z = x less the mean of each column; variance[d] = the mean of its squares. A column that is
 * constant, but for what rounding makes of it, gives zeros. */
void cr_columns_centre(int64_t rows, int64_t width, const real *x, real *z, double *variance);

typedef struct cr_cross {
  int64_t rows, width;
  const real *a, *b;          /* may be one and the same */
  double scale;
  real *ga, *gb;              /* scale b C_off^T, scale a C_off; NULL: not wanted */
  double *diagonal;           /* [width]: C_dd, written */
} cr_cross;

/* Bytes of scratch; false when they overflow. */
bool cr_cross_bytes(int64_t rows, int64_t width, size_t *bytes);
/* S */
double cr_cross_off_diagonal(const cr_cross *c, void *scratch);

#endif
