/* cdist.c - distances of every row of x to every row of y
 *
 *   d_ij = (sum_k |x_ik - y_jk|^p)^(1/p)          p = 2: |x_i - y_j|; p = inf: the largest
 *                                                 difference
 *
 * x [N D], y [M D] -> [N M]. Without y, or with y the same tensor, the rows of x to each other,
 * with a diagonal of exactly 0. For p = 2 one matrix product, and the care of kernels/pair_dist.h
 * where distances are small. The gradient of a distance at 0 is taken as 0. */
#include <math.h>
#include <string.h>

#include "autograd/op.h"
#include "base/pool.h"
#include "base/region.h"
#include "kernels/pair_dist.h"

enum { X, Y };
enum { P };

static const cr_input inputs[] = {
  [X] = { "x", "N D", CR_TREAL, 0 },
  [Y] = { "y", "M D", CR_TREAL, CR_OPTIONAL },
  { 0 }
};

static const cr_output outputs[] = { { "distances", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [P] = { "p", 2, 1, INFINITY, "which norm", CR_NUMBER, NULL, false },
  { 0 }
};

/* Scratch of both directions: the centred rows and their squared norms; of backward: coefficients
 * and sums too. */
typedef struct work {
  cr_pairs pairs;
  real *x, *y, *xx, *yy, *mean;
  real *w;
  double *sx, *sy;
  cr_pairs_mode *mode;
  int64_t first;
} work;

static bool is_same(const cr_call *c) { return c->in[Y] == NULL || c->in[Y] == c->in[X]; }

static size_t lay_out(const cr_call *c, work *k, void *scratch, bool backward) {
  cr_region r = { .base = scratch };
  bool same = is_same(c);
  int64_t N = c->dim['N'], M = same ? N : c->dim['M'], D = c->dim['D'];
  double p = c->option[P];
  *k = (work){ 0 };
  k->x = cr_take(&r, N * D, sizeof(real));
  k->y = same ? k->x : cr_take(&r, M * D, sizeof(real));
  k->xx = cr_take(&r, N, sizeof(real));
  k->yy = same ? k->xx : cr_take(&r, M, sizeof(real));
  k->mean = cr_take(&r, D, sizeof(real));
  k->mode = cr_take(&r, N, sizeof(cr_pairs_mode));
  if (backward) {
    k->w = cr_take(&r, N * M, sizeof(real));
    k->sx = cr_take(&r, N, sizeof(double));
    k->sy = same ? k->sx : cr_take(&r, M, sizeof(double));
  }
  k->pairs = (cr_pairs){ .metric = p == 2 ? CR_EUCLIDEAN : p == 1 ? CR_MANHATTAN : CR_MINKOWSKI,
                         .same = same, .p = p,
                         .rows = N, .columns = M, .width = D, .x = k->x, .y = k->y, .xx = k->xx,
                             .yy = k->yy };
  return r.used;
}

static bool check(cr_call *c, cr_error *err) {
  work k;
  size_t numbers = 0;
  int64_t M = is_same(c) ? c->dim['N'] : c->dim['M'], shape[] = { c->dim['N'], M };
  if (!cr_size_mul((size_t)c->dim['N'], (size_t)M, &numbers)
      || !cr_size_mul(numbers, sizeof(double), &numbers))
    return cr_fail(err, CR_EMEMORY, "%lld x %lld distances are too many", (long long)c->dim['N'],
                   (long long)M);
  c->scratch_bytes = lay_out(c, &k, NULL, false);
  c->backward_scratch_bytes = lay_out(c, &k, NULL, true);
  cr_out_shape(c, 0, 2, shape);
  return true;
}

static void pack(const cr_call *c, work *k) {
  const cr_pairs *p = &k->pairs;
  const real *x = cr_reals(c->in[X]), *y = p->same ? x : cr_reals(c->in[Y]);
  bool centred = p->metric == CR_EUCLIDEAN;
  if (centred) cr_pairs_mean(p->columns, p->width, y, k->mean);
  for (int64_t i = 0; i < p->rows; i++)
    k->xx[i] = cr_pairs_centre(p->width, x + i * p->width, centred ? k->mean : NULL,
                               k->x + i * p->width);
  for (int64_t j = 0; !p->same && j < p->columns; j++)
    k->yy[j] = cr_pairs_centre(p->width, y + j * p->width, centred ? k->mean : NULL,
                               k->y + j * p->width);
}

typedef struct job {
  const cr_pairs *pairs;
  const cr_pairs_sums *sums;
  real *d, *w;
  cr_pairs_mode *mode;
} job;

static void distance_rows(void *context, int64_t begin, int64_t end) {
  const job *t = context;
  for (int64_t i = begin; i < end; i++) cr_pairs_row(t->pairs, i, t->d + i * t->pairs->columns);
}

/* Which pairs count as close is told from the distance, as in cr_pairs_row. */
static void slope_rows(void *context, int64_t begin, int64_t end) {
  const job *t = context;
  const cr_pairs *p = t->pairs;
  int64_t n = p->columns;
  for (int64_t i = begin; i < end; i++) {
    t->mode[i] = cr_pairs_slope_row(p, t->sums, i, t->d + i * n, t->w + i * n, true);
  }
}

static int64_t grain(const cr_pairs *p) {
  int64_t n = p->columns > 0 ? p->columns : 1;
  return p->rows * n * (p->metric == CR_EUCLIDEAN ? 1 : p->width) < 20000 ? p->rows : 8192 / n + 1;
}

static void forward(cr_call *c) {
  work k;
  lay_out(c, &k, c->scratch, false);
  pack(c, &k);
  job t = { .pairs = &k.pairs, .d = cr_reals(c->out[0]) };
  if (k.pairs.rows == 0 || k.pairs.columns == 0) return;
  cr_pairs_products(&k.pairs, 0, k.pairs.rows, t.d);
  cr_pool_for(k.pairs.rows, grain(&k.pairs), distance_rows, &t);
}

static void clear(void *at, int64_t count, size_t each) {
  if (at != NULL) memset(at, 0, (size_t)count * each);
}

static void backward(cr_call *c) {
  work k;
  lay_out(c, &k, c->scratch, true);
  pack(c, &k);
  const cr_pairs *p = &k.pairs;
  cr_pairs_sums sums = { .gx = c->gin[X] != NULL ? cr_reals(c->gin[X]) : NULL, .sx = k.sx,
                         .sy = k.sy,
                         .gy = c->n_in > Y && c->gin[Y] != NULL ? cr_reals(c->gin[Y]) : NULL };
  clear(sums.gx, p->rows * p->width, sizeof(real));
  clear(sums.gy, p->columns * p->width, sizeof(real));
  clear(k.sx, p->rows, sizeof(double));
  if (!p->same) clear(k.sy, p->columns, sizeof(double));
  if (p->rows == 0 || p->columns == 0) return;
  job t = { .pairs = p, .sums = &sums, .d = cr_reals(c->out[0]), .w = k.w, .mode = k.mode };
  memcpy(k.w, cr_reals(c->gout[0]), (size_t)(p->rows * p->columns) * sizeof(real));
  cr_pool_for(p->rows, grain(p), slope_rows, &t);
  cr_pairs_collect(p, &sums, 0, p->rows, t.d, t.w, t.mode);
  cr_pairs_gradient(p, &sums);
}

const cr_op cr_op_cdist = {
  .name = "cdist", .help = "distances of every row of x to every row of y",
  .formula = "d_ij = (sum_k |x_ik - y_jk|^p)^(1/p)",
  .differs = "the gradient of a distance at 0 is taken as 0",
  .inputs = inputs, .outputs = outputs, .options = options,
  .backward_reads = CR_READS_IN0 | CR_READS_IN1 | CR_READS_OUT0,
  .check = check, .forward = forward, .backward = backward,
};
