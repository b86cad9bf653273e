/* multi_similarity.c - pairs that are harder than the hardest of the other side, within epsilon
 *
 *   (a, p)  d_ap + epsilon > min_n d_an          (a, n)  d_an - epsilon < max_p d_ap
 *
 * A row without a negative keeps no positives, one without a positive no negatives. Wang, Han,
 * Huang, Dong, Scott, "Multi-similarity loss with general pair weighting", CVPR 2019, eq. 11, 12.
 * Cost B R D; nothing is sorted. */
#include <tgmath.h>

#include "autograd/miner.h"

enum { EPSILON, DISTANCE };

static const cr_option options[] = {
  [EPSILON] = { "epsilon", 0.1, -1e30, 1e30, "how much easier than the other side may be",
                CR_NUMBER, NULL, false },
  CR_MINER_OPTIONS(CR_COSINE),
  { 0 }
};

static bool row(cr_miner *m, const cr_mine_row *r, void *context, cr_error *err) {
  const real epsilon = *(const real *)context;
  int64_t far = cr_mine_farthest(r), near = far < 0 ? -1 : cr_mine_nearest(r);
  if (near < 0) return true;
  for (int64_t k = 0; k < r->positives; k++)
    if (r->d[r->positive[k]] + epsilon > r->d[near] &&
        !cr_mine_pair(m, CR_POSITIVE, r->i, r->positive[k], err)) return false;
  /* what rounding may let in is looked at again */
  real limit = r->d[far] + epsilon, room = CR_REAL_EPSILON * (fabs(limit) + fabs(epsilon));
  for (int64_t j = -1; (j = cr_mine_within(r, j + 1, limit + room)) < r->columns;)
    if (r->d[j] - epsilon < r->d[far] && r->kind[j] == CR_NEGATIVE &&
        !cr_mine_pair(m, CR_NEGATIVE, r->i, j, err)) return false;
  return true;
}

static bool check(cr_call *c, cr_error *err) {
  real epsilon = (real)c->option[EPSILON];
  return cr_mine(c, DISTANCE, row, &epsilon, err);
}

const cr_op cr_miner_multi_similarity = {
  .name = "multi_similarity", .help = "pairs harder than the hardest of the other side",
  .formula = "(a,p): d(a,p) + epsilon > min d(a,n); (a,n): d(a,n) - epsilon < max d(a,p)",
  .paper = "Wang and others, \"Multi-similarity loss with general pair weighting\", CVPR 2019",
  .inputs = cr_miner_inputs, .outputs = cr_pair_outputs, .options = options,
  .stats = cr_pair_stats, .check = check, .forward = cr_miner_forward,
};
