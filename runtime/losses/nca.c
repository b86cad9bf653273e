/* nca.c - neighbourhood components analysis
 *
 *   l_i = -log sum_p softmax_i(p),     softmax_i(j) = e^(-softmax_scale d_ij) / sum_{a != i} ...
 *
 * the probability that a neighbour of row i, drawn by a softmax over distances, is one of its
 * positives p. d is the squared Euclidean distance unless told otherwise. Goldberger and others
 * 2004, eq. 1, with the logarithm of each row's probability.
 *
 * Terms are the rows with a positive. The loss is a difference of logarithms of sums: a row whose
 * positives are far keeps its gradient. Cost: B^2 D, memory a tile of rows by B. */
#include <math.h>

#include "autograd/pair_loss.h"

enum { SOFTMAX_SCALE };

static const cr_option options[] = {
  [SOFTMAX_SCALE] = { "softmax_scale", 1, 1e-6, 1e6, "multiplies distances", CR_NUMBER, NULL,
                      false },
  CR_PAIR_OPTIONS(CR_EUCLIDEAN, NAN, CR_PAIR_MEAN),
  { 0 }
};

static void row_loss(const cr_row *row, void *context) {
  const double *a = context;
  if (row->positives > 0) cr_pair_term(row, cr_lse_neighbours(row, *a));
  else if (row->w != NULL) cr_span_fill(row->w, cr_span_others(row), 0);
}

static void forward(cr_call *c) {
  double a = -c->option[SOFTMAX_SCALE];
  cr_pair_forward(c, row_loss, &a);
}

const cr_op cr_loss_nca = {
  .name = "nca", .help = "a neighbour drawn by a softmax over distances shall be a positive",
  .formula = "mean over rows of -log( sum_p e^(-scale d^2) / sum_{a != i} e^(-scale d^2) )",
  .paper = "Goldberger, Roweis, Hinton, Salakhutdinov, \"Neighbourhood components analysis\", "
           "NIPS 2004, eq. 1",
  .differs = "pytorch-metric-learning normalises rows by default: normalize = true; it drops rows "
             "whose probability underflows, here they keep their loss and gradient",
  .inputs = cr_pair_loss_inputs, .options = options, .stats = cr_pair_loss_stats,
  .backward_reads = CR_READS_NOTHING,
  .check = cr_pair_check, .forward = forward, .backward = cr_pair_backward,
};
