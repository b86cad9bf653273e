/* cosent.c - CoSENT: pairs with a higher score shall have a higher similarity
 *
 *   L = log(1 + sum over (i, j) with score_i < score_j of exp(scale (s_i - s_j)))
 *
 * s_i is the cosine of row i of x and row i of y. Only the order of the scores counts. Pairs of
 * pairs are not listed: with pairs sorted by score, log-sum-exps of s over all lower scores and of
 * -s over all higher ones give value and gradient, time B D + B log B, memory B D. Equal scores are
 * not compared. All scores equal: 0 with zero gradient.
 *
 * A row of zeros has similarity 0 to everything (norms are at least 1e-12). */
#include <math.h>

#include "autograd/op.h"
#include "kernels/sort.h"
#include "kernels/tile_loss.h"

enum { X, Y, SCORES };
enum { SCALE };
enum { COMPARED, SIMILARITY };

static const cr_input inputs[] = {
  [X]      = { "x",      "B D", CR_TREAL, 0 },
  [Y]      = { "y",      "B D", CR_TREAL, 0 },
  [SCORES] = { "scores", "B",   CR_TREAL, CR_NOGRAD },
  { 0 }
};

static const cr_option options[] = {
  [SCALE] = { "scale", 20, 0, 1e30, "factor of the similarities, 1 / temperature", CR_NUMBER, NULL,
              false },
  { 0 }
};

static const char *const stats[] = {
  [COMPARED] = "compared",                  /* pairs of pairs */
  [SIMILARITY] = "similarity",              /* mean cosine */
  NULL
};

typedef struct pair { double s, nx, ny, slope, reach; } pair;

static bool check(cr_call *c, cr_error *err) {
  size_t B = (size_t)c->dim['B'];
  const real *score = cr_reals(c->in[SCORES]);
  for (int64_t i = 0; i < c->dim['B']; i++)
    if (isnan(score[i]))
      return cr_fail(err, CR_EVALUE, "scores must be numbers, score %lld is nan", (long long)i + 1);
  c->scratch_bytes = B * (sizeof(pair) + 2 * sizeof(cr_sort_item));
  c->saved_bytes = c->wants_grad ? 2 * B * (size_t)c->dim['D'] * sizeof(real) : 0;
  return true;
}

/* log(e^a + e^b) */
static double log_add(double a, double b) {
  double most = a > b ? a : b, least = a > b ? b : a;
  return most == -INFINITY ? most : most + log1p(exp(least - most));
}

static double norm(int64_t n, const real *x) {
  double sum = 0;
  for (int64_t k = 0; k < n; k++) sum += (double)x[k] * (double)x[k];
  return fmax(sqrt(sum), 1e-12);
}

/* Walks groups of one score upwards (step 1) or downwards (-1). `reach` of a pair: the log-sum-exp,
 * over all pairs of earlier groups, of step times their similarity. Returns the pairs of pairs. */
static double walk(int64_t n, const cr_sort_item *order, pair *pairs, int step) {
  double so_far = -INFINITY, count = 0;
  for (int64_t at = 0, next; at < n; at = next) {
    const cr_sort_item *group = &order[step > 0 ? at : n - 1 - at];
    for (next = at; next < n && group[step * (next - at)].key == group->key; next++)
      pairs[group[step * (next - at)].index].reach = so_far;
    count += (double)at * (double)(next - at);
    for (int64_t k = at; k < next; k++)
      so_far = log_add(so_far, step * pairs[group[step * (k - at)].index].s);
  }
  return count;
}

/* The derivative of a cosine by x, times `by`. */
static void cosine_slope(int64_t n, double by, double s, const real *x, double nx, const real *y,
                         double ny, real *out) {
  double along = nx > 1e-12 ? s / nx : 0;
  for (int64_t k = 0; k < n; k++)
    out[k] = (real)(by / nx * ((double)y[k] / ny - along * (double)x[k]));
}

static void forward(cr_call *c) {
  int64_t B = c->dim['B'], D = c->dim['D'];
  const real *x = cr_reals(c->in[X]), *y = cr_reals(c->in[Y]), *score = cr_reals(c->in[SCORES]);
  pair *pairs = c->scratch;
  cr_sort_item *order = (cr_sort_item *)(void *)(pairs + B);
  double scale = c->option[SCALE], loss = 0, similarity = 0;
  for (int64_t i = 0; i < B; i++) {
    pair *p = &pairs[i];
    double dot = 0;
    *p = (pair){ .nx = norm(D, x + i * D), .ny = norm(D, y + i * D) };
    for (int64_t k = 0; k < D; k++) dot += (double)x[i * D + k] * (double)y[i * D + k];
    similarity += dot / p->nx / p->ny;
    p->s = scale * (dot / p->nx / p->ny);
    order[i] = (cr_sort_item){ cr_sort_key_real(score[i], false), i };
  }
  cr_sort_items(order, order + B, B);
  c->stat[COMPARED] = walk(B, order, pairs, 1);
  c->stat[SIMILARITY] = cr_ratio(similarity, (double)B);
  for (int64_t i = 0; i < B; i++) loss = log_add(loss, pairs[order[i].index].reach -
                                                       pairs[order[i].index].s);
  *cr_reals(c->out[0]) = (real)loss;
  if (!c->wants_grad) return;
  /* a pair is pushed up by lower scores and down by higher ones */
  for (int64_t i = 0; i < B; i++) pairs[i].slope = -exp(pairs[i].reach - pairs[i].s - loss);
  walk(B, order, pairs, -1);
  real *gx = c->saved, *gy = gx + B * D;
  for (int64_t i = 0; i < B; i++) {
    const pair *p = &pairs[i];
    double by = scale * (p->slope + exp(p->reach + p->s - loss)), s = scale > 0 ? p->s / scale : 0;
    cosine_slope(D, by, s, x + i * D, p->nx, y + i * D, p->ny, gx + i * D);
    cosine_slope(D, by, s, y + i * D, p->ny, x + i * D, p->nx, gy + i * D);
  }
}

static void backward(cr_call *c) {
  int64_t n = c->dim['B'] * c->dim['D'];
  const real *saved = c->saved;
  real upstream = *cr_reals(c->gout[0]);
  for (int side = X; side <= Y; side++) {
    real *out = c->gin[side] != NULL ? cr_reals(c->gin[side]) : NULL;
    for (int64_t k = 0; out != NULL && k < n; k++) out[k] = upstream * saved[side * n + k];
  }
}

const cr_op cr_loss_cosent = {
  .name = "cosent", .help = "pairs with a higher score shall have a higher cosine",
  .formula = "log(1 + sum over score_i < score_j of exp(scale (s_i - s_j)))",
  .paper = "Su, \"CoSENT: a more efficient sentence vector scheme than Sentence-BERT\", 2022; as "
           "in sentence-transformers' CoSENTLoss",
  .differs = "sentence-transformers holds a B x B matrix of differences",
  .inputs = inputs, .options = options, .stats = stats, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = backward,
};
