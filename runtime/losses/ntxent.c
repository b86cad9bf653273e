/* ntxent.c - normalised temperature-scaled cross-entropy, InfoNCE
 *
 *   l_ip = -log( e^(s_ip / temperature) / (e^(s_ip / temperature) + sum_n e^(s_in / temperature)) )
 *
 * for every pair of a row i and a positive p of it; n runs over the negatives of i, and other
 * positives take no part. With two views of each item as one class it is SimCLR's loss. Chen and
 * others 2020, eq. 1; van den Oord and others 2018, eq. 4.
 *
 * Since l_ip = log(1 + e^(lse_n - s_ip / temperature)), the sum over negatives is one number for a
 * row however many positives it has. Terms are pairs, (i, p) and (p, i) both. Cost: B^2 D, memory a
 * tile of rows by B. */
#include "autograd/pair_loss.h"

enum { TEMPERATURE };

static const cr_option options[] = {
  [TEMPERATURE] = { "temperature", 0.07, 1e-6, 1e6, "divides similarities", CR_NUMBER, NULL,
                    false },
  CR_PAIR_OPTIONS(CR_COSINE, 0, CR_PAIR_MEAN),
  { 0 }
};

static double scaled(double d, double *slope, void *context) {
  const double *a = context;
  *slope = *a;
  return *a * d;
}

static void row_loss(const cr_row *row, void *context) {
  cr_lse_each_positive(row, *(const double *)context, scaled, context, cr_pair_term);
}

static void forward(cr_call *c) {
  double a = -1 / c->option[TEMPERATURE];
  cr_pair_forward(c, row_loss, &a);
}

const cr_op cr_loss_ntxent = {
  .name = "ntxent", .help = "each positive is picked out from among the negatives by a softmax",
  .formula = "mean over pairs of -log( e^(s_ip / T) / (e^(s_ip / T) + sum_n e^(s_in / T)) )",
  .paper = "Chen, Kornblith, Norouzi, Hinton, \"A simple framework for contrastive learning of "
           "visual representations\", ICML 2020, eq. 1; van den Oord, Li, Vinyals, "
           "\"Representation learning with contrastive predictive coding\", 2018, eq. 4",
  .differs = "pytorch-metric-learning adds the smallest normal number inside the logarithm, so its "
             "loss and gradient stop at 87 (float32)",
  .inputs = cr_pair_loss_inputs, .options = options, .stats = cr_pair_loss_stats,
  .backward_reads = CR_READS_NOTHING,
  .check = cr_pair_check, .forward = forward, .backward = cr_pair_backward,
};
