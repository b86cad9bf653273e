/* index.h - copies that move elements without changing them, and the sums that run them backwards
 *
 * Three of them carry every shape and indexing operator:
 *
 *   rows    cat, stack, split: pieces of equal length, each a step apart
 *   axes    out[i0, i1, ...] = x[from0[i0], from1[i1], ...]: flip, roll, tile, pad, expand,
 *           index_select, embedding, nearest interpolation are this one copy with different
 *           tables, one for each dimension
 *   places  out[e] = x[where[e]], a table for each element: gather, scatter, pairs, masks, the
 *           backward of sort
 *
 * A gradient that several elements share is summed in double, in an order that depends on the
 * shapes alone. */
#ifndef CR_KERNELS_INDEX_H
#define CR_KERNELS_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/real.h"

/* For i = 0 .. rows-1 copies `bytes` bytes from src + i src_step to dst + i dst_step (steps in
 * bytes). */
void cr_index_rows(int64_t rows, size_t bytes, void *dst, size_t dst_step, const void *src,
                   size_t src_step);

enum { CR_INDEX_MAX_AXES = 8 };

typedef struct cr_axis {
  int64_t n_in, n_out;
  const int64_t *from; /* n_out numbers in 0 .. n_in-1, or -1 for the fill; NULL: from[i] = i where
                                 n_in == n_out, and 0 where n_in is 1 */
} cr_axis;

/* out (contiguous, n_out by axis) from x (contiguous, n_in by axis); `element` is 1, 4 or 8 bytes.
 * Where a table says -1 the element at `fill` is written; it may be NULL when no table does. */
void cr_index_axes(int n, const cr_axis *axis, size_t element, const void *x, const void *fill,
                   void *out);

/* gx[j0, ...] = the sum of g[i0, ...] over all i with from0[i0] = j0, ...; where there is none, 0.
 * scratch holds cr_index_axes_sum_bytes bytes. */
size_t cr_index_axes_sum_bytes(int n, const cr_axis *axis);
void cr_index_axes_sum(int n, const cr_axis *axis, const real *g, void *scratch, real *gx);

/* The same two with the tables worked out from a rule: source(context, d, i, n_in) is from_d[i];
 * tables that turn out to change nothing cost nothing. scratch holds cr_index_rule_bytes bytes. */
typedef int64_t (*cr_index_source)(const void *context, int d, int64_t i, int64_t n_in);
size_t cr_index_rule_bytes(int ndim, const int64_t *in, const int64_t *out, bool backward);
void cr_index_rule(int ndim, const int64_t *in, const int64_t *out, cr_index_source source,
                   const void *context, void *scratch, size_t element, const void *x,
                   const void *fill, void *y);
void cr_index_rule_sum(int ndim, const int64_t *in, const int64_t *out, cr_index_source source,
                       const void *context, void *scratch, const real *g, real *gx);

/* where[e], for every element e of `shape`: the offset, in a contiguous tensor of shape `target`,
 * of the same place with the coordinate along dim replaced by index[e] - 1. */
void cr_index_places(int ndim, const int64_t *shape, const int64_t *target, int dim,
                     const int64_t *index, int64_t *where);

/* out[e] = x[where[e]] */
void cr_index_take(int64_t n, const int64_t *where, size_t element, const void *x, void *out);
/* out[where[e]] = x[e]; where a place comes twice the last one stays */
void cr_index_put(int64_t n, const int64_t *where, size_t element, const void *x, void *out);
/* out[p] = (base ? base[p] : 0) + scale * the sum of x[e] over where[e] = p; sum is scratch of
 * n_out doubles */
void cr_index_put_sum(int64_t n, const int64_t *where, double scale, const real *x, int64_t n_out,
                      const real *base, double *sum, real *out);

/* The first of n numbers outside 1 .. limit, or -1. */
int64_t cr_index_outside(int64_t n, const int64_t *index, int64_t limit);

#endif
