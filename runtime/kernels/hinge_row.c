/* hinge_row.c - see hinge_row.h */
#include "kernels/hinge_row.h"

#include <stddef.h>

enum { LANES = 16 };

CR_VECTOR static void slopes(int64_t n, const real *restrict d, real sign, real offset, real weight,
                             real *restrict w) {
  for (int64_t j = 0; j < n; j++) w[j] = sign * d[j] + offset > 0 ? weight : 0;
}

CR_VECTOR cr_hinge cr_hinge_row(int64_t n, const real *d, real sign, real offset, real weight,
                                real *w) {
  double loss[LANES] = { 0 };
  int32_t count[LANES] = { 0 };
  cr_hinge sum = { 0 };
  int64_t j = 0;
  for (; j + LANES <= n; j += LANES)
    for (int l = 0; l < LANES; l++) {
      real x = sign * d[j + l] + offset;
      loss[l] += (double)(x > 0 ? x : 0);
      count[l] += x > 0;
    }
  for (; j < n; j++) {
    real x = sign * d[j] + offset;
    loss[0] += (double)(x > 0 ? x : 0);
    count[0] += x > 0;
  }
  for (int l = 0; l < LANES; l++) sum.loss += loss[l], sum.count += count[l];
  if (w != NULL) slopes(n, d, sign, offset, sign * weight, w);
  return sum;
}
