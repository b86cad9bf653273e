/* batch_norm.c - each channel with mean 0 and variance 1 over the batch, then scaled and shifted
 *
 *   out = (x - mean_c) / sqrt(var_c + eps) weight_c + bias_c                x [B C ...]
 *
 * training: mean and variance (divided by N) of this batch; running statistics, where given, move a
 * step of `momentum` towards them, the variance towards N / (N-1) of it. Not training: the running
 * statistics stand in for mean and variance.
 *
 *   crun.batch_norm(x, weight, bias, running_mean, running_var, { training = true })
 *                                                          nil for what is not wanted
 *
 * Ioffe, Szegedy, "Batch normalization: accelerating deep network training by reducing internal
 * covariate shift", ICML 2015, algorithm 1. Backward keeps x and two numbers a channel, not the
 * normalised activations. */
#include <math.h>
#include "autograd/op.h"
#include "base/pool.h"
#include "kernels/batch_stats.h"

enum { X, WEIGHT, BIAS, RUNNING_MEAN, RUNNING_VAR };
enum { TRAINING, MOMENTUM, EPS };

static const cr_input inputs[] = {
  [X]            = { "x", "...", CR_TREAL, 0 },
  [WEIGHT]       = { "weight", "C", CR_TREAL, CR_OPTIONAL },
  [BIAS]         = { "bias", "C", CR_TREAL, CR_OPTIONAL },
  [RUNNING_MEAN] = { "running_mean", "C", CR_TREAL, CR_OPTIONAL | CR_NOGRAD | CR_INPLACE },
  [RUNNING_VAR]  = { "running_var", "C", CR_TREAL, CR_OPTIONAL | CR_NOGRAD | CR_INPLACE },
  { 0 }
};
static const cr_output outputs[] = { { "out", "=0", CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [TRAINING] = { "training", 1, 0, 1, "use and follow the statistics of this batch", CR_FLAG },
  [MOMENTUM] = { "momentum", 0.1, 0, 1, "how far the running statistics move towards the batch",
                 CR_NUMBER },
  [EPS]      = { "eps", 1e-5, 0, INFINITY, "added to the variance", CR_NUMBER },
  { 0 }
};

/* x as B planes of S numbers for each of C channels; saved holds mean[C], then 1 / sqrt(var +
 * eps)[C] */
typedef struct sizes { int64_t B, C, S; } sizes;

static sizes sizes_of(const cr_tensor *x) {
  sizes z = { x->shape[0], x->shape[1], 1 };
  for (int d = 2; d < x->ndim; d++) z.S *= x->shape[d];
  return z;
}

static bool check(cr_call *c, cr_error *err) {
  const cr_tensor *x = c->in[X];
  char got[CR_SHAPE_TEXT];
  if (x->ndim < 2)
    return cr_fail(err, CR_ESHAPE, "x must have shape [B, C, ...], got %s",
                   cr_shape_text(x->ndim, x->shape, got));
  sizes z = sizes_of(x);
  for (int i = WEIGHT; i <= RUNNING_VAR; i++)
    if (c->in[i] && c->in[i]->shape[0] != z.C)
      return cr_fail(err, CR_ESHAPE,
                     "%s must have shape [%lld], one for each channel of x, got %lld",
                     inputs[i].name, (long long)z.C, (long long)c->in[i]->shape[0]);
  if (c->option[TRAINING] != 0 && z.B * z.S < 2)
    return cr_fail(err, CR_ESHAPE,
                   "training needs 2 values or more of each channel, got x of shape %s",
                   cr_shape_text(x->ndim, x->shape, got));
  if (c->option[TRAINING] == 0 && (!c->in[RUNNING_MEAN] || !c->in[RUNNING_VAR]))
    return cr_fail(err, CR_EVALUE,
                   "running_mean and running_var are needed when training is false");
  c->saved_bytes = 2 * (size_t)z.C * sizeof(double);
  return true;
}

typedef struct job {
  cr_call *c;
  sizes z;
  int64_t channels;       /* a block takes this many */
} job;

/* Mean and variance of channels first .. first + width - 1 into saved; moves the running
 * statistics. */
static void settle(const job *j, int64_t first, int64_t width, const double *mean,
                   const double *var) {
  cr_call *c = j->c;
  double *saved_mean = c->saved, *saved_rstd = saved_mean + j->z.C, momentum = c->option[MOMENTUM];
  double n = (double)(j->z.B * j->z.S);
  for (int64_t k = 0; k < width; k++) {
    int64_t channel = first + k;
    saved_mean[channel] = mean[k];
    saved_rstd[channel] = 1 / sqrt(var[k] + c->option[EPS]);
    if (c->option[TRAINING] == 0) continue;
    if (c->in[RUNNING_MEAN]) {
      real *running = &cr_reals(c->in[RUNNING_MEAN])[channel];
      *running = (real)((1 - momentum) * (double)*running + momentum * mean[k]);
    }
    if (c->in[RUNNING_VAR]) {
      real *running = &cr_reals(c->in[RUNNING_VAR])[channel];
      *running = (real)((1 - momentum) * (double)*running + momentum * var[k] * n / (n - 1));
    }
  }
}

static void running(const cr_call *c, int64_t first, int64_t width, double *mean, double *var) {
  for (int64_t k = 0; k < width; k++) {
    mean[k] = (double)cr_reals(c->in[RUNNING_MEAN])[first + k];
    var[k] = (double)cr_reals(c->in[RUNNING_VAR])[first + k];
  }
}

static real factor(const cr_tensor *weight, int64_t channel) {
  return weight ? cr_reals(weight)[channel] : 1;
}

/* A block of channels, start to end, while its numbers are still in the cache: [B C] as columns, [B
 * C S] as runs. */
static void forward_channels(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const cr_call *c = j->c;
  sizes z = j->z;
  const real *x = cr_reals(c->in[X]);
  double mean[CR_STATS_WIDTH], var[CR_STATS_WIDTH];
  real m[CR_STATS_WIDTH], scale[CR_STATS_WIDTH], shift[CR_STATS_WIDTH], *y = cr_reals(c->out[0]);
  bool training = c->option[TRAINING] != 0;
  int64_t width = end - begin;
  if (!training) running(c, begin, width, mean, var);
  else if (z.S == 1) cr_stats_column_moments(x + begin, z.B, z.C, width, mean, var);
  else
    for (int64_t k = 0; k < width; k++)
      cr_stats_run_moments(x + (begin + k) * z.S, z.B, z.C * z.S, z.S, &mean[k], &var[k]);
  settle(j, begin, width, mean, var);
  for (int64_t k = 0; k < width; k++) {
    m[k] = (real)mean[k];
    scale[k] =
        (real)(((double *)c->saved)[z.C + begin + k] * (double)factor(c->in[WEIGHT], begin + k));
    shift[k] = c->in[BIAS] ? cr_reals(c->in[BIAS])[begin + k] : 0;
  }
  if (z.S == 1) cr_stats_column_scale(x + begin, z.B, z.C, width, m, scale, shift, y + begin);
  else
    for (int64_t k = 0; k < width; k++)
      cr_stats_run_scale(x + (begin + k) * z.S, z.B, z.C * z.S, z.S, m[k], scale[k], shift[k],
                         y + (begin + k) * z.S);
}

/* With r = 1 / sqrt(var + eps) and N = B S values a channel:
 *   gx = weight r (g - sum(g) / N - (x - mean) r^2 sum(g (x - mean)) / N)
 * without the two sums when not training */
static void backward_channels(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const cr_call *c = j->c;
  sizes z = j->z;
  const real *x = cr_reals(c->in[X]), *g = cr_reals(c->gout[0]);
  const double *mean = (const double *)c->saved + begin, *rstd = mean + z.C;
  double sum_g[CR_STATS_WIDTH], sum_gx[CR_STATS_WIDTH], n = (double)(z.B * z.S);
  real m[CR_STATS_WIDTH], a[CR_STATS_WIDTH], b[CR_STATS_WIDTH], d[CR_STATS_WIDTH];
  bool training = c->option[TRAINING] != 0;
  int64_t width = end - begin;
  if (z.S == 1)
    cr_stats_column_products(g + begin, x + begin, z.B, z.C, width, mean, sum_g, sum_gx);
  for (int64_t k = 0; k < width; k++) {
    int64_t at = (begin + k) * z.S;
    if (z.S != 1)
      cr_stats_run_products(g + at, x + at, z.B, z.C * z.S, z.S, mean[k], &sum_g[k], &sum_gx[k]);
    double w = (double)factor(c->in[WEIGHT], begin + k), r = rstd[k];
    m[k] = (real)mean[k];
    a[k] = (real)(w * r);
    b[k] = training ? (real)(-w * r * r * r * sum_gx[k] / n) : 0;
    d[k] = training ? (real)(-w * r * sum_g[k] / n) : 0;
    if (c->gin[WEIGHT]) cr_reals(c->gin[WEIGHT])[begin + k] = (real)(sum_gx[k] * r);
    if (c->gin[BIAS]) cr_reals(c->gin[BIAS])[begin + k] = (real)sum_g[k];
    if (c->gin[X] && z.S != 1)
      cr_stats_run_blend(g + at, x + at, z.B, z.C * z.S, z.S, m[k], a[k], b[k], d[k],
                         cr_reals(c->gin[X]) + at);
  }
  if (c->gin[X] && z.S == 1)
    cr_stats_column_blend(g + begin, x + begin, z.B, z.C, width, m, a, b, d,
                          cr_reals(c->gin[X]) + begin);
}

/* Channels are the blocks. [B C] takes 64 neighbours at a time, which share cache lines; [B C S] as
 * few as keep a thread busy, 16384 numbers. */
static void spread(cr_call *c, cr_range_fn fn) {
  job j = { c, sizes_of(c->in[X]), CR_STATS_WIDTH };
  int64_t each = j.z.B * j.z.S;
  if (j.z.S > 1 && each > 256) j.channels = each < 16384 ? 16384 / each : 1;
  cr_pool_for(j.z.C, j.channels, fn, &j);
}

static void forward(cr_call *c) { spread(c, forward_channels); }
static void backward(cr_call *c) { spread(c, backward_channels); }

const cr_op cr_op_batch_norm = {
  .name = "batch_norm", .help = "each channel with mean 0 and variance 1 over the batch",
  .formula = "out = (x - mean_c) / sqrt(var_c + eps) weight_c + bias_c",
  .paper = "Ioffe, Szegedy, \"Batch normalization\", ICML 2015, algorithm 1",
  .inputs = inputs, .outputs = outputs, .options = options,
  .backward_reads = CR_READS_IN0 | CR_READS_IN1,
  .check = check, .forward = forward, .backward = backward,
};
