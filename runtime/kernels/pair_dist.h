/* pair_dist.h - distances of all pairs of rows, tile by tile, and their gradient
 *
 *   euclidean   |x - y|                        squared: |x - y|^2
 *   manhattan   sum |x_k - y_k|                squared: its square
 *   minkowski   (sum |x_k - y_k|^p)^(1/p)
 *   cosine      1 - <x, y>                     of rows the caller has normalised
 *   dot         -<x, y>                        so that smaller is always nearer
 *
 * Euclidean distances come from one matrix product, |x|^2 + |y|^2 - 2 <x, y>, which loses digits
 * where that difference is small against its terms. Three things keep them: the rows are centred
 * first (an offset all rows share costs nothing then), pairs with |x - y|^2 < CR_PAIRS_CLOSE (|x|^2
 * + |y|^2) are computed again from their differences, and so is their part of the gradient. The
 * distance of a row to itself is exactly 0. The gradient of a distance at 0 is taken as 0.
 *
 * The order of work for a tile of `count` rows from row `first` on, with d and w of [count,
 * columns]:
 *
 *   cr_pairs_products    d = inner products, one matrix product over all threads
 *   cr_pairs_row         for each row: d becomes distances
 *   (the caller puts the derivative of its loss by each distance into w)
 *   cr_pairs_slope_row   for each row: w becomes the coefficients c of the gradient
 *   cr_pairs_collect     the columns' share and two matrix products add the tile to the sums below
 *   cr_pairs_gradient    once, after the last tile: the sums become the gradient
 *
 * The two row functions may run in parallel over rows; everything gives the same bits for any
 * number of threads. */
#ifndef CR_KERNELS_PAIR_DIST_H
#define CR_KERNELS_PAIR_DIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/real.h"

typedef enum { CR_EUCLIDEAN, CR_MANHATTAN, CR_COSINE, CR_DOT, CR_MINKOWSKI } cr_metric;
#define CR_METRIC_NAMES "euclidean manhattan cosine dot"

#define CR_PAIRS_CLOSE ((real)0.01)

typedef struct cr_pairs {
  cr_metric metric;
  bool squared;               /* euclidean, manhattan */
  bool same;                  /* y is x, and column i of row i is the row itself */
  double p;                   /* minkowski */
  int64_t rows, columns, width;
  /* [rows, width], [columns, width]; euclidean: centred by cr_pairs_centre */
  const real *x, *y;
  const real *xx, *yy;        /* euclidean: squared norms of the rows */
} cr_pairs;

/* Where a gradient gathers. With pairs->same the y side is the x side. NULL sides are not
 * computed. */
typedef struct cr_pairs_sums {
  real *gx, *gy;              /* [rows, width], [columns, width] */
  double *sx, *sy;            /* [rows], [columns]: sums of coefficients */
  bool symmetric;             /* same, and w is symmetric: what a row gets as a column equals what
                                 it gets as a row, and is
                                 left out (the loss counts each unordered pair once) */
} cr_pairs_sums;

/* The mean of the n rows of x. */
void cr_pairs_mean(int64_t n, int64_t width, const real *x, real *mean);
/* out = row - mean; returns the squared norm of out. mean may be NULL. */
real cr_pairs_centre(int64_t width, const real *row, const real *mean, real *out);

void cr_pairs_products(const cr_pairs *p, int64_t first, int64_t count, real *d);
/* Row i of the distances, from its inner products. True when a pair of it is close. */
bool cr_pairs_row(const cr_pairs *p, int64_t i, real *d);

/* The same for columns first .. first+n-1 alone, with the same bits: of `count` rows from i on, in
 * the calling thread, into d [count, n]; and of row i of those. */
void cr_pairs_products_piece(const cr_pairs *p, int64_t i, int64_t count, int64_t first, int64_t n,
                             real *d);
bool cr_pairs_piece(const cr_pairs *p, int64_t i, int64_t first, int64_t n, real *d);

/* How the pairs of a row reach the gradient: by the matrix product; by it but for the close ones; or
 * one by one, since few of them weigh anything (batch-hard triplets, a trained network). */
typedef enum { CR_PAIRS_DENSE, CR_PAIRS_SOME_CLOSE, CR_PAIRS_FEW } cr_pairs_mode;

/* `close`: what cr_pairs_row said. What it returns goes to cr_pairs_collect as mode[row of tile]. */
cr_pairs_mode cr_pairs_slope_row(const cr_pairs *p, const cr_pairs_sums *s, int64_t i,
                                 const real *d, real *w, bool close);
void cr_pairs_collect(const cr_pairs *p, const cr_pairs_sums *s, int64_t first, int64_t count,
                      const real *d, real *w, const cr_pairs_mode *mode);
void cr_pairs_gradient(const cr_pairs *p, const cr_pairs_sums *s);

/* The sum of n numbers, in double. */
double cr_pairs_sum(int64_t n, const real *v);

#endif
