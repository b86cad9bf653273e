/* multiple_negatives_ranking.c - multiple negatives ranking, InfoNCE of two towers, CLIP
 *
 *   l_i = -log softmax_j(scale s_ij)_i
 *
 * Row i of the embeddings belongs to row i of the references; all other references are its
 * negatives, those past row B (hard negatives, say) included. s is the cosine unless told
 * otherwise, and scale is 1 / temperature. Henderson and others 2017; van den Oord and others 2018,
 * eq. 4.
 *
 *   symmetric = true   also the other way, each reference among all embeddings; needs R = B. With
 *                      log_scale it is CLIP's loss (Radford and others 2021, figure 3)
 *   log_scale          a scalar tensor; e^log_scale stands for scale, and has a gradient
 *
 * Terms are rows, and columns with symmetric. Cost: B R D; symmetric takes one pass more for the
 * sums over columns. Memory: a tile of rows by R. */
#include <math.h>
#include <tgmath.h>

#include "autograd/pair_loss.h"
#include "kernels/vmath.h"

enum { EMBEDDINGS, REFERENCES, LOG_SCALE };
enum { SCALE, SYMMETRIC };

static const cr_input inputs[] = {
  [EMBEDDINGS] = { "embeddings", "B D", CR_TREAL, 0 },
  [REFERENCES] = { "references", "R D", CR_TREAL, 0 },
  [LOG_SCALE]  = { "log_scale",  "",    CR_TREAL, CR_OPTIONAL },
  { 0 }
};

static const cr_option options[] = {
  [SCALE] = { "scale", 20, 1e-6, 1e6, "multiplies similarities", CR_NUMBER, NULL, false },
  [SYMMETRIC] = { "symmetric", 0, 0, 1, "each reference among the embeddings as well", CR_FLAG,
                  NULL, false },
  CR_PAIR_OPTIONS(CR_COSINE, 0, CR_PAIR_MEAN),
  { 0 }
};

typedef struct settings {
  double a;                 /* -scale: a row's exponents are a d */
  /* symmetric: column j weighs entry (i, j) by a e^(a (d - column[j])), its own by -a slope[j] */
  real *column, *slope;
} settings;

enum { BY_SCALE = CR_PAIR_OWN };

static bool check(cr_call *c, cr_error *err) {
  bool symmetric = c->option[SYMMETRIC] != 0;
  if (symmetric && c->dim['R'] != c->dim['B'])
    return cr_fail(err, CR_ESHAPE, "symmetric needs as many references as embeddings, B = %lld, "
                   "got %lld", (long long)c->dim['B'], (long long)c->dim['R']);
  return cr_pair_check_with(c, symmetric ? 2 * (size_t)c->dim['R'] * sizeof(real) : 0, 0, err);
}

/* Row j of the references against the embeddings: its loss, and the number that column j needs. */
static void column_loss(const cr_row *row, void *context) {
  const settings *s = context;
  double slope, own = s->a * (double)row->d[row->begin];
  cr_lse n = cr_span_lse(row->d, cr_span_negatives(row), s->a, NULL);
  cr_pair_term(row, cr_log_one_plus(n.log - own, &slope));
  s->slope[row->i] = (real)slope;
  s->column[row->i] = slope > 0 ? (real)((n.log - log(slope)) / s->a) : (real)-INFINITY;
}

CR_VECTOR static void add_columns(int64_t n, real a, const real *restrict d,
                                  const real *restrict column, real *restrict w) {
  for (int64_t j = 0; j < n; j++) w[j] += a * cr_exp(a * (d[j] - column[j]));
}

static void row_loss(const cr_row *row, void *context) {
  const settings *s = context;
  cr_span negatives = cr_span_negatives(row);
  int64_t own = row->begin;
  double slope, a = s->a;
  cr_lse n = cr_span_lse(row->d, negatives, a, row->w);
  cr_pair_term(row, cr_log_one_plus(n.log - a * (double)row->d[own], &slope));
  if (row->w == NULL) return;
  cr_span_softmax(row->w, negatives, n, a * slope);
  row->w[own] = (real)(-a * (slope + (s->slope != NULL ? (double)s->slope[own] : 0)));
  if (s->column != NULL) {
    for (int k = 0; k < 2; k++) {
      int64_t from = negatives.begin[k];
      add_columns(negatives.end[k] - from, (real)a, row->d + from, s->column + from,
                  row->w + from);
    }
  }
  for (int64_t j = 0; j < row->columns; j++)
    row->sum[BY_SCALE] += (double)row->w[j] * (double)row->d[j];
}

static void forward(cr_call *c) {
  const cr_tensor *log_scale = c->in[LOG_SCALE];
  double scale = log_scale != NULL ? exp((double)*cr_reals(log_scale)) : c->option[SCALE];
  bool symmetric = c->option[SYMMETRIC] != 0;
  settings s = { .a = -scale };
  cr_tile t;
  double columns[CR_ROW_SUMS] = { 0 }, sum[CR_ROW_SUMS];
  if (symmetric && c->dim['B'] > 0) {
    s.column = c->scratch;
    s.slope = s.column + c->dim['R'];
    cr_pair_start_columns(c, &t);
    cr_tile_pass(&t, column_loss, &s, false, columns);
  }
  cr_pair_start(c, &t);
  cr_tile_pass(&t, row_loss, &s, c->wants_grad, sum);
  for (int k = 0; k < CR_PAIR_OWN; k++) sum[k] += columns[k];
  double by = cr_pair_scale(c, sum);
  cr_pair_keep(c, 0, by * sum[BY_SCALE]);
  cr_pair_finish(c, &t, by, by * sum[CR_PAIR_LOSS], sum);
}

static void backward(cr_call *c) {
  cr_pair_backward(c);
  if (c->gin[LOG_SCALE] != NULL)
    *cr_reals(c->gin[LOG_SCALE]) = (real)(cr_pair_kept(c, 0) * (double)*cr_reals(c->gout[0]));
}

const cr_op cr_loss_multiple_negatives_ranking = {
  .name = "multiple_negatives_ranking",
  .help = "each row picks its own reference out of all by a softmax; symmetric: CLIP",
  .formula = "mean over rows of -log softmax_j(scale s_ij)_i",
  .paper = "Henderson and others, \"Efficient natural language response suggestion for Smart "
           "Reply\", 2017; van den Oord, Li, Vinyals, \"Representation learning with contrastive "
           "predictive coding\", 2018, eq. 4; Radford and others, \"Learning transferable visual "
           "models from natural language supervision\", ICML 2021, figure 3",
  .differs = "pytorch-metric-learning's class takes labels; ntxent with temperature = 1 / scale "
             "does that here",
  .inputs = inputs, .options = options, .stats = cr_pair_loss_stats,
  .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = backward,
};
