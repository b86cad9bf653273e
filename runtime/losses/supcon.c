/* supcon.c - supervised contrastive loss
 *
 *   variant = "out"   l_i = -1/K_i sum_p log softmax_i(p)
 *             "in"    l_i = -log( 1/K_i sum_p softmax_i(p) )
 *
 *   softmax_i(j) = e^(s_ij / temperature) / sum_{a != i} e^(s_ia / temperature)
 *
 * p runs over the K_i positives of row i, a over all other rows (or all references), s is the
 * similarity: the cosine, or minus the distance. Khosla and others 2020, eq. 2 and 3. "out" pulls
 * on every positive alike; "in" on the near ones most, and is satisfied by one.
 *
 * Terms are rows. A row without positives has the loss 0; reduction = "nonzero", the default,
 * leaves it out of the mean, "mean" divides by B. base_temperature multiplies the loss by
 * temperature / base_temperature, as the authors' code does (0.07). A batch of one class, or
 * without positive pairs, gives 0. Cost: B^2 D, memory a tile of rows by B. */
#include <math.h>

#include "autograd/pair_loss.h"

enum { TEMPERATURE, VARIANT, BASE_TEMPERATURE };
enum { OUT, IN };

static const cr_option options[] = {
  [TEMPERATURE] = { "temperature", 0.1, 1e-6, 1e6, "divides similarities", CR_NUMBER, NULL, false },
  [VARIANT] = { "variant", OUT, 0, 0, "mean outside or inside the logarithm", CR_CHOICE, "out in",
                false },
  [BASE_TEMPERATURE] = { "base_temperature", NAN, 1e-6, 1e6,
                         "multiply the loss by temperature / base_temperature", CR_NUMBER, NULL,
                         false },
  CR_PAIR_OPTIONS(CR_COSINE, 0, CR_PAIR_NONZERO),
  { 0 }
};

typedef struct settings { double a, factor; int variant; } settings;

static double outside(const cr_row *row, double a) {
  cr_span all = cr_span_others(row), positives = cr_span_positives(row);
  double K = (double)row->positives, mean = cr_span_sum(row->d, positives) / K;
  cr_lse lse = cr_span_lse(row->d, all, a, row->w);
  if (row->w != NULL) {
    cr_span_softmax(row->w, all, lse, a);
    cr_span_affine(row->w, positives, 1, -a / K);
  }
  return lse.log - a * mean;
}

static void row_loss(const cr_row *row, void *context) {
  const settings *s = context;
  if (row->positives == 0 || row->tile->negative_pairs == 0) {
    if (row->w != NULL) cr_span_fill(row->w, cr_span_others(row), 0);
    cr_pair_term(row, 0);
    return;
  }
  double loss = s->variant == OUT ? outside(row, s->a)
                                  : cr_lse_neighbours(row, s->a) + log((double)row->positives);
  cr_pair_term(row, s->factor * loss);
  if (row->w != NULL && s->factor != 1) cr_span_affine(row->w, cr_span_others(row), s->factor, 0);
}

static void forward(cr_call *c) {
  double base = c->option[BASE_TEMPERATURE], temperature = c->option[TEMPERATURE];
  settings s = { -1 / temperature, isnan(base) ? 1 : temperature / base, (int)c->option[VARIANT] };
  cr_pair_forward(c, row_loss, &s);
}

const cr_op cr_loss_supcon = {
  .name = "supcon", .help = "cross-entropy of a softmax over all others against the positives",
  .formula = "out: mean over rows of -1/K sum_p log softmax(s / temperature)_p; "
             "in: -log 1/K sum_p softmax(s / temperature)_p",
  .paper = "Khosla and others, \"Supervised contrastive learning\", NeurIPS 2020, eq. 2 and 3",
  .differs = "temperature 0.1 as in pytorch-metric-learning; the authors' code has 0.07 and "
             "base_temperature = 0.07",
  .inputs = cr_pair_loss_inputs, .options = options, .stats = cr_pair_loss_stats,
  .backward_reads = CR_READS_NOTHING,
  .check = cr_pair_check, .forward = forward, .backward = cr_pair_backward,
};
