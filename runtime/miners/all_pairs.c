/* all_pairs.c - every positive and every negative pair of a labelled batch
 *
 *   (a1, p)  labels equal, a1 != p         (a2, n)  labels different
 *
 * in lexicographic order; a pair of rows comes in both directions. With references, every row
 * against every reference. Output B R pairs in all; the embeddings are not looked at. */
#include "autograd/miner.h"

static bool row(cr_miner *m, const cr_mine_row *r, void *context, cr_error *err) {
  (void)context;
  for (int64_t j = 0; j < r->columns; j++)
    if (r->kind[j] != CR_NEITHER && !cr_mine_pair(m, r->kind[j], r->i, j, err)) return false;
  return true;
}

static bool check(cr_call *c, cr_error *err) { return cr_mine_labels(c, row, NULL, err); }

const cr_op cr_miner_all_pairs = {
  .name = "all_pairs", .help = "every positive and every negative pair",
  .formula = "{ (a, p): y_a = y_p, a != p } and { (a, n): y_a != y_n }",
  .inputs = cr_miner_inputs, .outputs = cr_pair_outputs, .stats = cr_pair_stats,
  .check = check, .forward = cr_miner_forward,
};
