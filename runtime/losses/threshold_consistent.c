/* threshold_consistent.c - threshold-consistent margin regulariser
 *
 *   L = lambda_plus  mean over positive pairs with s <= margin_plus  of margin_plus - s
 *     + lambda_minus mean over negative pairs with s >= margin_minus of s - margin_minus
 *
 * s is the cosine (or the inner product). Added to another loss it draws the similarities of all
 * classes to common thresholds, so that one threshold suits all of them. Zhang and others 2024.
 *
 * reduction = "mean" and "nonzero" are both the means above; "sum" counts (i, j) and (j, i). The
 * numbers of pairs come before the weights, so that a batch larger than a tile takes two passes of
 * B^2 D. Memory: a tile of rows by B. */
#include "autograd/pair_loss.h"

enum { LAMBDA_PLUS, LAMBDA_MINUS, MARGIN_PLUS, MARGIN_MINUS };

static const cr_option options[] = {
  [LAMBDA_PLUS]  = { "lambda_plus", 1, 0, 1e30, "weight of the positive side", CR_NUMBER, NULL,
                     false },
  [LAMBDA_MINUS] = { "lambda_minus", 1, 0, 1e30, "weight of the negative side", CR_NUMBER, NULL,
                     false },
  [MARGIN_PLUS]  = { "margin_plus", 0.9, -1e30, 1e30, "similarity past which a positive is free",
                     CR_NUMBER, NULL, false },
  [MARGIN_MINUS] = { "margin_minus", 0.5, -1e30, 1e30, "similarity up to which a negative is free",
                     CR_NUMBER, NULL, false },
  CR_PAIR_OPTIONS(CR_COSINE, 0, CR_PAIR_MEAN),
  { 0 }
};

static bool check(cr_call *c, cr_error *err) {
  if (cr_pair_metric(c) != CR_COSINE && cr_pair_metric(c) != CR_DOT)
    return cr_fail(err, CR_EVALUE, "distance must be \"cosine\" or \"dot\"");
  return cr_pair_check(c, err);
}

typedef struct side { double sign, limit, weight; } side;     /* over by sign (d - limit) */
typedef struct settings { side positive, negative; } settings;

enum { LOSS, COUNT, SIDE_SUMS };                  /* of the positives, then of the negatives */

CR_VECTOR static void steps(int64_t n, const real *restrict d, real sign, real limit, real weight,
                            real *restrict w) {
  for (int64_t j = 0; j < n; j++) w[j] = sign * (d[j] - limit) >= 0 ? weight : 0;
}

static void walk(const cr_row *row, cr_span span, const side *s, double *sum) {
  cr_over over = cr_span_over(row->d, span, s->sign, s->limit, NULL);
  sum[LOSS] = over.sum;
  sum[COUNT] = over.reached;
  for (int k = 0; row->w != NULL && k < 2; k++)
    steps(span.end[k] - span.begin[k], row->d + span.begin[k], (real)s->sign, (real)s->limit,
          (real)(s->sign * s->weight), row->w + span.begin[k]);
}

static void row_pairs(const cr_row *row, void *context) {
  const settings *s = context;
  walk(row, cr_span_positives(row), &s->positive, row->sum);
  walk(row, cr_span_negatives(row), &s->negative, row->sum + SIDE_SUMS);
}

static double weight(const cr_call *c, double lambda, double count) {
  const double by[CR_ROW_SUMS] = { [CR_PAIR_TERMS] = count, [CR_PAIR_ACTIVE] = count };
  return lambda * cr_pair_scale(c, by);
}

static void forward(cr_call *c) {
  settings s = { { 1, cr_pair_threshold(c, c->option[MARGIN_PLUS]), 0 },
                 { -1, cr_pair_threshold(c, c->option[MARGIN_MINUS]), 0 } };
  cr_tile t;
  double sum[CR_ROW_SUMS];
  cr_pair_start_as(c, &t, true, 1e-8);     /* torch's cosine_similarity has this least norm */
  cr_tile_pass(&t, row_pairs, &s, false, sum);
  s.positive.weight = weight(c, c->option[LAMBDA_PLUS], sum[COUNT]);
  s.negative.weight = weight(c, c->option[LAMBDA_MINUS], sum[SIDE_SUMS + COUNT]);
  if (c->wants_grad) cr_tile_pass(&t, row_pairs, &s, true, sum);
  const double active[CR_ROW_SUMS] = {
    [CR_PAIR_TERMS] = (double)(t.positive_pairs + t.negative_pairs),
    [CR_PAIR_ACTIVE] = sum[COUNT] + sum[SIDE_SUMS + COUNT],
  };
  cr_pair_finish(c, &t, 1,
                 s.positive.weight * sum[LOSS] + s.negative.weight * sum[SIDE_SUMS + LOSS], active);
}

const cr_op cr_loss_threshold_consistent = {
  .name = "threshold_consistent",
  .help = "all positive pairs above one similarity, all negative ones below another; an addition",
  .formula = "lambda_plus mean_{s_p <= m+} (m+ - s_p) + lambda_minus mean_{s_n >= m-} (s_n - m-)",
  .paper = "Zhang and others, \"Threshold-consistent margin loss for open-world deep metric "
           "learning\", ICLR 2024",
  .differs = "pytorch-metric-learning's class holds the base loss and adds it, and ignores "
             "references; here this is the added part alone, and references count",
  .inputs = cr_pair_loss_inputs, .options = options, .stats = cr_pair_loss_stats,
  .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = cr_pair_backward,
};
