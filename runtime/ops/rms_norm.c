/* rms_norm.c - each row divided by its root mean square, then scaled place by place
 *
 *   out = x / sqrt(mean(x^2) + eps) weight              rows are the last dimension
 *
 * Zhang, Sennrich, "Root mean square layer normalization", NeurIPS 2019, eq. 4. */
#include <math.h>
#include "autograd/op.h"
#include "kernels/batch_stats.h"

enum { X, WEIGHT };
enum { EPS };

static const cr_input inputs[] = {
  [X]      = { "x", "... D", CR_TREAL, 0 },
  [WEIGHT] = { "weight", "D", CR_TREAL, CR_OPTIONAL },
  { 0 }
};
static const cr_output outputs[] = { { "out", "=0", CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [EPS] = { "eps", 1e-6, 0, INFINITY, "added to the mean square", CR_NUMBER },
  { 0 }
};

static int64_t rows_of(const cr_call *c) {
  return c->dim['D'] > 0 ? cr_tensor_numel(c->in[X]) / c->dim['D'] : 0;
}

static bool check(cr_call *c, cr_error *err) {
  (void)err;
  c->saved_bytes = 2 * (size_t)rows_of(c) * sizeof(double);
  return true;
}

static cr_stats_rows job_of(const cr_call *c) {
  int64_t rows = rows_of(c);
  return (cr_stats_rows){
    .rows = rows, .n = c->dim['D'], .centred = false, .eps = c->option[EPS],
    .x = cr_reals(c->in[X]), .weight = c->in[WEIGHT] ? cr_reals(c->in[WEIGHT]) : NULL,
    .mean = c->saved, .rstd = (double *)c->saved + rows,
  };
}

static void forward(cr_call *c) {
  cr_stats_rows job = job_of(c);
  job.y = cr_reals(c->out[0]);
  cr_stats_rows_forward(&job);
}

static void backward(cr_call *c) {
  cr_stats_rows job = job_of(c);
  job.g = cr_reals(c->gout[0]);
  job.gx = c->gin[X] ? cr_reals(c->gin[X]) : NULL;
  job.gweight = c->gin[WEIGHT] ? cr_reals(c->gin[WEIGHT]) : NULL;
  cr_stats_rows_backward(&job);
}

const cr_op cr_op_rms_norm = {
  .name = "rms_norm", .help = "each row divided by its root mean square",
  .formula = "out = x / sqrt(mean(x^2) + eps) weight",
  .paper = "Zhang, Sennrich, \"Root mean square layer normalization\", NeurIPS 2019, eq. 4",
  .inputs = inputs, .outputs = outputs, .options = options,
  .check = check, .forward = forward, .backward = backward,
};
