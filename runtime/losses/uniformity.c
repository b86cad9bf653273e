/* uniformity.c - how evenly the rows of a batch are spread
 *
 *   L = log 1/P sum_{i<j} e^(-t |x_i - x_j|^2)             P = B (B-1) / 2
 *
 * The logarithm of a mean Gaussian potential: 0 when all rows are equal, the lower the more evenly
 * they lie. x [B D]; the paper takes rows of length 1 (normalize = true, or an nn.Normalize at the
 * end of the network) and t = 2; the partner is losses.alignment.
 *
 * A batch of fewer than 2 rows gives 0. The gradient of rows that lie on each other is 0, so a
 * batch that has collapsed to one point is not pushed apart.
 *
 * Cost: B^2 D. Memory: a tile of rows by B, and a few times B D. One pass adds up the terms and
 * weighs pairs by them, to be divided by the sum at the end. Where the mean of the terms is below
 * 1e-20 (rows far apart that were not normalised) that would lose digits: then a first pass takes
 * the log-sum-exp of each row from its largest term, and a second weighs pairs by their share.
 *
 * Wang, Isola, "Understanding Contrastive Representation Learning through Alignment and Uniformity
 * on the Hypersphere", ICML 2020, sec. 4.1. */
#include <math.h>
#include <string.h>
#include <tgmath.h>

#include "autograd/op.h"
#include "kernels/row_softmax.h"
#include "kernels/tile_loss.h"
#include "kernels/vmath.h"

enum { X };
enum { T, NORMALIZE };
enum { DISTANCE };

static const cr_input inputs[] = { [X] = { "x", "B D", CR_TREAL, 0 }, { 0 } };

static const cr_option options[] = {
  [T]         = { "t", 2, 1e-6, 1e6, "how fast the potential falls", CR_NUMBER },
  [NORMALIZE] = { "normalize", 0, 0, 1, "divide rows by their norm first", CR_FLAG },
  { 0 }
};

static const char *const stats[] = { [DISTANCE] = "distance", NULL };   /* mean of |x_i - x_j|^2 */

static cr_tile_shape shape_of(const cr_call *c) {
  return (cr_tile_shape){
    .rows = c->dim['B'], .width = c->dim['D'], .metric = CR_EUCLIDEAN, .squared = true,
    .normalize = c->option[NORMALIZE] != 0, .symmetric = true, .gradient = c->wants_grad,
    .row_scratch_bytes = (size_t)c->dim['B'] * sizeof(real),
  };
}

static bool check(cr_call *c, cr_error *err) {
  cr_tile_shape shape = shape_of(c);
  if (!cr_tile_sizes(&shape, &c->saved_bytes, &c->scratch_bytes, err)) return false;
  /* one label for all, and the log-sum-exp of each row */
  c->scratch_bytes += (size_t)shape.rows * (sizeof(int64_t) + sizeof(double));
  return true;
}

/* mean of the terms from which on they are added up as they are */
#define ENOUGH 1e-20

typedef struct settings {
  real t;
  double *row_lse;          /* of the first pass */
  double lse;               /* over all of them, for the second */
} settings;

CR_VECTOR static void scale(int64_t n, real by, const real *from, real *to) {
  for (int64_t j = 0; j < n; j++) to[j] = by * from[j];
}

/* sum_{j != i} e^(-t d_ij), and -t e^(-t d_ij) as the weight of a pair */
static void sum_row(const cr_row *row, void *context) {
  const settings *s = context;
  real *term = row->w != NULL ? row->w : row->scratch;
  scale(row->columns, -s->t, row->d, term);
  term[row->self] = -INFINITY;
  row->sum[0] = cr_kernel_row_exp(term, row->columns, 0, term);
  if (row->w != NULL) scale(row->columns, -s->t, term, term);
}

/* log sum_{j != i} e^(-t d_ij) */
static void add_row(const cr_row *row, void *context) {
  const settings *s = context;
  real *term = row->scratch;
  scale(row->columns, -s->t, row->d, term);
  term[row->self] = -INFINITY;
  s->row_lse[row->i] = (double)cr_kernel_row_logsumexp(term, row->columns);
}

/* the share of each pair in the sum, times -t */
static void weigh_row(const cr_row *row, void *context) {
  const settings *s = context;
  for (int64_t j = 0; j < row->columns; j++)
    row->w[j] = -s->t * cr_exp((real)(-(double)s->t * (double)row->d[j] - s->lse));
}

static double log_sum_exp(const double *x, int64_t n) {
  double largest = -INFINITY, sum = 0;
  for (int64_t i = 0; i < n; i++) largest = fmax(largest, x[i]);
  for (int64_t i = 0; i < n; i++) sum += exp(x[i] - largest);
  return largest + log(sum);
}

static void forward(cr_call *c) {
  cr_tile_shape shape = shape_of(c);
  int64_t B = shape.rows;
  double *row_lse = (double *)((char *)c->scratch + c->scratch_bytes) - B;
  int64_t *label = (int64_t *)row_lse - B;
  double sum[CR_ROW_SUMS], loss = 0;
  settings s = { .t = (real)c->option[T], .row_lse = row_lse };
  cr_tile t;
  double pairs = (double)B * (double)(B - 1), by = 2;     /* each pair in both orders */
  memset(label, 0, (size_t)B * sizeof *label);
  cr_tile_start(&t, &shape, cr_reals(c->in[X]), label, NULL, NULL, c->scratch);
  if (B > 1) {
    cr_tile_pass(&t, sum_row, &s, c->wants_grad, sum);
    loss = log(sum[0] / pairs);
    by = 2 / sum[0];
    if (!(sum[0] > ENOUGH * pairs) && t.healthy) {
      cr_tile_start(&t, &shape, cr_reals(c->in[X]), label, NULL, NULL, c->scratch);
      cr_tile_pass(&t, add_row, &s, false, sum);
      s.lse = log_sum_exp(row_lse, B);
      loss = s.lse - log(pairs);
      if (c->wants_grad) cr_tile_pass(&t, weigh_row, &s, true, sum);
      by = 2;
    }
    c->stat[DISTANCE] = t.positive_distance / pairs;
    loss = cr_tile_result(&t, loss);
  }
  /* a symmetric tile gives a pair its weight once, though the sums over rows see it twice */
  if (c->wants_grad) cr_tile_gradient(&t, by, c->saved);
  *cr_reals(c->out[0]) = (real)loss;
}

static void backward(cr_call *c) {
  cr_tile_shape shape = shape_of(c);
  cr_tile_backward(&shape, c->saved, (double)*cr_reals(c->gout[0]), cr_reals(c->gin[X]), NULL);
}

const cr_op cr_loss_uniformity = {
  .name = "uniformity", .help = "how evenly the rows of a batch are spread",
  .formula = "log mean_{i<j} e^(-t |x_i - x_j|^2)",
  .paper = "Wang, Isola, \"Understanding Contrastive Representation Learning through Alignment and "
           "Uniformity on the Hypersphere\", ICML 2020, sec. 4.1",
  .differs = "rows are normalised only when asked to be; a log-sum-exp, which does not underflow",
  .inputs = inputs, .options = options, .stats = stats, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = backward,
};
