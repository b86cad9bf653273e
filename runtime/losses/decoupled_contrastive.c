/* decoupled_contrastive.c - decoupled contrastive loss
 *
 *   l_ip = -w_ip s_ip / temperature + log sum_n e^(s_in / temperature)
 *   w_ip = 2 - e^(s_ip / sigma) / mean e^(s / sigma)       (sigma = 0, the default: 1)
 *
 * for every pair of a row i and a positive p of it; n runs over the negatives of i and the mean is
 * over all such pairs. It is NT-Xent without the positive in its denominator, which lets small
 * batches learn. With two views of each item as one class it is the loss of Yeh and others 2022,
 * eq. 5 and 6. The gradient goes through w.
 *
 * Terms are pairs, (i, p) and (p, i) both; rows without negatives are left out. The loss may be
 * negative. Cost: B^2 D, twice with sigma when the batch is larger than a tile; memory a tile of
 * rows by B. */
#include <math.h>

#include "autograd/pair_loss.h"

enum { TEMPERATURE, SIGMA };

static const cr_option options[] = {
  [TEMPERATURE] = { "temperature", 0.1, 1e-6, 1e6, "divides similarities", CR_NUMBER, NULL,
                    false },
  [SIGMA] = { "sigma", 0, 0, 1e6, "how fast near positives lose weight; 0: all weigh 1", CR_NUMBER,
              NULL, false },
  CR_PAIR_OPTIONS(CR_COSINE, 0, CR_PAIR_MEAN),
  { 0 }
};

typedef struct settings {
  double temperature, sigma, one;         /* s = one - d */
  double *log_sum, *mean;                 /* by row: of e^(-d / sigma); of d under that weight */
  double log_average, overall;            /* of the batch: log mean e^(-d / sigma); s so weighted */
} settings;

static bool check(cr_call *c, cr_error *err) {
  return cr_pair_check_with(c, 2 * (size_t)c->dim['B'] * sizeof(double), 0, err);
}

static bool counts(const cr_row *row) { return row->positives > 0 && row->negatives > 0; }

/* log sum_p e^(-d / sigma), and the mean of d under those weights */
static void row_weights(const cr_row *row, void *context) {
  const settings *s = context;
  cr_span positives = cr_span_positives(row);
  double log_sum = -INFINITY, mean = 0;
  if (counts(row)) {
    log_sum = cr_span_lse(row->d, positives, -1 / s->sigma, NULL).log;
    for (int k = 0; k < 2; k++)
      for (int64_t p = positives.begin[k]; p < positives.end[k]; p++)
        mean += (double)row->d[p] * exp(-(double)row->d[p] / s->sigma - log_sum);
    row->sum[CR_PAIR_TERMS] = (double)row->positives;
  }
  s->log_sum[row->i] = log_sum;
  s->mean[row->i] = mean;
}

/* From rows to the batch. */
static void average(settings *s, int64_t rows, double pairs) {
  double all = -INFINITY, mean = 0;
  for (int64_t i = 0; i < rows; i++) all = cr_log_add(all, s->log_sum[i]);
  for (int64_t i = 0; i < rows; i++)
    if (s->log_sum[i] > -INFINITY) mean += s->mean[i] * exp(s->log_sum[i] - all);
  s->log_average = all - log(pairs);
  s->overall = s->one - mean;
}

static void row_loss(const cr_row *row, void *context) {
  const settings *s = context;
  cr_span positives = cr_span_positives(row), negatives = cr_span_negatives(row);
  if (!counts(row)) {
    if (row->w != NULL) cr_span_fill(row->w, cr_span_others(row), 0);
    return;
  }
  cr_lse n = cr_span_lse(row->d, negatives, -1 / s->temperature, row->w);
  for (int k = 0; k < 2; k++) {
    for (int64_t p = positives.begin[k]; p < positives.end[k]; p++) {
      double d = (double)row->d[p], similarity = s->one - d, weight = 1, slope = 1;
      if (s->sigma > 0) {
        double share = exp(-d / s->sigma - s->log_average);
        weight = 2 - share;
        slope = weight - share * (similarity - s->overall) / s->sigma;
      }
      cr_pair_term(row, n.log + (s->one - weight * similarity) / s->temperature);
      if (row->w != NULL) row->w[p] = (real)(slope / s->temperature);
    }
  }
  if (row->w != NULL)
    cr_span_softmax(row->w, negatives, n, -(double)row->positives / s->temperature);
}

static void forward(cr_call *c) {
  settings s = { .temperature = c->option[TEMPERATURE], .sigma = c->option[SIGMA],
                 .one = cr_pair_metric(c) == CR_COSINE ? 1 : 0 };
  cr_tile t;
  double sum[CR_ROW_SUMS];
  s.log_sum = c->scratch;
  s.mean = s.log_sum + c->dim['B'];
  cr_pair_start(c, &t);
  if (s.sigma > 0) {
    for (int64_t i = 0; i < c->dim['B']; i++) s.log_sum[i] = -INFINITY;
    cr_tile_pass(&t, row_weights, &s, false, sum);
    average(&s, c->dim['B'], sum[CR_PAIR_TERMS]);
  }
  cr_tile_pass(&t, row_loss, &s, c->wants_grad, sum);
  double scale = cr_pair_scale(c, sum);
  cr_pair_finish(c, &t, scale, scale * sum[CR_PAIR_LOSS], sum);
}

const cr_op cr_loss_decoupled_contrastive = {
  .name = "decoupled_contrastive",
  .help = "NT-Xent whose denominator holds the negatives alone",
  .formula = "mean over pairs of -w s_ip / T + log sum_n e^(s_in / T)",
  .paper = "Yeh and others, \"Decoupled contrastive learning\", ECCV 2022, eq. 5 and 6",
  .differs = "the gradient goes through the weights w (sigma > 0), which Lightly holds constant",
  .inputs = cr_pair_loss_inputs, .options = options, .stats = cr_pair_loss_stats,
  .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = cr_pair_backward,
};
