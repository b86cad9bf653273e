/* intra_pair_variance.c - variance of the similarities within the positive and the negative pairs
 *
 *   L = mean_p max(0, (1 - pos_eps) mean s_p - s_p)^2
 *     + mean_n max(0, s_n - (1 + neg_eps) mean s_n)^2
 *
 * over all positive pairs p and all negative pairs n of the batch: a positive pair that is less
 * alike than most, and a negative one that is more alike than most, are pushed to the mean. Yu, Tao
 * 2019, who add it to the tuplet margin loss. With a distance d in place of a similarity the
 * tolerances turn round: d - (1 + pos_eps) mean d for positives, (1 - neg_eps) mean d - d for
 * negatives.
 *
 * The gradient goes through the means. "mean" and "nonzero" divide each side by its own number of
 * pairs; "sum" counts (i, j) and (j, i). The means come first, then the sums of what is over them,
 * then the weights: three passes of B^2 D over tiles when the batch is larger than one. Memory: a
 * tile of rows by B. */
#include "autograd/pair_loss.h"

enum { POS_EPS, NEG_EPS };

static const cr_option options[] = {
  [POS_EPS] = { "pos_eps", 0.01, -1e3, 1e3, "tolerance below the mean of the positives", CR_NUMBER,
                NULL, false },
  [NEG_EPS] = { "neg_eps", 0.01, -1e3, 1e3, "tolerance above the mean of the negatives", CR_NUMBER,
                NULL, false },
  CR_PAIR_OPTIONS(CR_COSINE, 0, CR_PAIR_MEAN),
  { 0 }
};

/* What a pair is over by: sign (d - limit), with limit a constant plus share times the mean of the
 * side's d. The weight of a pair is 2 scale sign (over - share times the mean of that). */
typedef struct side {
  double sign, limit, share;
  double scale, by_mean;
} side;
typedef struct settings { side positive, negative; } settings;

enum { LOSS, OVER, COUNT, SIDE_SUMS };            /* of the positives, then of the negatives */

static void walk(const cr_row *row, cr_span span, const side *s, double *sum) {
  cr_over over = cr_span_over(row->d, span, s->sign, s->limit, row->w);
  double by = 2 * s->scale * s->sign;
  sum[LOSS] = over.squares;
  sum[OVER] = over.sum;
  sum[COUNT] = over.above;
  if (row->w != NULL) cr_span_affine(row->w, span, by, -by * s->by_mean);
}

static void row_pairs(const cr_row *row, void *context) {
  const settings *s = context;
  walk(row, cr_span_positives(row), &s->positive, row->sum);
  walk(row, cr_span_negatives(row), &s->negative, row->sum + SIDE_SUMS);
}

static void row_nothing(const cr_row *row, void *context) { (void)row, (void)context; }

/* A similarity s is one - d; its limit (1 + eps) mean s is one on d. */
static side side_of(const cr_call *c, double sign, double eps, double mean) {
  cr_metric metric = cr_pair_metric(c);
  double one = metric == CR_COSINE ? 1 : 0;
  double share = metric == CR_COSINE || metric == CR_DOT ? 1 + eps : 1 - eps;
  return (side){ sign, one - share * (one - mean), share, 0, 0 };
}

/* By what the reduction multiplies this side, and the part of its mean in every weight. */
static void weigh(const cr_call *c, side *s, const double *sum, double pairs) {
  const double by[CR_ROW_SUMS] = { [CR_PAIR_TERMS] = pairs, [CR_PAIR_ACTIVE] = sum[COUNT] };
  s->scale = cr_pair_scale(c, by);
  s->by_mean = s->share * cr_ratio(sum[OVER], pairs);
}

static void forward(cr_call *c) {
  cr_tile t;
  double sum[CR_ROW_SUMS];
  cr_pair_start_as(c, &t, true, 0);
  cr_tile_pass(&t, row_nothing, NULL, false, sum);
  double positives = (double)t.positive_pairs, negatives = (double)t.negative_pairs;
  settings s = {
    side_of(c, 1, -c->option[POS_EPS], cr_ratio(t.positive_distance, positives)),
    side_of(c, -1, c->option[NEG_EPS], cr_ratio(t.negative_distance, negatives)),
  };
  cr_tile_pass(&t, row_pairs, &s, false, sum);
  weigh(c, &s.positive, sum, positives);
  weigh(c, &s.negative, sum + SIDE_SUMS, negatives);
  if (c->wants_grad) cr_tile_pass(&t, row_pairs, &s, true, sum);
  const double active[CR_ROW_SUMS] = {
    [CR_PAIR_TERMS] = positives + negatives,
    [CR_PAIR_ACTIVE] = sum[COUNT] + sum[SIDE_SUMS + COUNT],
  };
  cr_pair_finish(c, &t, 1, s.positive.scale * sum[LOSS] + s.negative.scale * sum[SIDE_SUMS + LOSS],
                 active);
}

const cr_op cr_loss_intra_pair_variance = {
  .name = "intra_pair_variance",
  .help = "positive pairs less alike than most, negative ones more alike than most, to the mean",
  .formula = "mean_p max(0, (1 - pos_eps) mean s_p - s_p)^2 + "
             "mean_n max(0, s_n - (1 + neg_eps) mean s_n)^2",
  .paper = "Yu, Tao, \"Deep metric learning with tuplet margin loss\", ICCV 2019",
  .inputs = cr_pair_loss_inputs, .options = options, .stats = cr_pair_loss_stats,
  .backward_reads = CR_READS_NOTHING,
  .check = cr_pair_check, .forward = forward, .backward = cr_pair_backward,
};
