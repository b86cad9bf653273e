/* triplet_rows.h - the triplets of one anchor, without a loop over triplets where that can be had
 *
 * An anchor has K positives and N negatives. With u_k = d(anchor, positive k) + margin and v_j =
 * d(anchor, negative j):
 *
 *   hinge   sum_kj max(u_k - v_j, 0) = sum_k c_k u_k - sum_j r_j v_j,
 *           c_k = #{ j: v_j < u_k },  r_j = #{ k: u_k > v_j }
 *
 * so only counts are needed, and they are exact: up to CR_RANK_FROM positives four thresholds are
 * compared with every negative in vector registers; from there on the positives are sorted by a
 * monotone cell number whose table then gives every negative its place in constant expected time.
 *
 *   soft    sum_kj log(1 + exp(u_k - v_j))
 *
 * is summed as max(u - v, 0) + log(1 + exp(-|u - v|)), with one logarithm for a product of 64
 * factors. */
#ifndef CR_KERNELS_TRIPLET_ROWS_H
#define CR_KERNELS_TRIPLET_ROWS_H

#include <stddef.h>
#include <stdint.h>
#include "base/real.h"

enum { CR_RANK_FROM = 64, CR_RANK_CHUNK = 512 };

/* K thresholds in order, and where a number falls among them. */
typedef struct cr_rank {
  int64_t k;
  real *u;                    /* ascending, then infinity */
  int32_t *order;             /* u[i] was number order[i] */
  int32_t *table, *cell, *histogram;
  real low, scale, cells;
} cr_rank;

size_t cr_rank_bytes(int64_t k);
void cr_rank_start(cr_rank *r, int64_t k, const real *u, void *scratch);
/* place[j] = #{ i: u[i] <= v[j] }, for n <= CR_RANK_CHUNK finite numbers */
void cr_rank_places(const cr_rank *r, int64_t n, const real *v, int32_t *place);

/* Triplets of one anchor whose negatives come in two pieces, v[0 .. n0-1] and v[n0+gap ..
 * n0+gap+n1-1]. Adds to *sum, sets count[k] (hinge: c_k; soft: the sum of slopes) and, where w is
 * not NULL, w[j] of the negatives to minus r_j or minus the sum of slopes. scratch holds
 * cr_triplet_bytes(K). */
size_t cr_triplet_bytes(int64_t k);
void cr_triplet_hinge(int64_t k, const real *u, const real *v, int64_t n0, int64_t gap, int64_t n1,
                      real *w,
                      double *count, double *sum, void *scratch);
void cr_triplet_soft(int64_t k, const real *u, const real *v, int64_t n0, int64_t gap, int64_t n1,
                     real *w,
                     double *count, double *sum, void *scratch);

/* log(1 + e^x) and its slope, one number */
double cr_triplet_softplus(double x, double *slope);

#endif
