/* soft_dtw.h - the soft minimum over all ways of stepping through two sequences together
 *
 *   r_ij = c_ij - g log(e^(-r_i-1,j-1 / g) + e^(-r_i-1,j / g) + e^(-r_i,j-1 / g))
 *   value = r_nm
 *
 * With K = e^(-r/g) the recursion is linear, K_ij = e^(-c_ij/g) (K_i-1,j-1 + K_i-1,j + K_i,j-1),
 * and only the range of K is in the way: each cell is kept as f 2^e, f in [1, 2), e a whole number.
 * One exponential and no logarithm a cell, and every cell rounds relative to K, where the usual
 * form rounds relative to r. The derivative by c_ij is the share of the ways through that cell,
 * forward sum times backward sum over the whole: between 0 and 1. Sixteen pairs are worked off at
 * once, one in each vector lane; few or very long ones one by one.
 *
 * Where costs are not finite, or add up to some 1e8 times gamma and more along a way, e would leave
 * its range: such a pair takes the usual form, in double. A cost of inf closes its cell; one that
 * is nan gives nan. */
#ifndef CR_KERNELS_SOFT_DTW_H
#define CR_KERNELS_SOFT_DTW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/real.h"
#include "kernels/dtw.h"

typedef struct cr_soft_dtw {
  int64_t pairs;
  bool gradient;                /* whether there will be any of the gradients below */
  /* either pair p is x_p and y_p (a NULL y.at stands for x itself) ... */
  cr_sequences x, y;
  cr_dtw_cost cost;
  real *gx, *gy;                /* += weight * gradient, shaped as x and y; or NULL */
  /* ... or its costs are given, [pairs, x.steps, y.steps]; x.at and y.at are NULL */
  const real *costs;
  real *gcosts;                 /* = gradient, 0 outside the lengths; or NULL */
  double gamma, weight;
  double *value;                /* [pairs], += weight * value */
} cr_soft_dtw;

bool cr_soft_dtw_bytes(const cr_soft_dtw *s, size_t *bytes);
void cr_soft_dtw_run(const cr_soft_dtw *s, void *scratch);

#endif
