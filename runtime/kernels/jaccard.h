/* jaccard.h - distances mixed with how little two rows' neighbourhoods overlap
 *
 * Each row has a sparse set of weights that sum to 1, kept as `width` columns of numbers (from 1, 0
 * ends the row) and weights. With s_ij = sum_g min(V_ig, V_jg),
 *
 *   d*_ij = lambda d_ij / max_j d_ij + (1 - lambda) (1 - s_ij / (2 - s_ij))
 *
 * A column's holders are listed once, so a row costs the lists of its own few columns. */
#ifndef CR_KERNELS_JACCARD_H
#define CR_KERNELS_JACCARD_H

#include <stddef.h>
#include <stdint.h>
#include "base/real.h"

typedef struct cr_jaccard {
  int64_t rows, width;
  const int64_t *index;         /* [rows, width] */
  const real *weight;
  double lambda;
  int64_t *first;               /* column g is held by holder[first[g]] .. */
  int32_t *holder;
  real *value;
} cr_jaccard;

size_t cr_jaccard_bytes(int64_t rows, int64_t width);
void cr_jaccard_start(cr_jaccard *j, void *scratch);
/* d[0 .. n-1], the distances of row i to rows offset, offset + 1, ...; scratch holds n reals. */
void cr_jaccard_row(const cr_jaccard *j, int64_t i, int64_t offset, int64_t n, real *d,
                    real *scratch);

#endif
