/* multi_similarity.c - pairs that are harder than the hardest of the other side, within epsilon
 *
 *   (a, p)  d_ap + epsilon > min_n d_an          (a, n)  d_an - epsilon < max_p d_ap
 *
 * A row without a negative keeps no positives, one without a positive no negatives. Wang, Han,
 * Huang, Dong, Scott, "Multi-similarity loss with general pair weighting", CVPR 2019, eq. 11, 12.
 * Cost B R D; nothing is sorted. */
#include <math.h>

#include "autograd/miner.h"

enum { EPSILON, DISTANCE };

static const cr_option options[] = {
  [EPSILON] = { "epsilon", 0.1, -1e30, 1e30, "how much easier than the other side may be",
                CR_NUMBER, NULL, false },
  CR_MINER_OPTIONS(CR_COSINE),
  { 0 }
};

/* the least distance of a negative and the greatest of a positive */
CR_VECTOR static void borders(const cr_mine_row *r, real *nearest, real *farthest) {
  enum { LANES = 16 };
  const real *d = r->d, inf = (real)INFINITY;
  const uint8_t *kind = r->kind;
  real low[LANES], high = -inf;
  int64_t j = 0;
  for (int l = 0; l < LANES; l++) low[l] = inf;
  for (; j + LANES <= r->columns; j += LANES) {
    for (int l = 0; l < LANES; l++) {
      real n = kind[j + l] == CR_NEGATIVE ? d[j + l] : inf;
      low[l] = n < low[l] ? n : low[l];
    }
  }
  for (; j < r->columns; j++) if (kind[j] == CR_NEGATIVE && d[j] < low[0]) low[0] = d[j];
  for (int64_t k = 0; k < r->positives; k++)
    if (d[r->positive[k]] > high) high = d[r->positive[k]];
  for (int l = 1; l < LANES; l++) low[0] = low[l] < low[0] ? low[l] : low[0];
  *nearest = low[0];
  *farthest = high;
}

static bool row(cr_miner *m, const cr_mine_row *r, void *context, cr_error *err) {
  const real epsilon = *(const real *)context;
  real nearest, farthest;
  if (r->positives == 0 || r->negatives == 0) return true;
  borders(r, &nearest, &farthest);
  for (int64_t k = 0; k < r->positives; k++)
    if (r->d[r->positive[k]] + epsilon > nearest &&
        !cr_mine_pair(m, CR_POSITIVE, r->i, r->positive[k], err)) return false;
  for (int64_t j = 0; j < r->columns; j++)
    if (r->d[j] - epsilon < farthest && r->kind[j] == CR_NEGATIVE &&
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
