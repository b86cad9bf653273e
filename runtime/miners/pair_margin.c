/* pair_margin.c - positive pairs that are far and negative pairs that are near
 *
 *   (a1, p)  d > pos_margin          (a2, n)  d < neg_margin
 *
 * in lexicographic order. Cost B R D. */
#include "autograd/miner.h"

enum { POS_MARGIN, NEG_MARGIN, DISTANCE };

static const cr_option options[] = {
  [POS_MARGIN] = { "pos_margin", 0.2, -1e30, 1e30, "nearer positive pairs are left out", CR_NUMBER,
                   NULL, false },
  [NEG_MARGIN] = { "neg_margin", 0.8, -1e30, 1e30, "farther negative pairs are left out", CR_NUMBER,
                   NULL, false },
  CR_MINER_OPTIONS(CR_EUCLIDEAN),
  { 0 }
};

static bool row(cr_miner *m, const cr_mine_row *r, void *context, cr_error *err) {
  const real *margin = context;
  for (int64_t k = 0; k < r->positives; k++)
    if (r->d[r->positive[k]] > margin[POS_MARGIN] &&
        !cr_mine_pair(m, CR_POSITIVE, r->i, r->positive[k], err)) return false;
  for (int64_t j = -1; (j = cr_mine_within(r, j + 1, margin[NEG_MARGIN])) < r->columns;)
    if (r->kind[j] == CR_NEGATIVE && r->d[j] < margin[NEG_MARGIN] &&
        !cr_mine_pair(m, CR_NEGATIVE, r->i, j, err)) return false;
  return true;
}

static bool check(cr_call *c, cr_error *err) {
  real margin[] = { (real)c->option[POS_MARGIN], (real)c->option[NEG_MARGIN] };
  return cr_mine(c, DISTANCE, row, margin, err);
}

const cr_op cr_miner_pair_margin = {
  .name = "pair_margin", .help = "positive pairs past a margin, negative pairs within one",
  .formula = "(a,p): d > pos_margin; (a,n): d < neg_margin",
  .differs = "pytorch-metric-learning normalises rows by default (normalize = true), and its "
             "margins for a similarity s are on s: a cosine distance is 1 - s",
  .inputs = cr_miner_inputs, .outputs = cr_pair_outputs, .options = options,
  .stats = cr_pair_stats, .check = check, .forward = cr_miner_forward,
};
