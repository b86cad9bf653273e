/* batch_easy_hard.c - for each anchor one positive and one negative, hard, semi-hard or easy
 *
 *   pos_strategy = "hard"      the farthest positive
 *                  "easy"      the nearest positive
 *                  "semihard"  the farthest positive that is nearer than the negative
 *   neg_strategy = "hard"      the nearest negative
 *                  "easy"      the farthest negative
 *                  "semihard"  the nearest negative that is farther than the positive
 *   either       = "all"       every one
 *
 * Only distances in pos_least .. pos_most (neg_least .. neg_most), borders included, are looked at.
 * An anchor counts where both sides found one; with "all" on a side each side stands for itself.
 * semihard needs one row on the other side, so semihard twice, or with all, is an error. Of equals
 * the first is taken. Cost B R D.
 *
 * Xuan, Stylianou, Pless, "Improved embeddings with easy positive triplet mining", WACV 2020. */
#include <math.h>

#include "autograd/miner.h"

enum { POS, NEG, POS_LEAST, POS_MOST, NEG_LEAST, NEG_MOST, DISTANCE };
enum { HARD, SEMIHARD, EASY, ALL };

static const cr_option options[] = {
  [POS] = { "pos_strategy", EASY, 0, 0, "which positive", CR_CHOICE, "hard semihard easy all",
            false },
  [NEG] = { "neg_strategy", SEMIHARD, 0, 0, "which negative", CR_CHOICE,
            "hard semihard easy all", false },
  [POS_LEAST] = { "pos_least", -INFINITY, 0, 0, "least distance of a positive", CR_NUMBER, NULL,
                  false },
  [POS_MOST] = { "pos_most", INFINITY, 0, 0, "greatest distance of a positive", CR_NUMBER, NULL,
                 false },
  [NEG_LEAST] = { "neg_least", -INFINITY, 0, 0, "least distance of a negative", CR_NUMBER, NULL,
                  false },
  [NEG_MOST] = { "neg_most", INFINITY, 0, 0, "greatest distance of a negative", CR_NUMBER, NULL,
                 false },
  CR_MINER_OPTIONS(CR_EUCLIDEAN),
  { 0 }
};

/* One side: what it takes, and from where. */
typedef struct side { int strategy, kind; real least, most; } side;

static bool allowed(const side *s, const cr_mine_row *r, int64_t j) {
  return r->kind[j] == s->kind && r->d[j] >= s->least && r->d[j] <= s->most;
}

/* The farthest or nearest of the side with distance strictly within low .. high; -1: none. */
static int64_t pick(const side *s, const cr_mine_row *r, bool farthest, real low, real high) {
  bool positive = s->kind == CR_POSITIVE;
  int64_t best = -1, n = positive ? r->positives : r->columns;
  for (int64_t k = 0; k < n; k++) {
    int64_t j = positive ? r->positive[k] : k;
    real d = r->d[j];
    if (!allowed(s, r, j) || !(d > low && d < high)) continue;
    if (best < 0 || (farthest ? d > r->d[best] : d < r->d[best])) best = j;
  }
  return best;
}

/* hard positives are far, hard negatives near; semihard starts from the hard end */
static int64_t pick_one(const side *s, const cr_mine_row *r, real low, real high) {
  bool free = isinf(s->least) && isinf(s->most) && isinf(low) && isinf(high);
  if (free && s->strategy == HARD)
    return s->kind == CR_POSITIVE ? cr_mine_farthest(r) : cr_mine_nearest(r);
  return pick(s, r, (s->strategy == EASY) != (s->kind == CR_POSITIVE), low, high);
}

static bool keep(cr_miner *m, const side *s, const cr_mine_row *r, int64_t one, cr_error *err) {
  if (s->strategy != ALL) return one < 0 || cr_mine_pair(m, s->kind, r->i, one, err);
  for (int64_t j = 0; j < r->columns; j++)
    if (allowed(s, r, j) && !cr_mine_pair(m, s->kind, r->i, j, err)) return false;
  return true;
}

static bool row(cr_miner *m, const cr_mine_row *r, void *context, cr_error *err) {
  const side *s = context, *pos = &s[0], *neg = &s[1];
  const real inf = (real)INFINITY;
  int64_t p = -1, n = -1;
  if (pos->strategy == HARD || pos->strategy == EASY) p = pick_one(pos, r, -inf, inf);
  if (neg->strategy == HARD || neg->strategy == EASY) n = pick_one(neg, r, -inf, inf);
  if (pos->strategy == SEMIHARD && n >= 0) p = pick_one(pos, r, -inf, r->d[n]);
  if (neg->strategy == SEMIHARD && p >= 0) n = pick_one(neg, r, r->d[p], inf);
  bool both = pos->strategy != ALL && neg->strategy != ALL;
  if (both && (p < 0 || n < 0)) return true;
  return keep(m, pos, r, p, err) && keep(m, neg, r, n, err);
}

static bool check(cr_call *c, cr_error *err) {
  side s[] = {
    { (int)c->option[POS], CR_POSITIVE, (real)c->option[POS_LEAST], (real)c->option[POS_MOST] },
    { (int)c->option[NEG], CR_NEGATIVE, (real)c->option[NEG_LEAST], (real)c->option[NEG_MOST] },
  };
  for (int k = 0; k < 2; k++)
    if (s[k].strategy == SEMIHARD && s[!k].strategy != HARD && s[!k].strategy != EASY)
      return cr_fail(err, CR_EVALUE,
                     "%s_strategy = \"semihard\" needs %s_strategy = \"hard\" or \"easy\"",
                     k == 0 ? "pos" : "neg", k == 0 ? "neg" : "pos");
  return cr_mine(c, DISTANCE, row, s, err);
}

const cr_op cr_miner_batch_easy_hard = {
  .name = "batch_easy_hard",
  .help = "for each anchor a hard, semi-hard or easy positive and negative",
  .formula = "p and n: argmax or argmin of d(a,.), semihard: d(a,p) < d(a,n)",
  .paper = "Xuan, Stylianou, Pless, \"Improved embeddings with easy positive triplet mining\", "
           "WACV 2020",
  .differs = "pytorch-metric-learning normalises rows by default (normalize = true) and gives "
             "ranges of a similarity as such: s in lo .. hi is a cosine distance 1 - hi .. 1 - lo",
  .inputs = cr_miner_inputs, .outputs = cr_pair_outputs, .options = options,
  .stats = cr_pair_stats, .check = check, .forward = cr_miner_forward,
};
