/* all_triplets.c - every triplet of a labelled batch
 *
 *   (a, p, n)  y_a = y_p, a != p, y_n != y_a         in lexicographic order
 *
 * As many as the sum over rows of positives times negatives: B K B for classes of K rows, 24 bytes
 * each. The losses over all triplets need none of them listed; this is for looking at them. */
#include "autograd/miner.h"

static bool row(cr_miner *m, const cr_mine_row *r, void *context, cr_error *err) {
  (void)context;
  for (int64_t k = 0; k < r->positives; k++)
    for (int64_t j = 0; j < r->columns; j++)
      if (r->kind[j] == CR_NEGATIVE && !cr_mine_triplet(m, r->i, r->positive[k], j, err))
        return false;
  return true;
}

static bool check(cr_call *c, cr_error *err) { return cr_mine_labels(c, row, NULL, err); }

const cr_op cr_miner_all_triplets = {
  .name = "all_triplets", .help = "every triplet of anchor, positive and negative",
  .formula = "{ (a, p, n): y_a = y_p, a != p, y_n != y_a }",
  .inputs = cr_miner_inputs, .outputs = cr_triplet_outputs, .stats = cr_triplet_stats,
  .check = check, .forward = cr_miner_forward,
};
