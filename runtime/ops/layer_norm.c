/* layer_norm.c - each row with mean 0 and variance 1, then scaled and shifted place by place
 *
 *   out = (x - mean) / sqrt(var + eps) weight + bias
 *
 * A row is what the last dimensions hold: as many as normalized_shape lists, or as weight has, or
 * else one. var is divided by the length of the row. Ba, Kiros, Hinton, "Layer normalization",
 * 2016, eq. 4. */
#include <math.h>
#include <string.h>
#include "autograd/op.h"
#include "kernels/batch_stats.h"

enum { X, WEIGHT, BIAS };
enum { NORMALIZED_SHAPE, EPS };

static const cr_input inputs[] = {
  [X]      = { "x", "...", CR_TREAL, 0 },
  [WEIGHT] = { "weight", "...", CR_TREAL, CR_OPTIONAL },
  [BIAS]   = { "bias", "...", CR_TREAL, CR_OPTIONAL },
  { 0 }
};
static const cr_output outputs[] = { { "out", "=0", CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [NORMALIZED_SHAPE] = { "normalized_shape", NAN, 1, 9e15,
                         "sizes of the last dimensions that make a row", CR_COUNTS },
  [EPS]              = { "eps", 1e-5, 0, INFINITY, "added to the variance", CR_NUMBER },
  { 0 }
};

static bool fits(const char *name, int ndim, const int64_t *shape, const cr_tensor *x,
                 cr_error *err) {
  char want[CR_SHAPE_TEXT], got[CR_SHAPE_TEXT];
  if (ndim <= x->ndim &&
      memcmp(shape, x->shape + x->ndim - ndim, (size_t)ndim * sizeof *shape) == 0)
    return true;
  return cr_fail(err, CR_ESHAPE, "%s must be the last sizes of x of shape %s, got %s", name,
                 cr_shape_text(x->ndim, x->shape, want), cr_shape_text(ndim, shape, got));
}

/* saved: how many rows of how many numbers, then mean and 1 / sqrt(var + eps) of each */
typedef struct layout { int64_t rows, n; double stats[]; } layout;

static bool layout_of(const cr_call *c, layout *l, cr_error *err) {
  const cr_tensor *x = c->in[X], *weight = c->in[WEIGHT], *bias = c->in[BIAS];
  const cr_list *shape = &c->list[NORMALIZED_SHAPE];
  int ndim = shape->n > 0 ? shape->n : weight ? weight->ndim : bias ? bias->ndim : 1;
  if (x->ndim == 0) return cr_fail(err, CR_ESHAPE, "x must have 1 dimension or more");
  if (!fits("normalized_shape", shape->n, shape->at, x, err)) return false;
  if (weight && !fits("weight", weight->ndim, weight->shape, x, err)) return false;
  if (bias && !fits("bias", bias->ndim, bias->shape, x, err)) return false;
  if ((weight && weight->ndim != ndim) || (bias && bias->ndim != ndim))
    return cr_fail(err, CR_ESHAPE,
                   "normalized_shape, weight and bias must have as many dimensions");
  l->n = 1;
  for (int d = x->ndim - ndim; d < x->ndim; d++) l->n *= x->shape[d];
  l->rows = l->n > 0 ? cr_tensor_numel(x) / l->n : 0;
  return true;
}

static bool check(cr_call *c, cr_error *err) {
  layout l = { 0, 0 };
  if (!layout_of(c, &l, err)) return false;
  c->saved_bytes = sizeof l + 2 * (size_t)l.rows * sizeof(double);
  return true;
}

static cr_stats_rows job_of(const cr_call *c) {
  layout *l = c->saved;
  return (cr_stats_rows){
    .rows = l->rows, .n = l->n, .centred = true, .eps = c->option[EPS],
    .x = cr_reals(c->in[X]), .weight = c->in[WEIGHT] ? cr_reals(c->in[WEIGHT]) : NULL,
    .mean = l->stats, .rstd = l->stats + l->rows,
  };
}

static void forward(cr_call *c) {
  layout_of(c, c->saved, NULL);
  cr_stats_rows job = job_of(c);
  job.bias = c->in[BIAS] ? cr_reals(c->in[BIAS]) : NULL;
  job.y = cr_reals(c->out[0]);
  cr_stats_rows_forward(&job);
}

static void backward(cr_call *c) {
  cr_stats_rows job = job_of(c);
  job.g = cr_reals(c->gout[0]);
  job.gx = c->gin[X] ? cr_reals(c->gin[X]) : NULL;
  job.gweight = c->gin[WEIGHT] ? cr_reals(c->gin[WEIGHT]) : NULL;
  job.gbias = c->gin[BIAS] ? cr_reals(c->gin[BIAS]) : NULL;
  cr_stats_rows_backward(&job);
}

const cr_op cr_op_layer_norm = {
  .name = "layer_norm", .help = "each row with mean 0 and variance 1",
  .formula = "out = (x - mean) / sqrt(var + eps) weight + bias",
  .paper = "Ba, Kiros, Hinton, \"Layer normalization\", 2016, eq. 4",
  .inputs = inputs, .outputs = outputs, .options = options,
  .backward_reads = CR_READS_IN0 | CR_READS_IN1,
  .check = check, .forward = forward, .backward = backward,
};
