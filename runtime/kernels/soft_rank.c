/* soft_rank.c - see soft_rank.h */
#include "kernels/soft_rank.h"

#include <string.h>

#include "kernels/vmath.h"

enum { MOST_CELLS = 1024, LANES = 16 };

/* Some distances of a row in order of cells, and the sigmoids of the window looked at last. */
typedef struct cells {
  int64_t n;
  int32_t count;                /* of cells */
  real low, high, per_unit, sharpness;
  int32_t *start, *order;       /* start[c]: the first place of cell c; order: columns by place */
  real *v, *w;                  /* by place; w: slopes of the loss so far */
  real *s, *slope;              /* of the window */
  int64_t begin, end;           /* the window */
  double slopes;                /* the sum of `slope` over it */
} cells;

static size_t aligned(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

static size_t cells_bytes(int64_t n) {
  return aligned((MOST_CELLS + 2) * sizeof(int32_t)) + aligned((size_t)n * sizeof(int32_t)) +
         4 * aligned((size_t)n * sizeof(real));
}

size_t cr_soft_rank_bytes(int64_t n) { return 2 * cells_bytes(n); }

/* Monotone in v, whatever the rounding, so cells are in order of distance. */
static inline int32_t cell_of(const cells *c, real v) {
  real x = (v - c->low) * c->per_unit;
  return x > 0 ? x < (real)(c->count - 1) ? (int32_t)x : c->count - 1 : 0;
}

static void hand_out(cells *c, int64_t n, unsigned char *memory) {
  c->start = (int32_t *)(void *)memory;
  memory += aligned((MOST_CELLS + 2) * sizeof(int32_t));
  c->order = (int32_t *)(void *)memory;
  memory += aligned((size_t)n * sizeof(int32_t));
  real **by_place[] = { &c->v, &c->w, &c->s, &c->slope };
  for (int k = 0; k < 4; k++) {
    *by_place[k] = (real *)(void *)memory;
    memory += aligned((size_t)n * sizeof(real));
  }
}

CR_VECTOR static void bounds(int64_t n, const real *v, real *low, real *high) {
  real l[LANES], h[LANES];
  int64_t j = 0;
  for (int k = 0; k < LANES; k++) l[k] = *low, h[k] = *high;
  for (; j + LANES <= n; j += LANES)
    for (int k = 0; k < LANES; k++) {
      l[k] = v[j + k] < l[k] ? v[j + k] : l[k];
      h[k] = v[j + k] > h[k] ? v[j + k] : h[k];
    }
  for (; j < n; j++) {
    l[0] = v[j] < l[0] ? v[j] : l[0];
    h[0] = v[j] > h[0] ? v[j] : h[0];
  }
  for (int k = 0; k < LANES; k++) {
    *low = l[k] < *low ? l[k] : *low;
    *high = h[k] > *high ? h[k] : *high;
  }
}

/* Columns 0 .. n-1 of d but for skip .. past-1. */
static void lay_out(cells *c, int64_t n, const real *d, int64_t skip, int64_t past, double tau,
                    unsigned char *memory) {
  *c = (cells){ .n = n - (past - skip), .sharpness = (real)(1 / tau),
                .low = (real)INFINITY, .high = (real)-INFINITY };
  hand_out(c, n, memory);
  if (c->n == 0) return;
  bounds(skip, d, &c->low, &c->high);
  bounds(n - past, d + past, &c->low, &c->high);
  double span = (double)c->high - (double)c->low, wanted = span / tau + 1;
  c->count = wanted < MOST_CELLS ? (int32_t)wanted : MOST_CELLS;
  c->per_unit = span > 0 ? (real)(c->count / span) : 0;
  memset(c->start, 0, (size_t)(c->count + 2) * sizeof *c->start);
  for (int64_t j = 0; j < n; j++) {
    if (j == skip) j = past;
    if (j < n) c->start[cell_of(c, d[j]) + 2]++;
  }
  for (int32_t k = 1; k <= c->count; k++) c->start[k + 1] += c->start[k];
  for (int64_t j = 0; j < n; j++) {
    if (j == skip) j = past;
    if (j >= n) break;
    int32_t place = c->start[cell_of(c, d[j]) + 1]++;
    c->v[place] = d[j];
    c->order[place] = (int32_t)j;
  }
  memset(c->w, 0, (size_t)c->n * sizeof *c->w);
}

/* s = the sigmoids of (u - v) sharpness, slope = their slopes by u. */
CR_VECTOR static void sigmoids(int64_t n, real u, real sharpness, const real *restrict v,
                               real *restrict s, real *restrict slope) {
  for (int64_t j = 0; j < n; j++) {
    real x = (u - v[j]) * sharpness, e = cr_exp(x < 0 ? x : -x), near = 1 / (1 + e);
    s[j] = x < 0 ? e * near : near;
    slope[j] = sharpness * e * near * near;
  }
}

static double count_before(cells *c, real u) {
  if (c->n == 0) return 0;
  real reach = CR_SOFT_REACH / c->sharpness;
  c->begin = u - reach > c->low ? c->start[cell_of(c, u - reach)] : 0;
  c->end = u + reach < c->low ? 0 : c->start[cell_of(c, u + reach) + 1];
  if (c->end < c->begin) c->end = c->begin;
  int64_t n = c->end - c->begin;
  sigmoids(n, u, c->sharpness, c->v + c->begin, c->s, c->slope);
  c->slopes = cr_pairs_sum(n, c->slope);
  return (double)c->begin + cr_pairs_sum(n, c->s);
}

CR_VECTOR static void subtract(int64_t n, real by, const real *restrict slope, real *restrict w) {
  for (int64_t j = 0; j < n; j++) w[j] -= by * slope[j];
}

/* The count of the last window gets the slope `by`; returns the slope by u. */
static double weigh(cells *c, double by) {
  if (c->n == 0 || by == 0) return 0;
  subtract(c->end - c->begin, (real)by, c->slope, c->w + c->begin);
  return by * c->slopes;
}

static void put_back(const cells *c, real *w) {
  for (int64_t k = 0; k < c->n; k++) w[c->order[k]] += c->w[k];
}

void cr_soft_rank_row(const cr_row *row, void *job) {
  const cr_soft_rank_job *k = job;
  cells negatives, positives;
  int64_t size = row->end - row->begin, self = row->self >= 0 ? row->self - row->begin : size;
  unsigned char *memory = row->scratch;
  if (row->w != NULL) memset(row->w, 0, (size_t)row->columns * sizeof *row->w);
  if (row->positives == 0) return;
  lay_out(&negatives, row->columns, row->d, row->begin, row->end, k->tau, memory);
  lay_out(&positives, k->among_positives ? size : 0, row->d + row->begin,
          k->among_positives ? self : 0, k->among_positives ? self + (row->self >= 0) : 0, k->tau,
          memory + cells_bytes(row->columns));
  double loss = 0;
  for (int64_t p = 0; p < size; p++) {
    cr_soft_counts before = { 0 }, slope = { 0 };
    if (p == self && !k->self_too) continue;
    real u = row->d[row->begin + p];    /* of the row itself: 0, or 1 - 0 for a row of zeros */
    before.negatives = count_before(&negatives, u);
    /* p itself is among the positives, at one half; its slopes as u and as v cancel */
    if (k->among_positives && p != self) before.positives = count_before(&positives, u) - 0.5;
    loss += k->fn(row, before, &slope, k->context);
    row->sum[CR_SOFT_POSITIVES]++;
    row->sum[CR_SOFT_PRECEDED] += before.negatives >= 0.5;
    if (row->w == NULL) continue;
    double pull = weigh(&negatives, slope.negatives);
    if (p == self) continue;
    row->w[row->begin + p] += (real)(pull + weigh(&positives, slope.positives));
  }
  row->sum[CR_SOFT_LOSS] = loss;
  row->sum[CR_SOFT_ROWS] = 1;
  row->sum[CR_SOFT_ACTIVE_ROWS] = loss > 0;
  if (row->w == NULL) return;
  put_back(&negatives, row->w);
  put_back(&positives, row->w + row->begin);
}
