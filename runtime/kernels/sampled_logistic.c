/* sampled_logistic.c - see sampled_logistic.h */
#include "kernels/sampled_logistic.h"

#include <string.h>
#include <tgmath.h>

#include "base/pool.h"
#include "kernels/label_order.h"

CR_VECTOR static real dot(int64_t n, const real *restrict x, const real *restrict y) {
  enum { LANES = 16 };
  real lane[LANES] = { 0 }, sum = 0;
  int64_t k = 0;
  for (; k + LANES <= n; k += LANES)
    for (int l = 0; l < LANES; l++) lane[l] += x[k + l] * y[k + l];
  for (; k < n; k++) sum += x[k] * y[k];
  for (int l = 0; l < LANES; l++) sum += lane[l];
  return sum;
}

CR_VECTOR static void add(int64_t n, double by, const real *restrict x, double *restrict sum) {
  for (int64_t k = 0; k < n; k++) sum[k] += by * (double)x[k];
}

/* the row of x, and of the table, of entry k of b, from 0 */
static int64_t x_at(const cr_sampled *s, int64_t b) {
  return s->x_row != NULL ? s->x_row[b] - 1 : b;
}

static int64_t table_at(const cr_sampled *s, int64_t b, int64_t k) {
  return (k == 0 ? s->positive[b] : s->negative[b * s->drawn + k - 1]) - 1;
}

typedef struct job { const cr_sampled *s; double *loss; real *score, *slope; } job;

static void terms(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const cr_sampled *s = j->s;
  for (int64_t b = begin; b < end; b++) {
    const real *x = s->x + x_at(s, b) * s->width;
    j->loss[b] = 0;
    for (int64_t k = 0; k <= s->drawn; k++) {
      int64_t e = b * (s->drawn + 1) + k, r = table_at(s, b, k);
      double score = (double)dot(s->width, x, s->table + r * s->width) - s->shift_all;
      if (s->bias != NULL) score += (double)s->bias[r];
      if (s->shift != NULL) score -= (double)s->shift[r];
      /* softplus of minus the score for the true row; its slope has no cancellation */
      double u = k == 0 ? -score : score, tail = exp(-fabs(u));
      j->loss[b] += (u > 0 ? u : 0) + log1p(tail);
      double up = (u > 0 ? 1 : tail) / (1 + tail);
      j->score[e] = (real)score;
      if (j->slope != NULL) j->slope[e] = (real)(k == 0 ? -up : up);
    }
  }
}

void cr_sampled_terms(const cr_sampled *s, double *loss, real *score, real *slope) {
  job j = { s, loss, score, slope };
  int64_t work = (s->drawn + 1) * (s->width + 16);
  bool small = s->batch * work < 20000;
  if (s->batch > 0) cr_pool_for(s->batch, small ? s->batch : 8192 / work + 1, terms, &j);
}

void cr_sampled_scale(const cr_sampled *s, const real *slope, const real *by, bool one, double all,
                      real *scaled) {
  int64_t K = s->drawn + 1;
  for (int64_t b = 0; b < s->batch; b++) {
    double here = all * (double)by[one ? 0 : b];
    for (int64_t k = 0; k < K; k++)
      scaled[b * K + k] = (real)(here * (double)slope[b * K + k]);
  }
}

/* ---- gradient -------------------------------------------------------------------------------- */

size_t cr_sampled_bytes(const cr_sampled *s) {
  size_t entries = (size_t)(s->batch * (s->drawn + 1));
  return 3 * entries * sizeof(int64_t) + (size_t)s->width * sizeof(double);
}

/* What the vectors receive: of all b of one row of x, the table's rows times their slopes. */
static void vectors(const cr_sampled *s, const real *slope, int64_t *key, int64_t *order,
                    int64_t *spare, double *sum, real *gx) {
  int64_t D = s->width;
  for (int64_t b = 0; b < s->batch; b++) key[b] = x_at(s, b);
  cr_label_order(s->batch, key, order, spare);
  for (int64_t p = 0; p < s->batch;) {
    int64_t to = key[order[p]];
    memset(sum, 0, (size_t)D * sizeof *sum);
    for (; p < s->batch && key[order[p]] == to; p++)
      for (int64_t k = 0; k <= s->drawn; k++)
        add(D, (double)slope[order[p] * (s->drawn + 1) + k],
            s->table + table_at(s, order[p], k) * D, sum);
    for (int64_t d = 0; d < D; d++) gx[to * D + d] = (real)sum[d];
  }
}

static void rows(const cr_sampled *s, const real *slope, int64_t *key, int64_t *order,
                 int64_t *spare, double *sum, real *gtable, real *gbias) {
  int64_t D = s->width, K = s->drawn + 1, entries = s->batch * K;
  for (int64_t e = 0; e < entries; e++) key[e] = table_at(s, e / K, e % K);
  cr_label_order(entries, key, order, spare);
  for (int64_t p = 0; p < entries;) {
    int64_t to = key[order[p]];
    double total = 0;
    memset(sum, 0, (size_t)D * sizeof *sum);
    for (; p < entries && key[order[p]] == to; p++) {
      double by = (double)slope[order[p]];
      if (gtable != NULL) add(D, by, s->x + x_at(s, order[p] / K) * D, sum);
      total += by;
    }
    for (int64_t d = 0; gtable != NULL && d < D; d++) gtable[to * D + d] = (real)sum[d];
    if (gbias != NULL) gbias[to] = (real)total;
  }
}

void cr_sampled_gradient(const cr_sampled *s, const real *slope, int64_t x_rows, int64_t table_rows,
                         void *scratch, real *gx, real *gtable, real *gbias) {
  int64_t entries = s->batch * (s->drawn + 1);
  int64_t *key = scratch, *order = key + entries, *spare = order + entries;
  double *sum = (double *)(void *)(spare + entries);
  if (gx != NULL) {
    memset(gx, 0, (size_t)(x_rows * s->width) * sizeof *gx);
    vectors(s, slope, key, order, spare, sum, gx);
  }
  if (gtable != NULL) memset(gtable, 0, (size_t)(table_rows * s->width) * sizeof *gtable);
  if (gbias != NULL) memset(gbias, 0, (size_t)table_rows * sizeof *gbias);
  if (gtable != NULL || gbias != NULL) rows(s, slope, key, order, spare, sum, gtable, gbias);
}
