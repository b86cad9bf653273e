/* normalize.c - rows of length 1
 *
 *   out = x / max(||x||_p, eps)              along dim, by default the last
 *
 * A zero row stays zero; below eps the divisor is a constant. For p < 2 a zero element has gradient
 * g / ||x|| alone. */
#include <tgmath.h>
#include "autograd/op.h"
#include "base/pool.h"
#include "kernels/batch_stats.h"

enum { P, DIM, EPS };
enum { WIDTH = CR_STATS_WIDTH };

static const cr_input inputs[] = { { "x", "...", CR_TREAL, 0 }, { 0 } };
static const cr_output outputs[] = { { "out", "=0", CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [P]   = { "p", 2, 1, 1e6, "power of the norm", CR_NUMBER },
  [DIM] = { "dim", -1, -CR_MAX_DIMS, CR_MAX_DIMS, "dimension to normalise along", CR_DIM },
  [EPS] = { "eps", 1e-12, 0, INFINITY, "least divisor", CR_NUMBER },
  { 0 }
};

/* x seen as [outer, n, inner], lines of n numbers `inner` apart; saved holds the norm of each line
 * as double */
typedef struct job {
  int64_t outer, n, inner, chunks;      /* inner in pieces of WIDTH */
  double p, eps, *norm;
  const real *x, *g;
  real *y;
} job;

static job job_of(cr_call *c, const cr_tensor *x) {
  job j = { .outer = 1, .inner = 1, .p = c->option[P], .eps = c->option[EPS], .norm = c->saved };
  int dim;
  cr_option_dim(c, DIM, x->ndim, &dim, NULL);
  for (int d = 0; d < dim; d++) j.outer *= x->shape[d];
  for (int d = dim + 1; d < x->ndim; d++) j.inner *= x->shape[d];
  j.n = x->shape[dim];
  j.chunks = (j.inner + WIDTH - 1) / WIDTH;
  j.x = cr_reals(x);
  return j;
}

static bool check(cr_call *c, cr_error *err) {
  int dim;
  if (!cr_option_dim(c, DIM, c->in[0]->ndim, &dim, err)) return false;
  job j = job_of(c, c->in[0]);
  c->saved_bytes = (size_t)(j.outer * j.inner) * sizeof(double);
  return true;
}

/* Rows of a matrix in the 2-norm, the case that matters. */
static void forward_rows(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  for (int64_t r = begin; r < end; r++) {
    const real *x = j->x + r * j->n;
    double norm = j->norm[r] = sqrt(cr_stats_dot(x, x, j->n));
    cr_stats_run_scale(x, 1, 0, j->n, 0, (real)(1 / fmax(norm, j->eps)), 0, j->y + r * j->n);
  }
}

/* gx = g / s - x (g.x) / s^3 */
static void backward_rows(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  for (int64_t r = begin; r < end; r++) {
    const real *x = j->x + r * j->n, *g = j->g + r * j->n;
    double s = fmax(j->norm[r], j->eps), along = 0;
    if (j->norm[r] > j->eps) along = cr_stats_dot(g, x, j->n) / s / s / s;
    cr_stats_run_blend(g, x, 1, 0, j->n, 0, (real)(1 / s), (real)-along, 0, j->y + r * j->n);
  }
}

/* A block is a piece of up to WIDTH neighbouring lines; from is its first element. */
static int64_t piece(const job *j, int64_t block, int64_t *from, int64_t *line) {
  int64_t first = block % j->chunks * WIDTH, outer = block / j->chunks;
  *from = outer * j->n * j->inner + first;
  *line = outer * j->inner + first;
  return j->inner - first < WIDTH ? j->inner - first : WIDTH;
}

static void forward_lines(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  for (int64_t block = begin; block < end; block++) {
    int64_t from, line, width = piece(j, block, &from, &line);
    double sum[WIDTH] = { 0 };
    for (int64_t i = 0; i < j->n; i++)
      for (int64_t k = 0; k < width; k++) {
        double a = fabs((double)j->x[from + i * j->inner + k]);
        sum[k] += j->p == 2 ? a * a : j->p == 1 ? a : pow(a, j->p);
      }
    for (int64_t k = 0; k < width; k++)
      j->norm[line + k] = j->p == 2 ? sqrt(sum[k]) : j->p == 1 ? sum[k] : pow(sum[k], 1 / j->p);
    for (int64_t i = 0; i < j->n; i++)
      for (int64_t k = 0; k < width; k++)
        j->y[from + i * j->inner + k] =
          (real)((double)j->x[from + i * j->inner + k] / fmax(j->norm[line + k], j->eps));
  }
}

/* gx = g / s - (g.x) / s^2 sign(x) (|x| / s)^(p-1) */
static void backward_lines(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  for (int64_t block = begin; block < end; block++) {
    int64_t from, line, width = piece(j, block, &from, &line);
    double sum[WIDTH] = { 0 };
    for (int64_t i = 0; i < j->n; i++)
      for (int64_t k = 0; k < width; k++)
        sum[k] += (double)j->g[from + i * j->inner + k] * (double)j->x[from + i * j->inner + k];
    for (int64_t i = 0; i < j->n; i++)
      for (int64_t k = 0; k < width; k++) {
        double s = fmax(j->norm[line + k], j->eps), x = (double)j->x[from + i * j->inner + k];
        double gx = (double)j->g[from + i * j->inner + k] / s;
        if (j->norm[line + k] > j->eps && x != 0) {
          double slope = j->p == 2 ? fabs(x) / s : j->p == 1 ? 1 : pow(fabs(x) / s, j->p - 1);
          gx -= sum[k] / s / s * copysign(slope, x);
        }
        j->y[from + i * j->inner + k] = (real)gx;
      }
  }
}

static void spread(const job *j, cr_range_fn rows, cr_range_fn lines) {
  bool plain = j->p == 2 && j->inner == 1;
  int64_t each = (j->n > 1 ? j->n : 1) * (plain ? 1 : j->inner < WIDTH ? j->inner + 1 : WIDTH);
  int64_t grain = 16384 / each > 1 ? 16384 / each : 1;
  cr_pool_for(plain ? j->outer : j->outer * j->chunks, grain, plain ? rows : lines,
              (void *)(uintptr_t)j);
}

static void forward(cr_call *c) {
  job j = job_of(c, c->in[0]);
  j.y = cr_reals(c->out[0]);
  spread(&j, forward_rows, forward_lines);
}

static void backward(cr_call *c) {
  job j = job_of(c, c->in[0]);
  j.g = cr_reals(c->gout[0]);
  j.y = cr_reals(c->gin[0]);
  spread(&j, backward_rows, backward_lines);
}

const cr_op cr_op_normalize = {
  .name = "normalize", .help = "rows of length 1",
  .formula = "out = x / max(||x||_p, eps)",
  .inputs = inputs, .outputs = outputs, .options = options,
  .check = check, .forward = forward, .backward = backward,
};
