/* triplet_rows.c - see triplet_rows.h */
#include "kernels/triplet_rows.h"

#include <string.h>
#include <tgmath.h>

#include "base/region.h"
#include "kernels/vmath.h"

#ifdef CR_DOUBLE
/* as wide as a real, so that a comparison counts without a conversion */
typedef int64_t lane_count;
#else
typedef int32_t lane_count;
#endif

enum { LANES = 16, FACTORS = 64 };

/* ---- places ---------------------------------------------------------------------------------- */

static int64_t cells_for(int64_t k) {
  int64_t cells = 16;
  while (cells < 4 * k) cells *= 2;
  return cells;
}

static size_t lay_out(cr_rank *r, int64_t k, void *scratch) {
  cr_region g = { .base = scratch };
  r->u = cr_take(&g, k + 1, sizeof(real));
  r->order = cr_take(&g, k, sizeof(int32_t));
  r->cell = cr_take(&g, k, sizeof(int32_t));
  r->table = cr_take(&g, cells_for(k) + 2, sizeof(int32_t));
  r->histogram = cr_take(&g, 4 * (k + 1), sizeof(int32_t));
  return g.used;
}

size_t cr_rank_bytes(int64_t k) {
  cr_rank r;
  return lay_out(&r, k, NULL);
}

/* Monotone in v: a difference and a product by a positive number round monotonically. So a smaller
 * cell is a smaller number, and numbers of one cell are told apart by comparing them. */
static inline real cell_of(real v, real low, real scale, real cells) {
  real c = (v - low) * scale;
  c = c > 0 ? c : 0;
  return c < cells ? c : cells;
}

/* A counting sort by cell; its prefix sums are the table. Then one insertion pass inside the
 * cells. */
void cr_rank_start(cr_rank *r, int64_t k, const real *u, void *scratch) {
  int64_t cells = cells_for(k);
  *r = (cr_rank){ .k = k, .cells = (real)cells };
  lay_out(r, k, scratch);
  real low = u[0], high = u[0];
  for (int64_t i = 1; i < k; i++) {
    low = u[i] < low ? u[i] : low;
    high = u[i] > high ? u[i] : high;
  }
  r->low = low;
  r->scale = (real)cells / (high > low ? high - low : 1);
  int32_t *table = r->table;
  memset(table, 0, ((size_t)cells + 2) * sizeof *table);
  for (int64_t i = 0; i < k; i++) {
    r->cell[i] = (int32_t)cell_of(u[i], low, r->scale, r->cells);
    table[r->cell[i] + 1]++;
  }
  for (int64_t c = 1; c <= cells; c++) table[c] += table[c - 1];
  for (int64_t i = 0; i < k; i++) {
    int32_t to = table[r->cell[i]]++;
    r->u[to] = u[i];
    r->order[to] = (int32_t)i;
  }
  for (int64_t c = cells; c >= 1; c--) table[c] = table[c - 1];
  table[0] = 0;
  for (int64_t i = 1; i < k; i++) {
    real value = r->u[i];
    int32_t which = r->order[i];
    int64_t to = i;
    for (; to > 0 && r->u[to - 1] > value; to--) {
      r->u[to] = r->u[to - 1];
      r->order[to] = r->order[to - 1];
    }
    r->u[to] = value;
    r->order[to] = which;
  }
  r->u[k] = (real)INFINITY;
}

CR_VECTOR static void cells_of(int64_t n, const real *restrict v, real low, real scale, real cells,
                               int32_t *restrict cell) {
  for (int64_t j = 0; j < n; j++) cell[j] = (int32_t)cell_of(v[j], low, scale, cells);
}

void cr_rank_places(const cr_rank *r, int64_t n, const real *v, int32_t *place) {
  cells_of(n, v, r->low, r->scale, r->cells, place);
  for (int64_t j = 0; j < n; j++) {
    int32_t p = r->table[place[j]];
    while (r->u[p] <= v[j]) p++;
    place[j] = p;
  }
}

/* ---- hinge ----------------------------------------------------------------------------------- */

/* r[j] += the number of four thresholds above v[j]; count[i] += the number of v below threshold
 * i */
CR_VECTOR static void compare_four(int64_t n, const real *restrict v, const real *u,
                                   lane_count *restrict r,
                                   lane_count *count) {
  real u0 = u[0], u1 = u[1], u2 = u[2], u3 = u[3];
  lane_count c0 = 0, c1 = 0, c2 = 0, c3 = 0;
  for (int64_t j = 0; j < n; j++) {
    lane_count g0 = v[j] < u0, g1 = v[j] < u1, g2 = v[j] < u2, g3 = v[j] < u3;
    c0 += g0;
    c1 += g1;
    c2 += g2;
    c3 += g3;
    r[j] += g0 + g1 + g2 + g3;
  }
  count[0] += c0;
  count[1] += c1;
  count[2] += c2;
  count[3] += c3;
}

/* Sets w to minus the counts, where it is wanted; returns sum_j r_j v_j. */
CR_VECTOR static double settle(int64_t n, const lane_count *restrict r, const real *restrict v,
                               real *restrict w) {
  double lane[LANES] = { 0 }, sum = 0;
  int64_t j = 0;
  for (; j + LANES <= n; j += LANES)
    for (int l = 0; l < LANES; l++) lane[l] += (double)r[j + l] * (double)v[j + l];
  for (; j < n; j++) sum += (double)r[j] * (double)v[j];
  if (w != NULL)
    for (j = 0; j < n; j++) w[j] = (real)-r[j];
  for (int l = 0; l < LANES; l++) sum += lane[l];
  return sum;
}

static double hinge_few(int64_t k, const real *u, const real *v, int64_t n, real *w,
                        double *count) {
  double sum = 0;
  for (int64_t begin = 0; begin < n; begin += CR_RANK_CHUNK) {
    int64_t some = n - begin < CR_RANK_CHUNK ? n - begin : CR_RANK_CHUNK;
    lane_count r[CR_RANK_CHUNK] = { 0 };
    for (int64_t i = 0; i < k; i += 4) {
      real four[4];
      lane_count c[4] = { 0 };
      for (int64_t l = 0; l < 4; l++) four[l] = i + l < k ? u[i + l] : (real)-INFINITY;
      compare_four(some, v + begin, four, r, c);
      for (int64_t l = 0; l < 4 && i + l < k; l++) count[i + l] += (double)c[l];
    }
    sum += settle(some, r, v + begin, w != NULL ? w + begin : NULL);
  }
  return sum;
}

static double hinge_many(cr_rank *rank, const real *v, int64_t n, real *w) {
  int64_t bins = rank->k + 1;
  double sum = 0;
  for (int64_t begin = 0; begin < n; begin += CR_RANK_CHUNK) {
    int64_t some = n - begin < CR_RANK_CHUNK ? n - begin : CR_RANK_CHUNK;
    int32_t place[CR_RANK_CHUNK];
    lane_count r[CR_RANK_CHUNK];
    cr_rank_places(rank, some, v + begin, place);
    for (int64_t j = 0; j < some; j++) {
      /* four, so that equal places do not wait for each other */
      rank->histogram[(j & 3) * bins + place[j]]++;
      r[j] = (lane_count)(rank->k - place[j]);
    }
    sum += settle(some, r, v + begin, w != NULL ? w + begin : NULL);
  }
  return sum;
}

size_t cr_triplet_bytes(int64_t k) {
  size_t soft = (size_t)k * LANES * sizeof(real), rank = cr_rank_bytes(k);
  return soft > rank ? soft : rank;
}

void cr_triplet_hinge(int64_t k, const real *u, const real *v, int64_t n0, int64_t gap, int64_t n1,
                      real *w,
                      double *count, double *sum, void *scratch) {
  const real *v1 = v + n0 + gap;
  real *w1 = w != NULL ? w + n0 + gap : NULL;
  double pulled = 0;
  for (int64_t i = 0; i < k; i++) count[i] = 0;
  if (k < CR_RANK_FROM) {
    pulled = hinge_few(k, u, v, n0, w, count) + hinge_few(k, u, v1, n1, w1, count);
  } else {
    cr_rank rank;
    cr_rank_start(&rank, k, u, scratch);
    memset(rank.histogram, 0, (size_t)(4 * (k + 1)) * sizeof *rank.histogram);
    pulled = hinge_many(&rank, v, n0, w) + hinge_many(&rank, v1, n1, w1);
    double below = 0;
    for (int64_t i = 0; i < k; i++) {
      for (int64_t h = 0; h < 4; h++) below += rank.histogram[h * (k + 1) + i];
      count[rank.order[i]] = below;
    }
  }
  for (int64_t i = 0; i < k; i++) *sum += count[i] * (double)u[i];
  *sum -= pulled;
}

/* ---- soft ------------------------------------------------------------------------------------ */

double cr_triplet_softplus(double x, double *slope) {
  double e = exp(-fabs(x));
  *slope = (x > 0 ? 1 : e) / (1 + e);
  return (x > 0 ? x : 0) + log1p(e);
}

/* LANES negatives against k <= FACTORS positives: product *= 1 + e^-|x|, hinge += max(x, 0), slopes
 * to both sides */
CR_VECTOR static void soft_lanes(int64_t k, const real *u, const real *restrict v,
                                 real *restrict product,
                                 real *restrict hinge, real *restrict slope,
                                     real *restrict by_positive) {
  real p[LANES], h[LANES], s[LANES], x[LANES];
  for (int l = 0; l < LANES; l++) p[l] = 1, h[l] = 0, s[l] = 0, x[l] = v[l];
  for (int64_t i = 0; i < k; i++) {
    for (int l = 0; l < LANES; l++) {
      real gap = u[i] - x[l], e = cr_exp(-fabs(gap)), q = 1 + e;
      real g = (gap > 0 ? 1 : e) / q;
      p[l] *= q;
      h[l] += gap > 0 ? gap : 0;
      s[l] += g;
      by_positive[i * LANES + l] += g;
    }
  }
  for (int l = 0; l < LANES; l++) product[l] = p[l], hinge[l] = h[l], slope[l] = s[l];
}

static double soft_piece(int64_t k, const real *u, const real *v, int64_t n, real *w,
                         real *by_positive) {
  double sum = 0;
  for (int64_t begin = 0; begin < n; begin += LANES) {
    int64_t some = n - begin < LANES ? n - begin : LANES;
    real at[LANES], product[LANES], hinge[LANES], slope[LANES];
    double slopes[LANES] = { 0 };
    /* lanes that are not there lie so far away that they add nothing */
    for (int64_t l = 0; l < LANES; l++) at[l] = l < some ? v[begin + l] : CR_REAL_MAX / 4;
    for (int64_t i = 0; i < k; i += FACTORS) {
      int64_t few = k - i < FACTORS ? k - i : FACTORS;
      soft_lanes(few, u + i, at, product, hinge, slope, by_positive + i * LANES);
      for (int64_t l = 0; l < some; l++) {
        sum += (double)hinge[l] + (double)log(product[l]);
        slopes[l] += (double)slope[l];
      }
    }
    for (int64_t l = 0; w != NULL && l < some; l++) w[begin + l] = (real)-slopes[l];
  }
  return sum;
}

void cr_triplet_soft(int64_t k, const real *u, const real *v, int64_t n0, int64_t gap, int64_t n1,
                     real *w,
                     double *count, double *sum, void *scratch) {
  real *by_positive = scratch;
  memset(by_positive, 0, (size_t)(k * LANES) * sizeof *by_positive);
  *sum += soft_piece(k, u, v, n0, w, by_positive);
  *sum += soft_piece(k, u, v + n0 + gap, n1, w != NULL ? w + n0 + gap : NULL, by_positive);
  for (int64_t i = 0; i < k; i++) {
    count[i] = 0;
    for (int64_t l = 0; l < LANES; l++) count[i] += (double)by_positive[i * LANES + l];
  }
}
