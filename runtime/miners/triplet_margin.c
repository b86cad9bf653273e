/* triplet_margin.c - triplets by how far the negative is beyond the positive
 *
 *   g = d_an - d_ap          type_of_triplets = "all"       g <= margin
 *                                               "hard"      g <= 0 and g <= margin
 *                                               "semihard"  0 < g <= margin
 *                                               "easy"      g > margin
 *
 * in lexicographic order. Schroff, Kalenichenko, Philbin, "FaceNet", CVPR 2015. Cost B R D, and a
 * comparison for each triplet. */
#include <tgmath.h>

#include "autograd/miner.h"

enum { MARGIN, KEEP, DISTANCE };
enum { ALL, HARD, SEMIHARD, EASY };

static const cr_option options[] = {
  [MARGIN] = { "margin", 0.2, -1e30, 1e30, "", CR_NUMBER, NULL, false },
  [KEEP] = { "type_of_triplets", ALL, 0, 0, "which triplets", CR_CHOICE,
             "all hard semihard easy", false },
  CR_MINER_OPTIONS(CR_EUCLIDEAN),
  { 0 }
};

typedef struct settings { int keep; real margin; } settings;

static bool is_kept(const settings *s, real gap) {
  if (s->keep == EASY) return gap > s->margin;
  return gap <= s->margin && (s->keep != HARD || gap <= 0) && (s->keep != SEMIHARD || gap > 0);
}

static bool row(cr_miner *m, const cr_mine_row *r, void *context, cr_error *err) {
  const settings *s = context;
  for (int64_t k = 0; k < r->positives; k++) {
    int64_t p = r->positive[k];
    /* what rounding may let in is looked at again */
    real far = r->d[p] + s->margin, room = CR_REAL_EPSILON * (fabs(far) + fabs(s->margin));
    real limit = s->keep == EASY ? (real)INFINITY : far + room;
    for (int64_t n = -1; (n = cr_mine_within(r, n + 1, limit)) < r->columns;)
      if (r->kind[n] == CR_NEGATIVE && is_kept(s, r->d[n] - r->d[p]) &&
          !cr_mine_triplet(m, r->i, p, n, err)) return false;
  }
  return true;
}

static bool check(cr_call *c, cr_error *err) {
  settings s = { (int)c->option[KEEP], (real)c->option[MARGIN] };
  return cr_mine(c, DISTANCE, row, &s, err);
}

const cr_op cr_miner_triplet_margin = {
  .name = "triplet_margin",
  .help = "triplets whose negative is too near, or hard, semi-hard or easy",
  .formula = "d(a,n) - d(a,p) <= margin; hard: <= 0 too; semihard: > 0 too; easy: > margin",
  .paper = "Schroff, Kalenichenko, Philbin, \"FaceNet\", CVPR 2015",
  .differs = "pytorch-metric-learning normalises rows by default: normalize = true",
  .inputs = cr_miner_inputs, .outputs = cr_triplet_outputs, .options = options,
  .stats = cr_triplet_stats, .check = check, .forward = cr_miner_forward,
};
