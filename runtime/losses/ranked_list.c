/* ranked_list.c - ranked list loss: positives within alpha - margin, negatives beyond alpha
 *
 * For each row, with violations v_p = d_p - (alpha - margin) of positives and v_n = alpha - d_n of
 * negatives (0 < d_n < alpha),
 *
 *   L = (1 - imbalance) sum_p w_p v_p / (sum_p w_p + e)
 *       + imbalance sum_n w_n v_n / (sum_n w_n + e)
 *
 *   w_p = exp(Tp v_p), w_n = exp(Tn v_n) over pairs with v > 0,    e = 1e-5 times the columns
 *
 * alpha is 1 + margin / 2 when not given. The weights take part in the gradient. e is the
 * reference's; so L is a little below the weighted mean, and exactly 0 for a row without
 * violations. A negative at distance exactly 0 counts nowhere, and a pair at its bound neither.
 * The largest exponent of a side is subtracted first: no temperature overflows.
 *
 *   reduction = "mean"      over all rows
 *               "nonzero"   over rows with a loss above 0
 *               "sum"
 *
 * Time B^2 D, memory a tile of rows by B. distance = "cosine" is 1 - cos, "dot" minus the inner
 * product, both as distances. No pairs: 0 with zero gradient. */
#include <math.h>

#include "autograd/batch_loss.h"
#include "kernels/vmath.h"

enum { MARGIN, TN, IMBALANCE, ALPHA, TP, DISTANCE, SQUARED, NORMALIZE, REDUCTION };

static const cr_input inputs[] = { CR_BATCH_INPUTS, { 0 } };

static const cr_option options[] = {
  [MARGIN]    = { "margin", 0.4, 0, 1e30, "between the two bounds", CR_NUMBER, NULL, false },
  [TN]        = { "Tn", 1, 0, 1e30, "how much more a worse negative weighs", CR_NUMBER, NULL,
                  false },
  [IMBALANCE] = { "imbalance", 0.5, 0, 1, "the negatives' share", CR_NUMBER, NULL, false },
  [ALPHA]     = { "alpha", NAN, -1e30, 1e30, "least distance of a negative; default 1 + margin / 2",
                  CR_NUMBER, NULL, false },
  [TP]        = { "Tp", 0, 0, 1e30, "how much more a worse positive weighs", CR_NUMBER, NULL,
                  false },
  [DISTANCE]  = CR_BATCH_OPTIONS(CR_EUCLIDEAN, 0, 0),
  [REDUCTION] = CR_BATCH_REDUCTION(CR_BATCH_MEAN),
  { 0 }
};

static const char *const stats[] = { CR_BATCH_STAT_NAMES, NULL };

static bool check(cr_call *c, cr_error *err) {
  cr_tile_shape shape = cr_batch_shape(c, DISTANCE);
  return cr_batch_check(c, &shape, 0, 0, err);
}

enum { LOSS, ACTIVE_ROWS, VIOLATIONS };

typedef struct settings { real near, far, tp, tn; double imbalance; } settings;

/* One side of a row: at most two runs of columns with v = sign d + offset where that is above 0. */
typedef struct side {
  struct { int64_t begin, end; } run[2];
  real sign, offset, t;
  bool skip_zero;             /* a distance of 0 does not count */
} side;

static real violation(const side *s, real d) {
  real v = s->sign * d + s->offset;
  return v > 0 && !(s->skip_zero && d == 0) ? v : 0;
}

/* The loss of a side, times `share`, and its slopes. */
static double side_of_row(const cr_row *row, const side *s, double share) {
  double s0 = 0, s1 = 0;
  real most = 0;
  for (int r = 0; r < 2; r++)
    for (int64_t j = s->run[r].begin; j < s->run[r].end; j++) {
      real v = violation(s, row->d[j]);
      most = v > most ? v : most;
    }
  for (int r = 0; r < 2; r++)
    for (int64_t j = s->run[r].begin; j < s->run[r].end; j++) {
      real v = violation(s, row->d[j]);
      if (row->w != NULL) row->w[j] = 0;
      if (v == 0) continue;
      real w = s->t == 0 ? 1 : cr_exp(s->t * (v - most));
      s0 += (double)w;
      s1 += (double)w * (double)v;
      row->sum[VIOLATIONS]++;
      if (row->w != NULL) row->w[j] = w;
    }
  if (s0 == 0) return 0;
  s0 += 1e-5 * (double)row->columns * exp(-(double)s->t * (double)most);
  real constant = (real)(share * (1 - (double)s->t * s1 / s0) / s0) * s->sign;
  real linear = (real)(share * (double)s->t / s0) * s->sign;
  for (int r = 0; r < 2; r++)
    for (int64_t j = s->run[r].begin; row->w != NULL && j < s->run[r].end; j++)
      row->w[j] *= constant + linear * violation(s, row->d[j]);
  return share * s1 / s0;
}

static void ranked_row(const cr_row *row, void *context) {
  const settings *s = context;
  int64_t self = row->self >= 0 ? row->self : row->end;
  side positive = { { { row->begin, self }, { self + 1, row->end } }, 1, -s->near, s->tp, false };
  side negative = { { { 0, row->begin }, { row->end, row->columns } }, -1, s->far, s->tn, true };
  double loss = side_of_row(row, &positive, 1 - s->imbalance) +
                side_of_row(row, &negative, s->imbalance);
  row->sum[LOSS] = loss;
  row->sum[ACTIVE_ROWS] = loss > 0;
}

static void forward(cr_call *c) {
  cr_tile_shape shape = cr_batch_shape(c, DISTANCE);
  double margin = c->option[MARGIN], sum[CR_ROW_SUMS];
  double alpha = isnan(c->option[ALPHA]) ? 1 + margin / 2 : c->option[ALPHA];
  settings s = { (real)(alpha - margin), (real)alpha, (real)c->option[TP], (real)c->option[TN],
                 c->option[IMBALANCE] };
  double count = 0;
  cr_tile t;
  cr_batch_start(&t, c, &shape);
  /* the mean over rows with a loss needs no second pass: rows do not see each other's weights */
  cr_tile_pass(&t, ranked_row, &s, c->wants_grad, sum);
  count = (double)(t.positive_pairs + t.negative_pairs);
  double scale = cr_batch_scale(c->option[REDUCTION], (double)shape.rows, sum[ACTIVE_ROWS]);
  cr_batch_end(c, &t, scale, scale * sum[LOSS], cr_ratio(sum[VIOLATIONS], count));
}

const cr_op cr_loss_ranked_list = {
  .name = "ranked_list", .help = "positives inside one bound, negatives beyond another, the worst "
                                 "weigh most",
  .formula = "row mean of (1 - imbalance) wmean_p(d - (alpha - margin)) + imbalance wmean_n(alpha "
             "- d), over violations, weights exp(T violation)",
  .paper = "Wang and others, \"Ranked list loss for deep metric learning\", CVPR 2019, eq. 8",
  .differs = "pytorch-metric-learning normalises rows (normalize = true), has no defaults for "
             "margin and Tn, and takes a similarity for a distance",
  .inputs = inputs, .options = options, .stats = stats, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = cr_batch_backward,
};
