/* soft_nearest_neighbour.c - soft nearest neighbour loss
 *
 *   l_i = -log( sum_p e^(-d_ip / temperature) / sum_{a != i} e^(-d_ia / temperature) )
 *
 * p runs over the positives of row i, a over all other rows; d is the squared Euclidean distance
 * unless told otherwise. Frosst, Papernot, Hinton 2019, eq. 1. It is NCA with softmax_scale =
 * 1 / temperature. The paper measures with it how entangled classes are, and also maximises it.
 *
 * Terms are the rows with a positive. Cost: B^2 D, memory a tile of rows by B. */
#include <math.h>

#include "autograd/pair_loss.h"

enum { TEMPERATURE };

static const cr_option options[] = {
  [TEMPERATURE] = { "temperature", 1, 1e-6, 1e6, "divides distances", CR_NUMBER, NULL, false },
  CR_PAIR_OPTIONS(CR_EUCLIDEAN, NAN, CR_PAIR_MEAN),
  { 0 }
};

static void row_loss(const cr_row *row, void *context) {
  const double *a = context;
  if (row->positives > 0) cr_pair_term(row, cr_lse_neighbours(row, *a));
  else if (row->w != NULL) cr_span_fill(row->w, cr_span_others(row), 0);
}

static void forward(cr_call *c) {
  double a = -1 / c->option[TEMPERATURE];
  cr_pair_forward(c, row_loss, &a);
}

const cr_op cr_loss_soft_nearest_neighbour = {
  .name = "soft_nearest_neighbour", .help = "how much nearer positives are than all others",
  .formula = "mean over rows of -log( sum_p e^(-d^2 / T) / sum_{a != i} e^(-d^2 / T) )",
  .paper = "Frosst, Papernot, Hinton, \"Analyzing and improving representations with the soft "
           "nearest neighbor loss\", ICML 2019, eq. 1",
  .differs = "TensorFlow Similarity adds 1e-9 inside the logarithm and takes the mean over all "
             "rows; here rows without a positive are left out",
  .inputs = cr_pair_loss_inputs, .options = options, .stats = cr_pair_loss_stats,
  .backward_reads = CR_READS_NOTHING,
  .check = cr_pair_check, .forward = forward, .backward = cr_pair_backward,
};
