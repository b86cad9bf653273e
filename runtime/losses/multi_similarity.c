/* multi_similarity.c - multi-similarity loss
 *
 *   l_i = 1/alpha log( 1 + sum_p e^(-alpha (s_ip - base)) )
 *       + 1/beta  log( 1 + sum_n e^( beta  (s_in - base)) )
 *
 * p runs over the positives of row i, n over its negatives. Wang and others 2019, eq. 15. s is the
 * cosine unless told otherwise; with a distance d in place of a similarity s - base becomes
 * base - d. With epsilon only pairs harder than the hardest of the other side count, eq. 11 and 12:
 *
 *   d_ip + epsilon > min_n d_in          d_in - epsilon < max_p d_ip
 *
 * the same as the pairs of crun.miners.multi_similarity, in one pass.
 *
 * Terms are all rows: a side without pairs adds 0. Cost: B^2 D, memory a tile of rows by B. */
#include <math.h>

#include "autograd/pair_loss.h"

enum { ALPHA, BETA, BASE, EPSILON };

static const cr_option options[] = {
  [ALPHA] = { "alpha", 2, 1e-6, 1e6, "sharpness on the positive side", CR_NUMBER, NULL, false },
  [BETA]  = { "beta", 50, 1e-6, 1e6, "sharpness on the negative side", CR_NUMBER, NULL, false },
  [BASE]  = { "base", 0.5, -1e30, 1e30, "similarity (or distance) that divides the two",
              CR_NUMBER, NULL, false },
  [EPSILON] = { "epsilon", NAN, -1e30, 1e30, "mine pairs: how much easier than the hardest of the "
                "other side may be; nil: all pairs", CR_NUMBER, NULL, false },
  CR_PAIR_OPTIONS(CR_COSINE, 0, CR_PAIR_MEAN),
  { 0 }
};

typedef struct settings { double alpha, beta, base, epsilon; } settings;

static double side(const cr_row *row, const real *d, cr_span span, double a, double base) {
  double slope;
  cr_lse lse = cr_span_lse(d, span, a, row->w);
  double loss = cr_log_one_plus(lse.log - a * base, &slope) / fabs(a);
  if (row->w != NULL) cr_span_softmax(row->w, span, lse, a > 0 ? slope : -slope);
  return loss;
}

/* to = d, but `out`, where its exponential is 0, unless sign d + epsilon > limit */
CR_VECTOR static void keep_beyond(int64_t n, const real *restrict d, real sign, real epsilon,
                                  real limit, real out, real *restrict to) {
  for (int64_t j = 0; j < n; j++) to[j] = sign * d[j] + epsilon > limit ? d[j] : out;
}

/* The least of sign d_j, and of so_far */
CR_VECTOR static real least(int64_t n, const real *restrict d, real sign, real so_far) {
  enum { LANES = 16 };
  real lane[LANES];
  int64_t j = 0;
  for (int l = 0; l < LANES; l++) lane[l] = so_far;
  for (; j + LANES <= n; j += LANES)
    for (int l = 0; l < LANES; l++) {
      real v = sign * d[j + l];
      lane[l] = v < lane[l] ? v : lane[l];
    }
  for (; j < n; j++) so_far = sign * d[j] < so_far ? sign * d[j] : so_far;
  for (int l = 0; l < LANES; l++) so_far = lane[l] < so_far ? lane[l] : so_far;
  return so_far;
}

/* The distances of one side with those out of the way that mining leaves out, in the worker's
 * scratch. sign: 1 for positives, which count when they are far, -1 for negatives, when near. */
static const real *mined(const cr_row *row, cr_span own, cr_span other, real sign, real epsilon) {
  const real beyond_all = (real)1e30;
  real *to = row->scratch, limit = beyond_all;
  for (int k = 0; k < 2; k++)
    limit = least(other.end[k] - other.begin[k], row->d + other.begin[k], sign, limit);
  for (int k = 0; k < 2; k++)
    keep_beyond(own.end[k] - own.begin[k], row->d + own.begin[k], sign, epsilon, limit,
                -sign * beyond_all, to + own.begin[k]);
  return to;
}

static void row_loss(const cr_row *row, void *context) {
  const settings *s = context;
  cr_span positives = cr_span_positives(row), negatives = cr_span_negatives(row);
  const real *positive = row->d, *negative = row->d;
  if (!isnan(s->epsilon)) {
    positive = mined(row, positives, negatives, 1, (real)s->epsilon);
    negative = mined(row, negatives, positives, -1, (real)s->epsilon);
  }
  double pull = side(row, positive, positives, s->alpha, s->base);
  cr_pair_term(row, pull + side(row, negative, negatives, -s->beta, s->base));
}

static bool check(cr_call *c, cr_error *err) {
  int64_t columns = c->in[CR_PAIR_REFERENCES] != NULL ? c->dim['R'] : c->dim['B'];
  size_t bytes = isnan(c->option[EPSILON]) ? 0 : (size_t)columns * sizeof(real);
  return cr_pair_check_with(c, 0, bytes, err);
}

static void forward(cr_call *c) {
  settings s = { c->option[ALPHA], c->option[BETA], cr_pair_threshold(c, c->option[BASE]),
                 c->option[EPSILON] };
  cr_pair_forward(c, row_loss, &s);
}

const cr_op cr_loss_multi_similarity = {
  .name = "multi_similarity", .help = "soft maxima of the far positives and of the near negatives",
  .formula = "mean over rows of 1/alpha log(1 + sum_p e^(-alpha (s - base))) + "
             "1/beta log(1 + sum_n e^(beta (s - base)))",
  .paper = "Wang and others, \"Multi-similarity loss with general pair weighting for deep metric "
           "learning\", CVPR 2019, eq. 15",
  .differs = "TensorFlow Similarity has beta = 40 and always mines; here only with epsilon",
  .inputs = cr_pair_loss_inputs, .options = options, .stats = cr_pair_loss_stats,
  .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = cr_pair_backward,
};
