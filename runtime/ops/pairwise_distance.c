/* pairwise_distance.c - the distance of each row of x from the same row of y
 *
 *   out = ||x - y + eps||_p             rows are the last dimension; x and y of one shape
 *
 * eps is added to each difference, as torch does, so that equal rows have a distance with a slope.
 * Where the distance is 0 all the same, the gradient is 0. For all pairs of rows see cdist. */
#include <tgmath.h>
#include "autograd/op.h"
#include "base/pool.h"

enum { X, Y };
enum { P, EPS, KEEPDIM };

static const cr_input inputs[] = {
  [X] = { "x", "... D", CR_TREAL, 0 },
  [Y] = { "y", "... D", CR_TREAL, 0 },
  { 0 }
};
static const cr_output outputs[] = { { "out", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [P]       = { "p", 2, 1, 1e6, "power of the norm", CR_NUMBER },
  [EPS]     = { "eps", 1e-6, 0, INFINITY, "added to each difference", CR_NUMBER },
  [KEEPDIM] = { "keepdim", 0, 0, 1, "the last dimension stays, with size 1", CR_FLAG },
  { 0 }
};

static bool check(cr_call *c, cr_error *err) {
  const cr_tensor *x = c->in[X], *y = c->in[Y];
  char want[CR_SHAPE_TEXT], got[CR_SHAPE_TEXT];
  int64_t shape[CR_MAX_DIMS];
  if (!cr_tensor_same_shape(x, y))
    return cr_fail(err, CR_ESHAPE, "y must have shape %s as x, got %s",
                   cr_shape_text(x->ndim, x->shape, want), cr_shape_text(y->ndim, y->shape, got));
  for (int d = 0; d < x->ndim; d++) shape[d] = d < x->ndim - 1 ? x->shape[d] : 1;
  cr_out_shape(c, 0, c->option[KEEPDIM] != 0 ? x->ndim : x->ndim - 1, shape);
  return true;
}

typedef struct job {
  int64_t D;
  double p, eps;
  const real *x, *y, *out, *g;
  real *to, *gx, *gy;
} job;

static job job_of(const cr_call *c) {
  return (job){
    .D = c->dim['D'], .p = c->option[P], .eps = c->option[EPS],
    .x = cr_reals(c->in[X]), .y = cr_reals(c->in[Y]), .out = cr_reals(c->out[0]),
  };
}

static void forward_rows(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  for (int64_t r = begin; r < end; r++) {
    double sum = 0;
    for (int64_t i = r * j->D; i < (r + 1) * j->D; i++) {
      double d = fabs((double)j->x[i] - (double)j->y[i] + j->eps);
      sum += j->p == 2 ? d * d : j->p == 1 ? d : pow(d, j->p);
    }
    j->to[r] = (real)(j->p == 2 ? sqrt(sum) : j->p == 1 ? sum : pow(sum, 1 / j->p));
  }
}

/* d out / d x_i = sign(d_i) (|d_i| / out)^(p-1) */
static void backward_rows(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  for (int64_t r = begin; r < end; r++) {
    double norm = (double)j->out[r], g = (double)j->g[r];
    for (int64_t i = r * j->D; i < (r + 1) * j->D; i++) {
      double d = (double)j->x[i] - (double)j->y[i] + j->eps, slope = 0;
      if (norm > 0 && d != 0)
        slope = copysign(j->p == 1 ? 1 : pow(fabs(d) / norm, j->p - 1), d);
      if (j->gx) j->gx[i] = (real)(g * slope);
      if (j->gy) j->gy[i] = (real)(-g * slope);
    }
  }
}

static void spread(const cr_call *c, cr_range_fn fn, job *j) {
  int64_t D = j->D > 0 ? j->D : 1, rows = j->D > 0 ? cr_tensor_numel(c->in[X]) / D : 0;
  cr_pool_for(rows, 8192 / D > 1 ? 8192 / D : 1, fn, j);
}

static void forward(cr_call *c) {
  job j = job_of(c);
  j.to = cr_reals(c->out[0]);
  if (j.D == 0) cr_tensor_fill(c->out[0], 0);
  spread(c, forward_rows, &j);
}

static void backward(cr_call *c) {
  job j = job_of(c);
  j.g = cr_reals(c->gout[0]);
  j.gx = c->gin[X] ? cr_reals(c->gin[X]) : NULL;
  j.gy = c->gin[Y] ? cr_reals(c->gin[Y]) : NULL;
  spread(c, backward_rows, &j);
}

const cr_op cr_op_pairwise_distance = {
  .name = "pairwise_distance", .help = "the distance of each row of x from the same row of y",
  .formula = "out = ||x - y + eps||_p",
  .inputs = inputs, .outputs = outputs, .options = options,
  .backward_reads = CR_READS_IN0 | CR_READS_IN1 | CR_READS_OUT0,
  .check = check, .forward = forward, .backward = backward,
};
