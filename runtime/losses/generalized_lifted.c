/* generalized_lifted.c - generalised lifted structure loss
 *
 *   l_i = max(0, log sum_p e^(d_ip - pos_margin) + log sum_n e^(neg_margin - d_in))
 *
 * p runs over the positives of row i, n over its negatives: the lifted structure loss with all
 * positives of an anchor at once. Hermans, Beyer, Leibe 2017, page 4, with pos_margin = 0.
 *
 * Terms are all rows. The logarithm of an empty sum counts as 0, as in pytorch-metric-learning: a
 * row without positives still pushes its negatives away. Margins are on distances: for cosine, a
 * margin m on similarities is 1 - m here, for dot it is -m. Cost: B^2 D, memory a tile of rows by
 * B. */
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

typedef struct settings { double pos_margin, neg_margin; } settings;

static void row_loss(const cr_row *row, void *context) {
  const settings *s = context;
  cr_span positives = cr_span_positives(row), negatives = cr_span_negatives(row);
  cr_lse p = cr_span_lse(row->d, positives, 1, row->w);
  cr_lse n = cr_span_lse(row->d, negatives, -1, row->w);
  double far = row->positives > 0 ? p.log - s->pos_margin : 0;
  double near = row->negatives > 0 ? n.log + s->neg_margin : 0, loss = far + near;
  cr_pair_term(row, loss > 0 ? loss : 0);
  if (row->w == NULL) return;
  cr_span_softmax(row->w, positives, p, loss > 0);
  cr_span_softmax(row->w, negatives, n, -(loss > 0));
}

static void forward(cr_call *c) {
  settings s = { c->option[POS_MARGIN], c->option[NEG_MARGIN] };
  cr_pair_forward(c, row_loss, &s);
}

const cr_op cr_loss_generalized_lifted = {
  .name = "generalized_lifted",
  .help = "the soft farthest positive shall be nearer than the soft nearest negative",
  .formula = "mean over rows of max(0, lse_p(d - pos_margin) + lse_n(neg_margin - d))",
  .paper = "Hermans, Beyer, Leibe, \"In defense of the triplet loss for person "
           "re-identification\", 2017, page 4",
  .differs = "pytorch-metric-learning normalises rows by default: normalize = true",
  .inputs = cr_pair_loss_inputs, .options = options, .stats = cr_pair_loss_stats,
  .backward_reads = CR_READS_NOTHING,
  .check = cr_pair_check, .forward = forward, .backward = cr_pair_backward,
};
