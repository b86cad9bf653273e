/* instance_norm.c - each channel of each sample with mean 0 and variance 1
 *
 *   out = (x - mean_bc) / sqrt(var_bc + eps) weight_c + bias_c             x [B C ...]
 *
 * Ulyanov, Vedaldi, Lempitsky, "Instance normalization", 2016. */
#include <math.h>
#include "autograd/op.h"
#include "kernels/batch_stats.h"

enum { X, WEIGHT, BIAS };
enum { EPS };

static const cr_input inputs[] = {
  [X]      = { "x", "...", CR_TREAL, 0 },
  [WEIGHT] = { "weight", "C", CR_TREAL, CR_OPTIONAL },
  [BIAS]   = { "bias", "C", CR_TREAL, CR_OPTIONAL },
  { 0 }
};
static const cr_output outputs[] = { { "out", "=0", CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [EPS] = { "eps", 1e-5, 0, INFINITY, "added to the variance", CR_NUMBER },
  { 0 }
};

/* saved: mean, then 1 / sqrt(var + eps), of each sample and group */
static cr_stats_groups job_of(const cr_call *c) {
  const cr_tensor *x = c->in[X];
  cr_stats_groups job = {
    .B = x->shape[0], .C = x->shape[1], .S = 1, .groups = x->shape[1], .eps = c->option[EPS],
    .x = cr_reals(x), .weight = c->in[WEIGHT] ? cr_reals(c->in[WEIGHT]) : NULL, .mean = c->saved,
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

const cr_op cr_op_instance_norm = {
  .name = "instance_norm", .help = "each channel of each sample with mean 0 and variance 1",
  .formula = "out = (x - mean) / sqrt(var + eps) weight_c + bias_c",
  .paper = "Ulyanov, Vedaldi, Lempitsky, \"Instance normalization\", 2016",
  .inputs = inputs, .outputs = outputs, .options = options,
  .backward_reads = CR_READS_IN0 | CR_READS_IN1,
  .check = check, .forward = forward, .backward = backward,
};
