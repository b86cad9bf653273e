/* dtw.h - the cheapest way to step through two sequences together
 *
 *   r_ij = c_ij + min(r_i-1,j-1, r_i-1,j, r_i,j-1)        the result is r_nm, n and m the lengths
 *
 *   c_ij = |x_i - y_j|^2 (squared), its root (euclidean), or sum_k |x_ik - y_jk| (manhattan)
 *
 * Sequences are steps of `width` numbers, [count, steps, width], of which the first length[s] count
 * (all, when length is NULL). With window >= 0 only cells with |i - j| <= window may be used; where
 * they leave no way through, the result is inf. A sequence with a number that is not finite gives
 * nan. Sixteen pairs are worked off at once, one in each vector lane, in two rows of the table. */
#ifndef CR_KERNELS_DTW_H
#define CR_KERNELS_DTW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "base/real.h"

typedef enum { CR_DTW_SQUARED, CR_DTW_EUCLIDEAN, CR_DTW_MANHATTAN } cr_dtw_cost;
#define CR_DTW_COST_NAMES "squared euclidean manhattan"

typedef struct cr_sequences {
  int64_t count, steps, width;
  const real *at;
  const int64_t *length;      /* in 1 .. steps; or NULL */
} cr_sequences;

static inline int64_t cr_sequence_length(const cr_sequences *s, int64_t i) {
  return s->length != NULL ? s->length[i] : s->steps;
}

/* For check(): lengths must lie in 1 .. steps; `name` is what the user calls them. */
bool cr_sequences_check(const cr_sequences *s, const char *name, cr_error *err);

typedef struct cr_dtw {
  cr_sequences x, y;
  cr_dtw_cost cost;
  int64_t window;             /* -1: none */
  bool matrix;                /* every x with every y, out [x.count, y.count]; else x_i with y_i */
  bool same;                  /* matrix, and y is x: each pair once */
} cr_dtw;

bool cr_dtw_bytes(const cr_dtw *d, size_t *bytes);
void cr_dtw_run(const cr_dtw *d, real *out, void *scratch);

/* One pair: table [x.steps, y.steps] of r_ij, inf outside the lengths and the window, and the cells
 * of the way from (0, 0) on, as pairs i, j. Of equal ways, one that steps in both sequences, then
 * one that steps in x. Returns the number of cells, 0 where there is no way. path has room for
 * x.steps + y.steps - 1 cells. */
int64_t cr_dtw_path(const cr_dtw *d, int64_t pair, real *table, int64_t *path);

#endif
