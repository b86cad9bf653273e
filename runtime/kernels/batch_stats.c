/* batch_stats.c - see batch_stats.h
 *
 * Numbers are converted to double four at a time and summed in 16 lanes, which keeps up with memory
 * and needs no second pass: sums are taken round the first number, so the variance E[d^2] - E[d]^2
 * does not cancel. */
#include "kernels/batch_stats.h"

#include <math.h>
#include <string.h>
#include "base/pool.h"

enum { LANES = 4, SPAN = 4 * LANES, GRAIN = 16384 };

typedef real narrow __attribute__((vector_size(LANES * sizeof(real))));
typedef double wide __attribute__((vector_size(LANES * sizeof(double))));

/* four numbers as doubles; a macro because a vector cannot be passed to a function of a clone */
#define LOAD(p) \
  __extension__({ narrow v_; memcpy(&v_, (p), sizeof v_); __builtin_convertvector(v_, wide); })

static double total(const wide sum[LANES]) {
  double all = 0;
  for (int k = 0; k < LANES; k++)
    for (int l = 0; l < LANES; l++) all += sum[k][l];
  return all;
}

CR_VECTOR double cr_stats_dot(const real *a, const real *b, int64_t n) {
  wide sum[LANES] = { 0 };
  int64_t i = 0;
  for (; i + SPAN <= n; i += SPAN)
    for (int k = 0; k < LANES; k++) sum[k] += LOAD(a + i + k*LANES) * LOAD(b + i + k*LANES);
  double rest = 0;
  for (; i < n; i++) rest += (double)a[i] * (double)b[i];
  return total(sum) + rest;
}

/* runs */

CR_VECTOR void cr_stats_run_moments(const real *x, int64_t runs, int64_t stride, int64_t n,
                                    double *mean, double *variance) {
  double origin = runs * n > 0 ? (double)x[0] : 0, rest = 0, rest2 = 0;
  wide sum[LANES] = { 0 }, sum2[LANES] = { 0 };
  for (int64_t r = 0; r < runs; r++) {
    const real *p = x + r * stride;
    int64_t i = 0;
    for (; i + SPAN <= n; i += SPAN) {
      for (int k = 0; k < LANES; k++) {
        wide d = LOAD(p + i + k*LANES) - origin;
        sum[k] += d;
        sum2[k] += d * d;
      }
    }
    for (; i < n; i++) {
      double d = (double)p[i] - origin;
      rest += d;
      rest2 += d * d;
    }
  }
  double count = (double)(runs * n), first = (total(sum) + rest) / count;
  double spread = (total(sum2) + rest2) / count - first * first;
  *mean = origin + first;
  *variance = spread < 0 ? 0 : spread;
}

CR_VECTOR void cr_stats_run_products(const real *g, const real *x, int64_t runs, int64_t stride,
                                     int64_t n, double mean, double *sum_g, double *sum_gx) {
  wide sum[LANES] = { 0 }, sum2[LANES] = { 0 };
  double rest = 0, rest2 = 0;
  for (int64_t r = 0; r < runs; r++) {
    const real *p = g + r * stride, *q = x + r * stride;
    int64_t i = 0;
    for (; i + SPAN <= n; i += SPAN) {
      for (int k = 0; k < LANES; k++) {
        wide d = LOAD(p + i + k*LANES);
        sum[k] += d;
        sum2[k] += d * (LOAD(q + i + k*LANES) - mean);
      }
    }
    for (; i < n; i++) {
      rest += (double)p[i];
      rest2 += (double)p[i] * ((double)q[i] - mean);
    }
  }
  *sum_g = total(sum) + rest;
  *sum_gx = total(sum2) + rest2;
}

CR_VECTOR void cr_stats_run_scale(const real *x, int64_t runs, int64_t stride, int64_t n, real mean,
                                  real scale, real shift, real *y) {
  for (int64_t r = 0; r < runs; r++) {
    const real *restrict p = x + r * stride;
    real *restrict q = y + r * stride;
    for (int64_t i = 0; i < n; i++) q[i] = (p[i] - mean) * scale + shift;
  }
}

CR_VECTOR void cr_stats_run_blend(const real *g, const real *x, int64_t runs, int64_t stride,
                                  int64_t n, real mean, real a, real b, real c, real *gx) {
  for (int64_t r = 0; r < runs; r++) {
    const real *restrict p = g + r * stride, *restrict q = x + r * stride;
    real *restrict o = gx + r * stride;
    for (int64_t i = 0; i < n; i++) o[i] = a * p[i] + b * (q[i] - mean) + c;
  }
}

/* columns */

CR_VECTOR void cr_stats_column_moments(const real *x, int64_t rows, int64_t stride, int64_t width,
                                       double *mean, double *variance) {
  double origin[CR_STATS_WIDTH], sum[CR_STATS_WIDTH], sum2[CR_STATS_WIDTH];
  for (int64_t j = 0; j < width; j++) {
    origin[j] = rows > 0 ? (double)x[j] : 0;
    sum[j] = sum2[j] = 0;
  }
  for (int64_t r = 0; r < rows; r++) {
    const real *p = x + r * stride;
    for (int64_t j = 0; j < width; j++) {
      double d = (double)p[j] - origin[j];
      sum[j] += d;
      sum2[j] += d * d;
    }
  }
  for (int64_t j = 0; j < width; j++) {
    double first = sum[j] / (double)rows, spread = sum2[j] / (double)rows - first * first;
    mean[j] = origin[j] + first;
    variance[j] = spread < 0 ? 0 : spread;
  }
}

CR_VECTOR void cr_stats_column_products(const real *g, const real *x, int64_t rows, int64_t stride,
                                        int64_t width, const double *mean, double *sum_g,
                                        double *sum_gx) {
  double sum[CR_STATS_WIDTH] = { 0 }, sum2[CR_STATS_WIDTH] = { 0 };
  for (int64_t r = 0; r < rows; r++) {
    const real *p = g + r * stride, *q = x + r * stride;
    for (int64_t j = 0; j < width; j++) {
      sum[j] += (double)p[j];
      sum2[j] += (double)p[j] * ((double)q[j] - mean[j]);
    }
  }
  memcpy(sum_g, sum, (size_t)width * sizeof *sum);
  memcpy(sum_gx, sum2, (size_t)width * sizeof *sum2);
}

CR_VECTOR void cr_stats_column_scale(const real *x, int64_t rows, int64_t stride, int64_t width,
                                     const real *mean, const real *scale, const real *shift,
                                     real *y) {
  for (int64_t r = 0; r < rows; r++) {
    const real *restrict p = x + r * stride;
    real *restrict q = y + r * stride;
    for (int64_t j = 0; j < width; j++) q[j] = (p[j] - mean[j]) * scale[j] + shift[j];
  }
}

CR_VECTOR void cr_stats_column_blend(const real *g, const real *x, int64_t rows, int64_t stride,
                                     int64_t width, const real *mean, const real *a, const real *b,
                                     const real *c, real *gx) {
  for (int64_t r = 0; r < rows; r++) {
    const real *restrict p = g + r * stride, *restrict q = x + r * stride;
    real *restrict o = gx + r * stride;
    for (int64_t j = 0; j < width; j++) o[j] = a[j] * p[j] + b[j] * (q[j] - mean[j]) + c[j];
  }
}

/* rows */

static int64_t rows_a_block(int64_t n) { return n >= GRAIN ? 1 : GRAIN / (n > 1 ? n : 1); }

CR_VECTOR static void affine_row(const real *restrict x, int64_t n, real mean, real rstd,
                                 const real *restrict weight, const real *restrict bias,
                                 real *restrict y) {
  for (int64_t i = 0; i < n; i++) y[i] = (x[i] - mean) * rstd;
  if (weight) for (int64_t i = 0; i < n; i++) y[i] *= weight[i];
  if (bias) for (int64_t i = 0; i < n; i++) y[i] += bias[i];
}

static void forward_rows(void *context, int64_t begin, int64_t end) {
  const cr_stats_rows *job = context;
  for (int64_t r = begin; r < end; r++) {
    const real *x = job->x + r * job->n;
    double mean, variance;
    cr_stats_run_moments(x, 1, 0, job->n, &mean, &variance);
    if (!job->centred) {
      variance += mean * mean;
      mean = 0;
    }
    job->mean[r] = mean;
    job->rstd[r] = 1 / sqrt(variance + job->eps);
    affine_row(x, job->n, (real)mean, (real)job->rstd[r], job->weight, job->bias,
               job->y + r * job->n);
  }
}

void cr_stats_rows_forward(const cr_stats_rows *job) {
  cr_pool_for(job->rows, rows_a_block(job->n), forward_rows, (void *)(uintptr_t)job);
}

CR_VECTOR static void weigh(const real *restrict g, const real *restrict weight, int64_t n,
                            real *restrict out) {
  for (int64_t i = 0; i < n; i++) out[i] = g[i] * weight[i];
}

CR_VECTOR static void blend_in_place(real *restrict gx, const real *restrict x, int64_t n,
                                     real mean, real a, real b, real c) {
  for (int64_t i = 0; i < n; i++) gx[i] = a * gx[i] + b * (x[i] - mean) + c;
}

/* gx of a row first holds g weight, then the gradient */
static void backward_rows(void *context, int64_t begin, int64_t end) {
  const cr_stats_rows *job = context;
  int64_t n = job->n;
  for (int64_t r = begin; r < end; r++) {
    const real *x = job->x + r * n, *g = job->g + r * n;
    real *gx = job->gx + r * n;
    double mean = job->mean[r], rstd = job->rstd[r], sum_g, sum_gx;
    if (job->weight) weigh(g, job->weight, n, gx);
    else memcpy(gx, g, (size_t)n * sizeof *gx);
    cr_stats_run_products(gx, x, 1, 0, n, mean, &sum_g, &sum_gx);
    if (!job->centred) sum_g = 0;
    real a = (real)rstd, b = (real)(-rstd * rstd * rstd * sum_gx / (double)n);
    real c = (real)(-rstd * sum_g / (double)n), m = (real)mean;
    blend_in_place(gx, x, n, m, a, b, c);
  }
}

CR_VECTOR static void sum_columns(const cr_stats_rows *job, int64_t first, int64_t width,
                                  double *weight, double *bias) {
  for (int64_t r = 0; r < job->rows; r++) {
    const real *g = job->g + r * job->n + first, *x = job->x + r * job->n + first;
    double mean = job->mean[r], rstd = job->rstd[r];
    for (int64_t j = 0; j < width; j++) {
      bias[j] += (double)g[j];
      weight[j] += (double)g[j] * ((double)x[j] - mean) * rstd;
    }
  }
}

static void backward_columns(void *context, int64_t begin, int64_t end) {
  const cr_stats_rows *job = context;
  double weight[CR_STATS_WIDTH] = { 0 }, bias[CR_STATS_WIDTH] = { 0 };
  sum_columns(job, begin, end - begin, weight, bias);
  for (int64_t j = begin; j < end; j++) {
    if (job->gweight) job->gweight[j] = (real)weight[j - begin];
    if (job->gbias) job->gbias[j] = (real)bias[j - begin];
  }
}

void cr_stats_rows_backward(const cr_stats_rows *job) {
  void *context = (void *)(uintptr_t)job;
  if (job->gx) cr_pool_for(job->rows, rows_a_block(job->n), backward_rows, context);
  if (job->gweight || job->gbias) cr_pool_for(job->n, CR_STATS_WIDTH, backward_columns, context);
}

/* groups */

static void forward_groups(void *context, int64_t begin, int64_t end) {
  const cr_stats_groups *job = context;
  int64_t width = job->C / job->groups, n = width * job->S;
  for (int64_t k = begin; k < end; k++) {
    double mean, variance, rstd;
    cr_stats_run_moments(job->x + k * n, 1, 0, n, &mean, &variance);
    job->mean[k] = mean;
    job->rstd[k] = rstd = 1 / sqrt(variance + job->eps);
    for (int64_t j = 0; j < width; j++) {
      int64_t channel = k % job->groups * width + j, at = k * n + j * job->S;
      double weight = job->weight ? (double)job->weight[channel] : 1;
      real bias = job->bias ? job->bias[channel] : 0;
      cr_stats_run_scale(job->x + at, 1, 0, job->S, (real)mean, (real)(rstd * weight), bias,
                         job->y + at);
    }
  }
}

void cr_stats_groups_forward(const cr_stats_groups *job) {
  int64_t n = job->C / job->groups * job->S;
  cr_pool_for(job->B * job->groups, rows_a_block(n), forward_groups, (void *)(uintptr_t)job);
}

static void backward_groups(void *context, int64_t begin, int64_t end) {
  const cr_stats_groups *job = context;
  int64_t width = job->C / job->groups, n = width * job->S;
  for (int64_t k = begin; k < end; k++) {
    double mean = job->mean[k], rstd = job->rstd[k], sum_g = 0, sum_gx = 0;
    const real *weight = job->weight ? job->weight + k % job->groups * width : NULL;
    for (int64_t j = 0; j < width; j++) {
      double *sums = job->sums + 2 * (k * width + j), w = weight ? (double)weight[j] : 1;
      int64_t at = k * n + j * job->S;
      cr_stats_run_products(job->g + at, job->x + at, 1, 0, job->S, mean, &sums[0], &sums[1]);
      sum_g += w * sums[0];
      sum_gx += w * sums[1];
    }
    real b = (real)(-rstd * rstd * rstd * sum_gx / (double)n),
         c = (real)(-rstd * sum_g / (double)n);
    for (int64_t j = 0; job->gx && j < width; j++) {
      int64_t at = k * n + j * job->S;
      real a = (real)(rstd * (weight ? (double)weight[j] : 1));
      cr_stats_run_blend(job->g + at, job->x + at, 1, 0, job->S, (real)mean, a, b, c, job->gx + at);
    }
  }
}

void cr_stats_groups_backward(const cr_stats_groups *job) {
  int64_t width = job->C / job->groups;
  cr_pool_for(job->B * job->groups, rows_a_block(width * job->S), backward_groups,
              (void *)(uintptr_t)job);
  for (int64_t channel = 0; channel < job->C; channel++) {
    double weight = 0, bias = 0;
    for (int64_t b = 0; b < job->B; b++) {
      const double *sums = job->sums + 2 * (b * job->C + channel);
      bias += sums[0];
      weight += sums[1] * job->rstd[b * job->groups + channel / width];
    }
    if (job->gweight) job->gweight[channel] = (real)weight;
    if (job->gbias) job->gbias[channel] = (real)bias;
  }
}
