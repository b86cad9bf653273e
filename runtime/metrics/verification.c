/* verification.c - how well one score tells pairs of one label from pairs of two
 *
 * A pair is accepted when its score is at or above a threshold (so give minus a distance).
 *
 *   TAR   accepted same pairs / same pairs              FAR   accepted different pairs / different
 *                                                             pairs
 *
 * One ROC point for each distinct score, from the strictest threshold on, after (0, 0); the curves
 * have N + 1 places, and those past `points` repeat (1, 1).
 *
 *   AUC          area under the straight lines between the points
 *   EER          where FAR = 1 - TAR, on the straight line between the two points around it
 *   TAR@FAR x    the largest TAR among the points with FAR <= x, no interpolation
 *   average precision   sum over points of (TAR_i - TAR_(i-1)) precision_i
 *
 * A score that is not a number is accepted last. Without pairs of one of the two kinds all is
 * nan. */
#include <math.h>

#include "autograd/op.h"
#include "kernels/sort.h"

enum { SCORES, SAME, FAR_TARGETS };
enum { FAR, TAR, TAR_AT };
enum { AUC, EER, AP, ACCURACY, THRESHOLD, EER_THRESHOLD, TAR_1, TAR_2, TAR_3, TAR_4, POINTS,
       SAME_PAIRS, DIFFERENT_PAIRS };

static const cr_input inputs[] = {
  [SCORES]      = { "scores",      "N", CR_TREAL, CR_NOGRAD },
  [SAME]        = { "same",        "N", CR_TREAL, CR_NOGRAD },       /* 0 or not */
  [FAR_TARGETS] = { "far_targets", "T", CR_TREAL, CR_OPTIONAL | CR_NOGRAD },
  { 0 }
};

static const cr_output outputs[] = {
  [FAR] = { "far", NULL, CR_TREAL }, [TAR] = { "tar", NULL, CR_TREAL },
  /* at each of far_targets; default 0.1, 0.01, 0.001 */
  [TAR_AT] = { "tar_at_far", NULL, CR_TREAL },
  { 0 }
};

static const char *const stats[] = {
  [AUC] = "roc_auc", [EER] = "eer", [AP] = "average_precision", [ACCURACY] = "best_accuracy",
  [THRESHOLD] = "best_threshold", [EER_THRESHOLD] = "eer_threshold", [TAR_1] = "tar_at_far_0.1",
  [TAR_2] = "tar_at_far_0.01", [TAR_3] = "tar_at_far_0.001", [TAR_4] = "tar_at_far_0.0001",
  [POINTS] = "points", [SAME_PAIRS] = "same_pairs", [DIFFERENT_PAIRS] = "different_pairs", NULL
};

static bool check(cr_call *c, cr_error *err) {
  int64_t n = c->dim['N'] + 1, targets = c->in[FAR_TARGETS] != NULL ? c->dim['T'] : 3;
  (void)err;
  c->scratch_bytes = 2 * (size_t)n * sizeof(cr_sort_item);
  cr_out_shape(c, FAR, 1, &n);
  cr_out_shape(c, TAR, 1, &n);
  cr_out_shape(c, TAR_AT, 1, &targets);
  return true;
}

typedef struct point { double far, tar, score; int64_t accepted, accepted_same; } point;

/* In `real` on both sides: a rate of exactly 0.1 is not above a target of 0.1. The curve rises. */
static double tar_at(const cr_call *c, int64_t points, double target) {
  const real *far = cr_reals(c->out[FAR]), *tar = cr_reals(c->out[TAR]);
  int64_t i = 0;
  while (i + 1 < points && far[i + 1] <= (real)target) i++;
  return (double)tar[i];
}

/* One step along the curve, from p to q. */
static void gather(double *s, point p, point q, double same, double different) {
  double miss = 1 - p.tar, next_miss = 1 - q.tar, right = (double)q.accepted_same +
                different - (double)(q.accepted - q.accepted_same);
  s[AUC] += (q.far - p.far) * (q.tar + p.tar) / 2;
  s[AP] += (q.tar - p.tar) * (double)q.accepted_same / (double)q.accepted;
  if (right / (same + different) > s[ACCURACY]) {
    s[ACCURACY] = right / (same + different);
    s[THRESHOLD] = q.score;
  }
  if (p.far < miss && q.far >= next_miss) {
    double before = miss - p.far, after = q.far - next_miss, share = before / (before + after);
    s[EER] = p.far + share * (q.far - p.far);
    s[EER_THRESHOLD] = q.score;
  }
}

static void forward(cr_call *c) {
  int64_t n = c->dim['N'], points = 1;
  const real *score = cr_reals(c->in[SCORES]), *same = cr_reals(c->in[SAME]);
  real *far = cr_reals(c->out[FAR]), *tar = cr_reals(c->out[TAR]);
  cr_sort_item *item = c->scratch;
  double *s = c->stat, positives = 0, negatives;
  for (int64_t i = 0; i < n; i++) {
    item[i] = (cr_sort_item){ cr_sort_key_real(score[i], true), i };
    positives += same[i] != 0;
  }
  negatives = (double)n - positives;
  cr_sort_items(item, item + n + 1, n);
  bool both = positives > 0 && negatives > 0;
  for (int k = AUC; k <= TAR_4; k++) s[k] = both ? 0 : NAN;
  point p = { .score = INFINITY };
  s[ACCURACY] = both ? negatives / (double)n : NAN;
  s[THRESHOLD] = both ? INFINITY : NAN;
  far[0] = tar[0] = 0;
  for (int64_t i = 0; i < n; i++) {
    point q = p;
    q.accepted = i + 1;
    p.accepted_same = q.accepted_same;
    /* all pairs of one score come at once */
    for (; ; i++) {
      q.accepted = i + 1;
      q.accepted_same += same[item[i].index] != 0;
      if (i + 1 >= n || item[i + 1].key != item[i].key) break;
    }
    q.score = (double)score[item[i].index];
    q.tar = positives > 0 ? (double)q.accepted_same / positives : NAN;
    q.far = negatives > 0 ? (double)(q.accepted - q.accepted_same) / negatives : NAN;
    if (both) gather(s, p, q, positives, negatives);
    far[points] = (real)q.far;
    tar[points++] = (real)q.tar;
    p = q;
  }
  for (int64_t i = points; i <= n; i++) far[i] = tar[i] = both ? 1 : (real)NAN;
  s[POINTS] = (double)points;
  s[SAME_PAIRS] = positives;
  s[DIFFERENT_PAIRS] = negatives;
  for (int k = 0; both && k < 4; k++) s[TAR_1 + k] = tar_at(c, points, pow(10, -1 - k));
  for (int64_t k = 0; k < c->out[TAR_AT]->shape[0]; k++) {
    const cr_tensor *given = c->in[FAR_TARGETS];
    double target = given != NULL ? (double)cr_reals(given)[k] : pow(10, -1 - (double)k);
    cr_reals(c->out[TAR_AT])[k] = (real)(both ? tar_at(c, points, target) : NAN);
  }
}

const cr_op cr_metric_verification = {
  .name = "verification", .help = "ROC AUC, equal error rate, TAR at given FAR of scored pairs",
  .formula = "EER = FAR where FAR = 1 - TAR",
  .inputs = inputs, .outputs = outputs, .stats = stats, .check = check, .forward = forward,
};
