/* multi_similarity.c - multi-similarity loss
 *
 *   l_i = 1/alpha log( 1 + sum_p e^(-alpha (s_ip - base)) )
 *       + 1/beta  log( 1 + sum_n e^( beta  (s_in - base)) )
 *
 * p runs over the positives of row i, n over its negatives. Wang and others 2019, eq. 15, without
 * its pair mining. s is the cosine unless told otherwise; with a distance d in place of a
 * similarity s - base becomes base - d.
 *
 * Terms are all rows: a side without pairs adds 0. Cost: B^2 D, memory a tile of rows by B. */
#include <math.h>

#include "autograd/pair_loss.h"

enum { ALPHA, BETA, BASE };

static const cr_option options[] = {
  [ALPHA] = { "alpha", 2, 1e-6, 1e6, "sharpness on the positive side", CR_NUMBER, NULL, false },
  [BETA]  = { "beta", 50, 1e-6, 1e6, "sharpness on the negative side", CR_NUMBER, NULL, false },
  [BASE]  = { "base", 0.5, -1e30, 1e30, "similarity (or distance) that divides the two",
              CR_NUMBER, NULL, false },
  CR_PAIR_OPTIONS(CR_COSINE, 0, CR_PAIR_MEAN),
  { 0 }
};

typedef struct settings { double alpha, beta, base; } settings;

static double side(const cr_row *row, cr_span span, double a, double base) {
  double slope;
  cr_lse lse = cr_span_lse(row->d, span, a, row->w);
  double loss = cr_log_one_plus(lse.log - a * base, &slope) / fabs(a);
  if (row->w != NULL) cr_span_softmax(row->w, span, lse, a > 0 ? slope : -slope);
  return loss;
}

static void row_loss(const cr_row *row, void *context) {
  const settings *s = context;
  double pull = side(row, cr_span_positives(row), s->alpha, s->base);
  cr_pair_term(row, pull + side(row, cr_span_negatives(row), -s->beta, s->base));
}

static void forward(cr_call *c) {
  settings s = { c->option[ALPHA], c->option[BETA], cr_pair_threshold(c, c->option[BASE]) };
  cr_pair_forward(c, row_loss, &s);
}

const cr_op cr_loss_multi_similarity = {
  .name = "multi_similarity", .help = "soft maxima of the far positives and of the near negatives",
  .formula = "mean over rows of 1/alpha log(1 + sum_p e^(-alpha (s - base))) + "
             "1/beta log(1 + sum_n e^(beta (s - base)))",
  .paper = "Wang and others, \"Multi-similarity loss with general pair weighting for deep metric "
           "learning\", CVPR 2019, eq. 15",
  .differs = "TensorFlow Similarity has beta = 40 and mines pairs inside the loss; mining is a "
             "miner's work here",
  .inputs = cr_pair_loss_inputs, .options = options, .stats = cr_pair_loss_stats,
  .backward_reads = CR_READS_NOTHING,
  .check = cr_pair_check, .forward = forward, .backward = cr_pair_backward,
};
