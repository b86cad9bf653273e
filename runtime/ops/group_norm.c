/* group_norm.c - the channels of each sample in groups, each group with mean 0 and variance 1
 *
 *   out = (x - mean_bg) / sqrt(var_bg + eps) weight_c + bias_c    x [B C ...], groups divides C
 *
 * Wu, He, "Group normalization", ECCV 2018. */
#include <math.h>
#include "autograd/op.h"
#include "kernels/batch_stats.h"

enum { X, WEIGHT, BIAS };
enum { GROUPS, EPS };

static const cr_input inputs[] = {
  [X]      = { "x", "...", CR_TREAL, 0 },
  [WEIGHT] = { "weight", "C", CR_TREAL, CR_OPTIONAL },
  [BIAS]   = { "bias", "C", CR_TREAL, CR_OPTIONAL },
  { 0 }
};
static const cr_output outputs[] = { { "out", "=0", CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [GROUPS] = { "groups", NAN, 1, 9e15, "how many groups the channels make", CR_COUNT, NULL, true },
  [EPS]    = { "eps", 1e-5, 0, INFINITY, "added to the variance", CR_NUMBER },
  { 0 }
};

/* saved: mean, then 1 / sqrt(var + eps), of each sample and group */
static cr_stats_groups job_of(const cr_call *c) {
  const cr_tensor *x = c->in[X];
  cr_stats_groups job = {
    .B = x->shape[0],
    .C = x->shape[1],
    .S = 1,
    .groups = (int64_t)c->option[GROUPS],
    .eps = c->option[EPS],
    .x = cr_reals(x),
    .weight = c->in[WEIGHT] ? cr_reals(c->in[WEIGHT]) : NULL,
    .mean = c->saved,
  };
  for (int d = 2; d < x->ndim; d++) job.S *= x->shape[d];
  job.rstd = job.mean + job.B * job.groups;
  return job;
}

static bool check(cr_call *c, cr_error *err) {
  const cr_tensor *x = c->in[X];
  char got[CR_SHAPE_TEXT];
  if (x->ndim < 2)
    return cr_fail(err, CR_ESHAPE, "x must have shape [B, C, ...], got %s",
                   cr_shape_text(x->ndim, x->shape, got));
  int64_t C = x->shape[1];
  for (int i = WEIGHT; i <= BIAS; i++)
    if (c->in[i] && c->in[i]->shape[0] != C)
      return cr_fail(err, CR_ESHAPE,
                     "%s must have shape [%lld], one for each channel of x, got %lld",
                     inputs[i].name, (long long)C, (long long)c->in[i]->shape[0]);
  if (C % (int64_t)c->option[GROUPS] != 0)
    return cr_fail(err, CR_EVALUE, "groups = %.0f does not divide the %lld channels of x",
                   c->option[GROUPS], (long long)C);
  cr_stats_groups job = job_of(c);
  c->saved_bytes = 2 * (size_t)(job.B * job.groups) * sizeof(double);
  c->backward_scratch_bytes = 2 * (size_t)(job.B * job.C) * sizeof(double);
  return true;
}

static void forward(cr_call *c) {
  cr_stats_groups job = job_of(c);
  job.bias = c->in[BIAS] ? cr_reals(c->in[BIAS]) : NULL;
  job.y = cr_reals(c->out[0]);
  cr_stats_groups_forward(&job);
}

static void backward(cr_call *c) {
  cr_stats_groups job = job_of(c);
  job.sums = c->scratch;
  job.g = cr_reals(c->gout[0]);
  job.gx = c->gin[X] ? cr_reals(c->gin[X]) : NULL;
  job.gweight = c->gin[WEIGHT] ? cr_reals(c->gin[WEIGHT]) : NULL;
  job.gbias = c->gin[BIAS] ? cr_reals(c->gin[BIAS]) : NULL;
  cr_stats_groups_backward(&job);
}

const cr_op cr_op_group_norm = {
  .name = "group_norm", .help = "groups of channels of each sample with mean 0 and variance 1",
  .formula = "out = (x - mean) / sqrt(var + eps) weight_c + bias_c",
  .paper = "Wu, He, \"Group normalization\", ECCV 2018",
  .inputs = inputs, .outputs = outputs, .options = options,
  .backward_reads = CR_READS_IN0 | CR_READS_IN1,
  .check = check, .forward = forward, .backward = backward,
};
