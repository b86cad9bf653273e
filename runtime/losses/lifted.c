/* lifted.c - lifted structure loss
 *
 *   J_ip = log( sum_n e^(neg_margin - d_in) + sum_n e^(neg_margin - d_pn) ) + d_ip - pos_margin
 *   l_ip = max(0, J_ip)^2 / 2
 *
 * for every pair of a row i and a positive p of it; the sums run over the negatives of i and over
 * those of p. Song and others 2016, eq. 4.
 *
 * The logarithm of a row's sum is one number, z_i, so a pair costs log(e^z_i + e^z_p) and nothing
 * is listed: B^2 D in two passes over tiles of rows (one when a tile holds the batch). Terms are
 * pairs, (i, p) and (p, i) both. With references the negatives are those of the row alone: a
 * reference has none of its own. The logarithm of an empty sum counts as 0; a batch of one class
 * gives 0. Margins are on distances: for cosine, a margin m on similarities
 * is 1 - m here, for dot it is -m. Memory: a tile of rows by B. */
#include <math.h>

#include "autograd/pair_loss.h"

enum { POS_MARGIN, NEG_MARGIN };

static const cr_option options[] = {
  [POS_MARGIN] = { "pos_margin", 0, -1e30, 1e30, "subtracted from positive distances", CR_NUMBER,
                   NULL, false },
  [NEG_MARGIN] = { "neg_margin", 1, -1e30, 1e30, "negative distances are subtracted from it",
                   CR_NUMBER, NULL, false },
  CR_PAIR_OPTIONS(CR_EUCLIDEAN, 0, CR_PAIR_MEAN),
  { 0 }
};

typedef struct settings {
  double pos_margin, neg_margin;
  double *z;                /* by row; NULL with references */
} settings;

static bool check(cr_call *c, cr_error *err) {
  return cr_pair_check_with(c, (size_t)c->dim['B'] * sizeof(double), 0, err);
}

static void row_sum(const cr_row *row, void *context) {
  const settings *s = context;
  s->z[row->i] = cr_span_lse(row->d, cr_span_negatives(row), -1, NULL).log;
}

/* (i, p) and (p, i) have one loss, so what the negatives of i get from both is all in this row. */
static void row_loss(const cr_row *row, void *context) {
  const settings *s = context;
  cr_span positives = cr_span_positives(row), negatives = cr_span_negatives(row);
  cr_lse own = { -INFINITY, 0 };
  double push = 0, twice = s->z != NULL ? 2 : 1;
  if (row->positives > 0) own = cr_span_lse(row->d, negatives, -1, row->w);
  for (int k = 0; k < 2; k++) {
    for (int64_t p = positives.begin[k]; p < positives.end[k]; p++) {
      double both = s->z != NULL ? cr_log_add(own.log, s->z[p]) : own.log;
      if (isinf(both)) both = row->tile->negative_pairs > 0 ? -s->neg_margin : -INFINITY;
      double J = both + s->neg_margin + (double)row->d[p] - s->pos_margin;
      if (!(J > 0)) J = 0;
      cr_pair_term(row, J * J / 2);
      if (J > 0) push += twice * J * exp(own.log - both);
      if (row->w != NULL) row->w[p] = (real)J;
    }
  }
  if (row->w == NULL) return;
  if (own.sum > 0) cr_span_softmax(row->w, negatives, own, -push);
  else cr_span_fill(row->w, negatives, 0);
}

static void forward(cr_call *c) {
  settings s = { c->option[POS_MARGIN], c->option[NEG_MARGIN], NULL };
  cr_tile t;
  double sum[CR_ROW_SUMS];
  cr_pair_start(c, &t);
  if (t.pairs.same) {
    s.z = c->scratch;
    cr_tile_pass(&t, row_sum, &s, false, sum);
  }
  cr_tile_pass(&t, row_loss, &s, c->wants_grad, sum);
  double scale = cr_pair_scale(c, sum);
  cr_pair_finish(c, &t, scale, scale * sum[CR_PAIR_LOSS], sum);
}

const cr_op cr_loss_lifted = {
  .name = "lifted", .help = "each positive pair against all negatives of its two ends",
  .formula = "mean over pairs of max(0, log(sum_n e^(m - d_in) + sum_n e^(m - d_pn)) + d_ip)^2 / 2",
  .paper = "Song, Xiang, Jegelka, Savarese, \"Deep metric learning via lifted structured feature "
           "embedding\", CVPR 2016, eq. 4",
  .differs = "pytorch-metric-learning normalises rows by default: normalize = true; with "
             "references it takes unrelated queries for negatives of p, which is not done here",
  .inputs = cr_pair_loss_inputs, .options = options, .stats = cr_pair_loss_stats,
  .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = cr_pair_backward,
};
