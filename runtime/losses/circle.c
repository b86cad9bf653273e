/* circle.c - circle loss
 *
 *   l_i = log(1 + sum_n e^(gamma a_n (s_in - m)) sum_p e^(-gamma a_p (s_ip - 1 + m)))
 *   a_p = max(0, 1 + m - s_ip),   a_n = max(0, s_in + m)
 *
 * p runs over the positives of row i, n over its negatives, s is the cosine or the inner product.
 * Sun and others 2020, eq. 4 to 8. The weights a are constants to the gradient, as the authors say
 * they shall be: a pair that is far from where it should be moves faster. So the gradient is not
 * that of the value; detach = false gives that one.
 *
 * Terms are all rows, with 0 where a row lacks positives or negatives; reduction = "nonzero", the
 * default, leaves those out. Cost: B^2 D, memory a tile of rows by B. */
#include <tgmath.h>

#include "autograd/pair_loss.h"

enum { M, GAMMA, DETACH };

static const cr_option options[] = {
  [M]      = { "m", 0.4, -1e3, 1e3, "relaxation: 1 - m is wanted of positives, m of negatives",
               CR_NUMBER, NULL, false },
  [GAMMA]  = { "gamma", 80, 1e-6, 1e6, "sharpness", CR_NUMBER, NULL, false },
  [DETACH] = { "detach", 1, 0, 1, "the pairs' weights take no part in the gradient", CR_FLAG, NULL,
               false },
  CR_PAIR_OPTIONS(CR_COSINE, 0, CR_PAIR_NONZERO),
  { 0 }
};

/* A pair's exponent is gamma a (x - limit) with x = -s for positives and s for negatives, and a =
 * max(0, x + open). x = sign d + shift. */
typedef struct side { real gamma, sign, shift, open, limit; bool detach; } side;
typedef struct settings { side positive, negative; } settings;

static size_t row_bytes(const cr_call *c) {
  bool references = c->in[CR_PAIR_REFERENCE_LABELS] != NULL;
  return (size_t)(references ? c->dim['R'] : c->dim['B']) * sizeof(real);
}

static bool check(cr_call *c, cr_error *err) {
  if (cr_pair_metric(c) != CR_COSINE && cr_pair_metric(c) != CR_DOT)
    return cr_fail(err, CR_EVALUE, "distance must be \"cosine\" or \"dot\"");
  return cr_pair_check_with(c, 0, row_bytes(c), err);
}

CR_VECTOR static void exponents(int64_t n, const real *restrict d, const side *s,
                                real *restrict u) {
  for (int64_t j = 0; j < n; j++) {
    real x = s->sign * d[j] + s->shift, a = x + s->open;
    u[j] = s->gamma * (a > 0 ? a : 0) * (x - s->limit);
  }
}

/* w times the slope of the exponent by d */
CR_VECTOR static void slopes(int64_t n, const real *restrict d, const side *s, real *restrict w) {
  real by = s->gamma * s->sign;
  for (int64_t j = 0; j < n; j++) {
    real x = s->sign * d[j] + s->shift, a = x + s->open;
    w[j] *= a > 0 ? by * (a + (s->detach ? 0 : x - s->limit)) : 0;
  }
}

static cr_lse side_lse(const cr_row *row, cr_span span, const side *s) {
  real *u = row->scratch;
  for (int k = 0; k < 2; k++)
    exponents(span.end[k] - span.begin[k], row->d + span.begin[k], s, u + span.begin[k]);
  return cr_span_lse(u, span, 1, row->w);
}

static void side_slopes(const cr_row *row, cr_span span, const side *s, cr_lse lse, double by) {
  cr_span_softmax(row->w, span, lse, by);
  for (int k = 0; k < 2; k++)
    slopes(span.end[k] - span.begin[k], row->d + span.begin[k], s, row->w + span.begin[k]);
}

static void row_loss(const cr_row *row, void *context) {
  const settings *s = context;
  cr_span positives = cr_span_positives(row), negatives = cr_span_negatives(row);
  cr_lse p = side_lse(row, positives, &s->positive), n = side_lse(row, negatives, &s->negative);
  bool both = row->positives > 0 && row->negatives > 0;
  double slope = 0;
  cr_pair_term(row, both ? cr_log_one_plus(p.log + n.log, &slope) : 0);
  if (row->w == NULL) return;
  side_slopes(row, positives, &s->positive, p, slope);
  side_slopes(row, negatives, &s->negative, n, slope);
}

static void forward(cr_call *c) {
  real gamma = (real)c->option[GAMMA], m = (real)c->option[M];
  real one = cr_pair_metric(c) == CR_COSINE ? 1 : 0;         /* s = one - d */
  bool detach = c->option[DETACH] != 0;
  settings s = { { gamma, 1, -one, 1 + m, m - 1, detach }, { gamma, -1, one, m, m, detach } };
  cr_pair_forward(c, row_loss, &s);
}

const cr_op cr_loss_circle = {
  .name = "circle", .help = "similarities weighted by how far each is from where it should be",
  .formula = "mean over rows of log(1 + sum_n e^(gamma a_n (s_n - m)) "
             "sum_p e^(-gamma a_p (s_p - 1 + m)))",
  .paper = "Sun and others, \"Circle loss: a unified perspective of pair similarity optimization\""
           ", CVPR 2020, eq. 4 to 8",
  .differs = "TensorFlow Similarity computes log(1 + sum_p) + log(1 + sum_n) instead; the paper "
             "uses m = 0.25 with gamma 256 for faces and 128 for re-identification",
  .inputs = cr_pair_loss_inputs, .options = options, .stats = cr_pair_loss_stats,
  .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = cr_pair_backward,
};
