/* batch_stats.h - means, variances and the affine maps of the normalisation layers
 *
 * Three layouts cover them all. Sums are kept in double, taken round a value near the mean, in an
 * order that depends on the sizes alone.
 *
 *   runs      `runs` pieces of n numbers, `stride` apart, that share one mean: a channel of
 *             [B C H W], a group, a row
 *   columns   [rows, width] with a mean for each column, rows `stride` apart: batch norm of [B C]
 *   rows      [rows, n] with a mean for each row and a weight for each column: layer norm, rms norm
 *
 * These run in the caller unless they say otherwise; callers spread runs and columns over the
 * pool. */
#ifndef CR_KERNELS_BATCH_STATS_H
#define CR_KERNELS_BATCH_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/real.h"

/* sum of a[i] b[i] */
double cr_stats_dot(const real *a, const real *b, int64_t n);

/* Mean and variance (divided by the count). */
void cr_stats_run_moments(const real *x, int64_t runs, int64_t stride, int64_t n, double *mean,
                          double *variance);
/* sum of g and of g (x - mean) */
void cr_stats_run_products(const real *g, const real *x, int64_t runs, int64_t stride, int64_t n,
                           double mean, double *sum_g, double *sum_gx);
/* y = (x - mean) scale + shift */
void cr_stats_run_scale(const real *x, int64_t runs, int64_t stride, int64_t n, real mean,
                        real scale, real shift, real *y);
/* gx = a g + b (x - mean) + c */
void cr_stats_run_blend(const real *g, const real *x, int64_t runs, int64_t stride, int64_t n,
                        real mean, real a, real b, real c, real *gx);

enum { CR_STATS_WIDTH = 64 };       /* columns at a time, at most */

void cr_stats_column_moments(const real *x, int64_t rows, int64_t stride, int64_t width,
                             double *mean, double *variance);
void cr_stats_column_products(const real *g, const real *x, int64_t rows, int64_t stride,
                              int64_t width, const double *mean, double *sum_g, double *sum_gx);
void cr_stats_column_scale(const real *x, int64_t rows, int64_t stride, int64_t width,
                           const real *mean, const real *scale, const real *shift, real *y);
void cr_stats_column_blend(const real *g, const real *x, int64_t rows, int64_t stride,
                           int64_t width, const real *mean, const real *a, const real *b,
                           const real *c, real *gx);

/* y = (x - mean_r) / sqrt(variance_r + eps) weight + bias; without `centred`, mean_r is taken as 0
 * and the variance round it. weight and bias [n] may be NULL. mean and rstd [rows] are written
 * forward and read backward, where gx, gweight and gbias may be NULL. Spread over the pool. */
typedef struct cr_stats_rows {
  int64_t rows, n;
  bool centred;
  double eps;
  const real *x, *weight, *bias;
  double *mean, *rstd;
  real *y;
  const real *g;
  real *gx, *gweight, *gbias;
} cr_stats_rows;

void cr_stats_rows_forward(const cr_stats_rows *job);
void cr_stats_rows_backward(const cr_stats_rows *job);

/* x [B C S]: each sample's channels in `groups` equal groups, each group normalised by its own mean
 * and variance, then weight and bias by channel. mean and rstd [B groups]; sums: 2 B C doubles of
 * scratch for backward. Over the pool. */
typedef struct cr_stats_groups {
  int64_t B, C, S, groups;
  double eps;
  const real *x, *weight, *bias;
  double *mean, *rstd, *sums;
  real *y;
  const real *g;
  real *gx, *gweight, *gbias;
} cr_stats_groups;

void cr_stats_groups_forward(const cr_stats_groups *job);
void cr_stats_groups_backward(const cr_stats_groups *job);

#endif
