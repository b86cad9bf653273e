/* cosine_similarity.c - the cosine of the angle between lines of x and lines of y
 *
 *   out = x.y / (max(||x||, eps) max(||y||, eps))        along dim, by default the last
 *
 * The other dimensions broadcast.
 *
 * A zero line has similarity 0 and no gradient through its length. */
#include <math.h>
#include "autograd/op.h"
#include "base/pool.h"

enum { X, Y };
enum { DIM, EPS };

static const cr_input inputs[] = {
  [X] = { "x", "...", CR_TREAL, 0 },
  [Y] = { "y", "...", CR_TREAL, 0 },
  { 0 }
};
static const cr_output outputs[] = { { "out", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [DIM] = { "dim", -1, -CR_MAX_DIMS, CR_MAX_DIMS, "dimension to compare along", CR_DIM },
  [EPS] = { "eps", 1e-8, 0, INFINITY, "least length of a line", CR_NUMBER },
  { 0 }
};

/* The common shape without dim, and the steps from a place in it to the start of its line in x and
 * in y (0 where they repeat). */
typedef struct job {
  int ndim;
  int64_t shape[CR_MAX_DIMS], step[2][CR_MAX_DIMS], n, along[2];
  double eps;
  const real *x, *y, *g;
  real *out;
  double *gx, *gy;
} job;

static bool job_of(cr_call *c, job *j, cr_error *err) {
  const cr_tensor *in[2] = { c->in[X], c->in[Y] };
  int64_t shape[CR_MAX_DIMS];
  int ndim, dim;
  char a[CR_SHAPE_TEXT], b[CR_SHAPE_TEXT];
  if (!cr_shape_broadcast(in[0]->ndim, in[0]->shape, in[1]->ndim, in[1]->shape, &ndim, shape))
    return cr_fail(err, CR_ESHAPE, "x of shape %s and y of shape %s do not fit",
                   cr_shape_text(in[0]->ndim, in[0]->shape, a),
                   cr_shape_text(in[1]->ndim, in[1]->shape, b));
  if (!cr_option_dim(c, DIM, ndim, &dim, err)) return false;
  *j = (job){ .n = shape[dim], .eps = c->option[EPS], .x = cr_reals(in[0]), .y = cr_reals(in[1]) };
  for (int d = 0; d < ndim; d++) {
    int64_t step[2];
    for (int k = 0; k < 2; k++) {
      int own = d - ndim + in[k]->ndim;
      step[k] = own < 0 || in[k]->shape[own] == 1 ? 0 : in[k]->stride[own];
      if (d == dim) j->along[k] = step[k];
      else j->step[k][j->ndim] = step[k];
    }
    if (d != dim) j->shape[j->ndim++] = shape[d];
  }
  return true;
}

static bool check(cr_call *c, cr_error *err) {
  job j;
  if (!job_of(c, &j, err)) return false;
  cr_out_shape(c, 0, j.ndim, j.shape);
  size_t numbers = (size_t)(cr_tensor_numel(c->in[X]) + cr_tensor_numel(c->in[Y]));
  c->backward_scratch_bytes = numbers * sizeof(double);
  return true;
}

/* offsets of the two lines of place r */
static void lines(const job *j, int64_t r, int64_t *x, int64_t *y) {
  *x = *y = 0;
  for (int d = j->ndim - 1; d >= 0; d--) {
    *x += r % j->shape[d] * j->step[X][d];
    *y += r % j->shape[d] * j->step[Y][d];
    r /= j->shape[d];
  }
}

static void products(const job *j, int64_t x, int64_t y, double *xy, double *xx, double *yy) {
  *xy = *xx = *yy = 0;
  for (int64_t i = 0; i < j->n; i++) {
    double a = (double)j->x[x + i * j->along[X]], b = (double)j->y[y + i * j->along[Y]];
    *xy += a * b;
    *xx += a * a;
    *yy += b * b;
  }
}

static void forward_lines(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  for (int64_t r = begin; r < end; r++) {
    int64_t x, y;
    double xy, xx, yy;
    lines(j, r, &x, &y);
    products(j, x, y, &xy, &xx, &yy);
    j->out[r] = (real)(xy / (fmax(sqrt(xx), j->eps) * fmax(sqrt(yy), j->eps)));
  }
}

/* d out / dx = y / (|x| |y|) - out x / |x|^2, the second term only where |x| is past eps; likewise
 * y */
static void backward_lines(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  for (int64_t r = begin; r < end; r++) {
    int64_t x, y;
    double xy, xx, yy, g = (double)j->g[r];
    lines(j, r, &x, &y);
    products(j, x, y, &xy, &xx, &yy);
    double nx = fmax(sqrt(xx), j->eps), ny = fmax(sqrt(yy), j->eps), out = xy / (nx * ny);
    double pull_x = sqrt(xx) > j->eps ? out / xx : 0, pull_y = sqrt(yy) > j->eps ? out / yy : 0;
    for (int64_t i = 0; i < j->n; i++) {
      int64_t at_x = x + i * j->along[X], at_y = y + i * j->along[Y];
      double a = (double)j->x[at_x], b = (double)j->y[at_y];
      j->gx[at_x] += g * (b / (nx * ny) - pull_x * a);
      j->gy[at_y] += g * (a / (nx * ny) - pull_y * b);
    }
  }
}

static int64_t grain(const job *j) { return j->n > 8192 ? 1 : 8192 / (j->n > 1 ? j->n : 1); }

static void forward(cr_call *c) {
  job j;
  job_of(c, &j, NULL);
  j.out = cr_reals(c->out[0]);
  cr_pool_for(cr_tensor_numel(c->out[0]), grain(&j), forward_lines, &j);
}

static void round_to(const double *sum, cr_tensor *g) {
  if (!g) return;
  for (int64_t i = 0, n = cr_tensor_numel(g); i < n; i++) cr_reals(g)[i] = (real)sum[i];
}

/* Where a line is shared its gradient is a sum over places, taken by one thread in their order. */
static void backward(cr_call *c) {
  job j;
  job_of(c, &j, NULL);
  int64_t nx = cr_tensor_numel(c->in[X]), ny = cr_tensor_numel(c->in[Y]),
          places = cr_tensor_numel(c->gout[0]);
  bool shared = !cr_tensor_same_shape(c->in[X], c->in[Y]);
  j.g = cr_reals(c->gout[0]);
  j.gx = c->scratch;
  j.gy = j.gx + nx;
  for (int64_t i = 0; i < nx + ny; i++) j.gx[i] = 0;
  if (shared) backward_lines(&j, 0, places);
  else cr_pool_for(places, grain(&j), backward_lines, &j);
  round_to(j.gx, c->gin[X]);
  round_to(j.gy, c->gin[Y]);
}

const cr_op cr_op_cosine_similarity = {
  .name = "cosine_similarity", .help = "the cosine of the angle between lines of x and lines of y",
  .formula = "out = x.y / (max(||x||, eps) max(||y||, eps))",
  .inputs = inputs, .outputs = outputs, .options = options,
  .check = check, .forward = forward, .backward = backward,
};
