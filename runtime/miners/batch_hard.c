/* batch_hard.c - for each anchor its farthest positive and its nearest negative
 *
 *   (a, p, n)  p = argmax d_ap over positives,  n = argmin d_an over negatives
 *
 * for every row that has both; of equally far ones the first. Hermans, Beyer, Leibe, "In defense of
 * the triplet loss for person re-identification", 2017. Cost B R D. */
#include "autograd/miner.h"

enum { DISTANCE };
static const cr_option options[] = { CR_MINER_OPTIONS(CR_EUCLIDEAN), { 0 } };

static bool row(cr_miner *m, const cr_mine_row *r, void *context, cr_error *err) {
  int64_t far = cr_mine_farthest(r), near = far < 0 ? -1 : cr_mine_nearest(r);
  (void)context;
  return far < 0 || near < 0 || cr_mine_triplet(m, r->i, far, near, err);
}

static bool check(cr_call *c, cr_error *err) { return cr_mine(c, DISTANCE, row, NULL, err); }

const cr_op cr_miner_batch_hard = {
  .name = "batch_hard", .help = "for each anchor the farthest positive and the nearest negative",
  .formula = "p = argmax d(a,p), n = argmin d(a,n)",
  .paper = "Hermans, Beyer, Leibe, \"In defense of the triplet loss\", 2017",
  .differs = "pytorch-metric-learning normalises rows by default: normalize = true",
  .inputs = cr_miner_inputs, .outputs = cr_triplet_outputs, .options = options,
  .stats = cr_triplet_stats, .check = check, .forward = cr_miner_forward,
};
