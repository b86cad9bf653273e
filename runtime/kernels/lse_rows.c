/* lse_rows.c - see lse_rows.h */
#include "kernels/lse_rows.h"

#include <tgmath.h>

#include "kernels/vmath.h"

cr_span cr_span_positives(const cr_row *row) {
  if (row->self < 0) return (cr_span){ { row->begin, 0 }, { row->end, 0 } };
  return (cr_span){ { row->begin, row->self + 1 }, { row->self, row->end } };
}

cr_span cr_span_negatives(const cr_row *row) {
  return (cr_span){ { 0, row->end }, { row->begin, row->columns } };
}

cr_span cr_span_others(const cr_row *row) {
  if (row->self < 0) return (cr_span){ { 0, 0 }, { row->columns, 0 } };
  return (cr_span){ { 0, row->self + 1 }, { row->self, row->columns } };
}

/* The largest of a d_j, given as its d. */
CR_VECTOR static real extreme(int64_t n, const real *d, real a, real so_far) {
  enum { LANES = 16 };
  real lane[LANES], least = a < 0 ? so_far : -so_far, sign = a < 0 ? 1 : -1;
  int64_t j = 0;
  for (int l = 0; l < LANES; l++) lane[l] = least;
  for (; j + LANES <= n; j += LANES)
    for (int l = 0; l < LANES; l++) {
      real v = sign * d[j + l];
      lane[l] = v < lane[l] ? v : lane[l];
    }
  for (; j < n; j++) least = sign * d[j] < least ? sign * d[j] : least;
  for (int l = 0; l < LANES; l++) least = lane[l] < least ? lane[l] : least;
  return sign * least;
}

CR_VECTOR static void exponentials(int64_t n, const real *d, real a, real from, real *e) {
  for (int64_t j = 0; j < n; j++) e[j] = cr_exp(a * (d[j] - from));
}

cr_lse cr_span_lse(const real *d, cr_span span, double a, real *e) {
  enum { PIECE = 256 };
  real piece[PIECE], from = a < 0 ? CR_REAL_MAX : -CR_REAL_MAX;
  double sum = 0;
  for (int k = 0; k < 2; k++)
    from = extreme(span.end[k] - span.begin[k], d + span.begin[k], (real)a, from);
  for (int k = 0; k < 2; k++) {
    for (int64_t j = span.begin[k]; j < span.end[k]; j += PIECE) {
      int64_t n = span.end[k] - j < PIECE ? span.end[k] - j : PIECE;
      real *to = e != NULL ? e + j : piece;
      exponentials(n, d + j, (real)a, from, to);
      sum += cr_pairs_sum(n, to);
    }
  }
  return (cr_lse){ sum > 0 ? a * (double)from + log(sum) : -INFINITY, sum };
}

CR_VECTOR static void log_one_plus(int64_t n, const real *restrict d, real a, real plus,
                                   real *restrict e) {
  for (int64_t j = 0; j < n; j++) e[j] = cr_softplus(a * d[j] + plus);
}

CR_VECTOR static void sigmoids(int64_t n, const real *restrict d, real a, real plus,
                               real *restrict w) {
  for (int64_t j = 0; j < n; j++) w[j] = cr_sigmoid(a * d[j] + plus);
}

double cr_span_log_one_plus(const real *d, cr_span span, double a, double plus, real *w) {
  enum { PIECE = 256 };
  real piece[PIECE];
  double sum = 0;
  for (int k = 0; k < 2; k++) {
    for (int64_t j = span.begin[k]; j < span.end[k]; j += PIECE) {
      int64_t n = span.end[k] - j < PIECE ? span.end[k] - j : PIECE;
      log_one_plus(n, d + j, (real)a, (real)plus, piece);
      sum += cr_pairs_sum(n, piece);
      if (w != NULL) sigmoids(n, d + j, (real)a, (real)plus, w + j);
    }
  }
  return sum;
}

double cr_span_sum(const real *d, cr_span span) {
  double sum = 0;
  for (int k = 0; k < 2; k++) sum += cr_pairs_sum(span.end[k] - span.begin[k], d + span.begin[k]);
  return sum;
}

CR_VECTOR static void affine(int64_t n, real by, real plus, real *v) {
  for (int64_t j = 0; j < n; j++) v[j] = v[j] * by + plus;
}

void cr_span_affine(real *v, cr_span span, double by, double plus) {
  for (int k = 0; k < 2; k++)
    affine(span.end[k] - span.begin[k], (real)by, (real)plus, v + span.begin[k]);
}

void cr_span_fill(real *v, cr_span span, double to) {
  for (int k = 0; k < 2; k++)
    for (int64_t j = span.begin[k]; j < span.end[k]; j++) v[j] = (real)to;
}

/* e = over, square = over^2; adds the two counts. */
CR_VECTOR static void overs(int64_t n, const real *restrict d, real sign, real limit,
                            real *restrict e, real *restrict square, int64_t count[2]) {
  int above = 0, reached = 0;
  for (int64_t j = 0; j < n; j++) {
    real v = sign * (d[j] - limit);
    above += v > 0;
    reached += v >= 0;
    v = v > 0 ? v : 0;
    e[j] = v;
    square[j] = v * v;
  }
  count[0] += above;
  count[1] += reached;
}

cr_over cr_span_over(const real *d, cr_span span, double sign, double limit, real *e) {
  enum { PIECE = 256 };
  real piece[PIECE], square[PIECE];
  int64_t count[2] = { 0, 0 };
  cr_over over = { 0 };
  for (int k = 0; k < 2; k++) {
    for (int64_t j = span.begin[k]; j < span.end[k]; j += PIECE) {
      int64_t n = span.end[k] - j < PIECE ? span.end[k] - j : PIECE;
      real *to = e != NULL ? e + j : piece;
      overs(n, d + j, (real)sign, (real)limit, to, square, count);
      over.sum += cr_pairs_sum(n, to);
      over.squares += cr_pairs_sum(n, square);
    }
  }
  over.above = (double)count[0];
  over.reached = (double)count[1];
  return over;
}

void cr_span_softmax(real *e, cr_span span, cr_lse lse, double by) {
  if (lse.sum > 0) cr_span_affine(e, span, by / lse.sum, 0);
}

double cr_log_add(double a, double b) {
  double most = a > b ? a : b, least = a > b ? b : a;
  return isinf(most) ? most : most + log1p(exp(least - most));
}

double cr_log_one_plus(double x, double *slope) {
  double e = exp(-fabs(x));
  *slope = (x < 0 ? e : 1) / (1 + e);
  return (x > 0 ? x : 0) + log1p(e);
}

/* With z = lse_n - lse_p it is log(1 + e^z), and its slopes are those of the two, times sigmoid(z):
 * no digits are lost where the loss is small, nor where the positives are far. */
double cr_lse_neighbours(const cr_row *row, double a) {
  cr_span positives = cr_span_positives(row), negatives = cr_span_negatives(row);
  cr_lse p = cr_span_lse(row->d, positives, a, row->w);
  cr_lse n = cr_span_lse(row->d, negatives, a, row->w);
  double slope, loss = cr_log_one_plus(n.log - p.log, &slope);
  if (row->w != NULL) {
    cr_span_softmax(row->w, positives, p, -a * slope);
    cr_span_softmax(row->w, negatives, n, a * slope);
  }
  return loss;
}

void cr_lse_each_positive(const cr_row *row, double a, cr_lse_positive_fn positive, void *context,
                          cr_lse_term_fn term) {
  cr_span positives = cr_span_positives(row), negatives = cr_span_negatives(row);
  double pull = 0;
  cr_lse n = { -INFINITY, 0 };
  if (row->positives > 0) n = cr_span_lse(row->d, negatives, a, row->w);
  for (int k = 0; k < 2; k++) {
    for (int64_t j = positives.begin[k]; j < positives.end[k]; j++) {
      double along, slope, u = positive((double)row->d[j], &along, context);
      term(row, cr_log_one_plus(n.log - u, &slope));
      pull += slope;
      if (row->w != NULL) row->w[j] = (real)(-slope * along);
    }
  }
  if (row->w == NULL) return;
  if (n.sum > 0) cr_span_softmax(row->w, negatives, n, a * pull);
  else cr_span_fill(row->w, negatives, 0);
}
