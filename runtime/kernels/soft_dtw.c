/* soft_dtw.c - see soft_dtw.h */
#include "kernels/soft_dtw.h"

#include <math.h>
#include <string.h>
#include <tgmath.h>

#include "base/memory.h"
#include "base/pool.h"
#include "kernels/sort.h"

/* ---- numbers with an exponent of their own --------------------------------------------------- */

#ifdef CR_DOUBLE
typedef int64_t whole;
typedef uint64_t bits;
enum { MANTISSA = 52, BIAS = 1023 };
#else
typedef int32_t whole;
typedef uint32_t bits;
enum { MANTISSA = 23, BIAS = 127 };
#endif
#define FRACTION (((bits)1 << MANTISSA) - 1)

enum {
  NONE = -(1 << 29),            /* the exponent of 0 */
  MOST = 1 << 27                /* of the sum of all exponents along a way */
};

static inline bits bits_of(real x) {
  bits b;
  memcpy(&b, &x, sizeof b);
  return b;
}

static inline real from_bits(bits b) {
  real x;
  memcpy(&x, &b, sizeof x);
  return x;
}

/* 2^e for e no more than 1, and 0 where that is no normal number */
static inline real power(whole e) {
  bits b = (bits)(e + BIAS) << MANTISSA;
  return from_bits(e > -BIAS ? b : 0);
}

/* 2^x = result 2^n for |x| < 2^28; the result lies in [0.7, 1.42] */
static inline real power_of(real x, whole *n) {
  *n = (whole)(x + (x < 0 ? (real)-0.5 : (real)0.5));
  real r = x - (real)*n;
#ifdef CR_DOUBLE
  return exp2(r);
#else
  /* own fit of (2^r - 1) / r at Chebyshev nodes of [-1/2, 1/2]; relative error 6e-9 */
  real p = (real)1.545316294e-4;
  p = p * r + (real)1.339086336e-3;
  p = p * r + (real)9.618082557e-3;
  p = p * r + (real)5.550357114e-2;
  p = p * r + (real)2.402265076e-1;
  p = p * r + (real)6.931471880e-1;
  return p * r + 1;
#endif
}

/* f 2^e with f brought into [1, 2); f >= 0 */
static inline void settle(real *f, whole *e) {
  bits b = bits_of(*f);
  whole shift = (whole)(b >> MANTISSA) - BIAS;
  bool none = *f == 0;
  *f = none ? 0 : from_bits((b & FRACTION) | ((bits)BIAS << MANTISSA));
  *e = none ? NONE : *e + shift;
}

static inline whole larger(whole a, whole b) { return a > b ? a : b; }

/* ---- lanes ----------------------------------------------------------------------------------- */

enum { LANES = 16, FEW = 4 };
enum { LARGE = 1 << 28 };       /* bytes a worker may take for sixteen pairs at once */

typedef struct lanes {
  int count;                    /* LANES or 1 */
  int64_t T, U, width;          /* longest of the lanes */
  int64_t n[LANES], m[LANES];
  real live[LANES];             /* 0: the lane's pair takes the usual form, its costs stay */
  real scale;                   /* log2(e) / gamma */
  real *x, *y, *gx, *gy;        /* [T, width, count], [U, width, count] */
  real *cost;                   /* [T, U, count]; backward leaves the gradient here */
  real *f, *row_f;              /* forward sums [T, U, count]; two rows [2, U + 1, count] */
  whole *e, *row_e;
  real end_f[LANES];            /* the sum over all ways */
  whole end_e[LANES];
  double *table;                /* [T + 1, U + 1] for the pair that takes the usual form */
} lanes;

/* cost from the sequences. Inlined with count a constant, as the three functions below. */
#define INLINE static inline __attribute__((always_inline))

INLINE void fill_costs(lanes *w, cr_dtw_cost kind, const int L) {
  int64_t D = w->width;
  for (int64_t i = 0; i < w->T; i++)
    for (int64_t j = 0; j < w->U; j++) {
      real *restrict c = w->cost + (i * w->U + j) * L;
      real sum[LANES] = { 0 };
      for (int64_t k = 0; k < D; k++) {
        const real *restrict x = w->x + (i*D + k) * L, *restrict y = w->y + (j*D + k) * L;
        for (int l = 0; l < L; l++) {
          real gap = x[l] - y[l];
          sum[l] += kind == CR_DTW_MANHATTAN ? fabs(gap) : gap * gap;
        }
      }
      for (int l = 0; l < L; l++) c[l] = kind == CR_DTW_EUCLIDEAN ? sqrt(sum[l]) : sum[l];
    }
}

/* live: whether the exponents of a lane stay in their range, whatever way is taken. */
INLINE void look_at_costs(lanes *w, const int L) {
  real largest[LANES] = { 0 }, sound[LANES];
  for (int l = 0; l < L; l++) sound[l] = 1;
  for (int64_t k = 0; k < w->T * w->U; k++) {
    const real *c = w->cost + k * L;
    for (int l = 0; l < L; l++) {
      real size = fabs(c[l]);
      sound[l] = size < INFINITY ? sound[l] : 0;        /* nan too */
      largest[l] = size > largest[l] ? size : largest[l];
    }
  }
  double steps = (double)(w->T + w->U) * (double)w->scale;
  for (int l = 0; l < L; l++) w->live[l] = sound[l] > 0 && (double)largest[l] * steps < MOST;
}

/* Forward sums A_ij = w_ij (A_i-1,j-1 + A_i-1,j + A_i,j-1), w = 2^(-scale c); all of them are kept
 * when `keep`. */
INLINE void walk_forward(lanes *w, bool keep, const int L) {
  int64_t U = w->U, row = (U + 1) * L;
  const real *live = w->live;
  real scale = -w->scale, *before_f = w->row_f, *now_f = before_f + row;
  whole *before_e = w->row_e, *now_e = before_e + row;
  for (int64_t k = 0; k < 2 * row; k++) before_f[k] = 0, before_e[k] = NONE;
  for (int l = 0; l < L; l++) before_f[l] = 1, before_e[l] = 0;
  for (int64_t i = 0; i < w->T; i++) {
    for (int l = 0; l < L; l++) now_f[l] = 0, now_e[l] = NONE;
    for (int64_t j = 0; j < U; j++) {
      const real *af = before_f + j*L, *c = w->cost + (i*U + j) * L, *left_f = now_f + j*L;
      const whole *ae = before_e + j*L, *left_e = now_e + j*L;
      real to_f[LANES];                     /* not in place: the loop below has to see no aliases */
      whole to_e[LANES];
#pragma GCC unroll 1                        /* gcc would unroll it whole before it sees vectors */
      for (int l = 0; l < L; l++) {
        whole n, most = larger(larger(ae[l], ae[L + l]), left_e[l]);
        real sum = af[l] * power(ae[l] - most) + af[L + l] * power(ae[L + l] - most)
            + left_f[l] * power(left_e[l] - most);
        real own = c[l];
        own = live[l] > 0 ? own : 0;
        sum *= power_of(scale * own, &n);
        most += n;
        settle(&sum, &most);
        to_f[l] = sum;
        to_e[l] = most;
      }
      memcpy(now_f + (j + 1) * L, to_f, (size_t)L * sizeof(real));
      memcpy(now_e + (j + 1) * L, to_e, (size_t)L * sizeof(whole));
    }
    if (keep) {
      memcpy(w->f + i*U*L, now_f + L, (size_t)(U * L) * sizeof(real));
      memcpy(w->e + i*U*L, now_e + L, (size_t)(U * L) * sizeof(whole));
    }
    for (int l = 0; l < L; l++)
      if (w->n[l] - 1 == i) {
        w->end_f[l] = now_f[w->m[l] * L + l];
        w->end_e[l] = now_e[w->m[l] * L + l];
      }
    real *swap_f = before_f;
    whole *swap_e = before_e;
    before_f = now_f, now_f = swap_f;
    before_e = now_e, now_e = swap_e;
  }
}

/* Backward sums B_ij = C_i+1,j+1 + C_i+1,j + C_i,j+1 with C = w B, and 1 at the end of each pair;
 * so nothing outside the lengths of a pair has a part in it. The gradient, A B / end, replaces the
 * cost. */
INLINE void walk_backward(lanes *w, const int L) {
  int64_t U = w->U, row = (U + 1) * L;
  const real *live = w->live;
  real scale = -w->scale, *after_f = w->row_f, *now_f = after_f + row, inverse[LANES];
  whole *after_e = w->row_e, *now_e = after_e + row;
  for (int64_t k = 0; k < 2 * row; k++) after_f[k] = 0, after_e[k] = NONE;
  for (int l = 0; l < L; l++) inverse[l] = 1 / w->end_f[l];
  for (int64_t i = w->T - 1; i >= 0; i--) {
    for (int l = 0; l < L; l++) now_f[U*L + l] = 0, now_e[U*L + l] = NONE;
    for (int64_t j = U - 1; j >= 0; j--) {
      const real *af = after_f + j*L, *kept_f = w->f + (i*U + j) * L, *right_f = now_f + (j+1) * L;
      const whole *ae = after_e + j*L, *kept_e = w->e + (i*U + j) * L, *right_e = now_e + (j+1) * L;
      real *c = w->cost + (i*U + j) * L, to_f[LANES], to_c[LANES], seed[LANES];
      whole to_e[LANES];
      for (int l = 0; l < L; l++) seed[l] = w->n[l] - 1 == i && w->m[l] - 1 == j;
      for (int l = 0; l < L; l++) {
        whole n, most = larger(larger(ae[l], ae[L + l]), right_e[l]);
        real sum = af[l] * power(ae[l] - most) + af[L + l] * power(ae[L + l] - most)
            + right_f[l] * power(right_e[l] - most);
        bool last = seed[l] > 0;
        sum = last ? 1 : sum;
        most = last ? 0 : most;
        /* all ways are 1, and the factors before it no less than 1/2: share is at most 1 */
        whole share = kept_e[l] + most - w->end_e[l];
        real part = kept_f[l] * sum * inverse[l] * power(share), kept = c[l];
        real own = live[l] > 0 ? kept : 0, by = sum * power_of(scale * own, &n);
        most += n;
        settle(&by, &most);
        to_c[l] = live[l] > 0 ? part : kept;
        to_f[l] = by;
        to_e[l] = most;
      }
      memcpy(c, to_c, (size_t)L * sizeof(real));
      memcpy(now_f + j*L, to_f, (size_t)L * sizeof(real));
      memcpy(now_e + j*L, to_e, (size_t)L * sizeof(whole));
    }
    real *swap_f = after_f;
    whole *swap_e = after_e;
    after_f = now_f, now_f = swap_f;
    after_e = now_e, now_e = swap_e;
  }
}

/* gx, gy += the gradient by costs, through the costs */
INLINE void walk_sequences(lanes *w, cr_dtw_cost kind, const int L) {
  int64_t D = w->width;
  for (int64_t i = 0; i < w->T; i++)
    for (int64_t j = 0; j < w->U; j++) {
      const real *restrict g = w->cost + (i * w->U + j) * L;
      real slope[LANES];
      for (int l = 0; l < L; l++) slope[l] = kind == CR_DTW_SQUARED ? 2 * g[l] : g[l];
      if (kind == CR_DTW_EUCLIDEAN) {
        real sum[LANES] = { 0 };
        for (int64_t k = 0; k < D; k++) {
          const real *restrict x = w->x + (i*D + k) * L, *restrict y = w->y + (j*D + k) * L;
          for (int l = 0; l < L; l++) sum[l] += (x[l] - y[l]) * (x[l] - y[l]);
        }
        for (int l = 0; l < L; l++) slope[l] = sum[l] > 0 ? slope[l] / sqrt(sum[l]) : 0;
      }
      for (int64_t k = 0; k < D; k++) {
        const real *restrict x = w->x + (i*D + k) * L, *restrict y = w->y + (j*D + k) * L;
        real *restrict gx = w->gx + (i*D + k) * L, *restrict gy = w->gy + (j*D + k) * L;
        for (int l = 0; l < L; l++) {
          real gap = x[l] - y[l];
          if (kind == CR_DTW_MANHATTAN) gap = gap > 0 ? 1 : gap < 0 ? -1 : 0;
          gx[l] += slope[l] * gap;
          gy[l] -= slope[l] * gap;
        }
      }
    }
}

CR_VECTOR static void fill_many(lanes *w, cr_dtw_cost kind) {
  if (kind == CR_DTW_SQUARED) fill_costs(w, CR_DTW_SQUARED, LANES);
  else if (kind == CR_DTW_EUCLIDEAN) fill_costs(w, CR_DTW_EUCLIDEAN, LANES);
  else fill_costs(w, CR_DTW_MANHATTAN, LANES);
}
CR_VECTOR static void look_many(lanes *w) { look_at_costs(w, LANES); }
CR_VECTOR static void forward_many(lanes *w, bool keep) { walk_forward(w, keep, LANES); }
CR_VECTOR static void backward_many(lanes *w) { walk_backward(w, LANES); }
CR_VECTOR static void sequences_many(lanes *w, cr_dtw_cost kind) {
  if (kind == CR_DTW_SQUARED) walk_sequences(w, CR_DTW_SQUARED, LANES);
  else if (kind == CR_DTW_EUCLIDEAN) walk_sequences(w, CR_DTW_EUCLIDEAN, LANES);
  else walk_sequences(w, CR_DTW_MANHATTAN, LANES);
}

/* ---- the usual form, in double --------------------------------------------------------------- */

static double soft_minimum(double a, double b, double c, double gamma) {
  double least = a < b ? a : b;
  if (c < least) least = c;
  if (isinf(least)) return least;
  return least - gamma * log(exp((least - a) / gamma) + exp((least - b) / gamma)
                             + exp((least - c) / gamma));
}

/* The value of lane l; the gradient replaces its costs when `gradient`. What a cell passes to one
 * before it is the share of that way in its soft minimum. */
static double walk_usual(lanes *w, int l, double gamma, bool gradient) {
  int64_t n = w->n[l], m = w->m[l], width = m + 1;
  double *r = w->table;
  real *cost = w->cost + l;
  const int64_t L = w->count, U = w->U;
  bool sound = true;
  for (int64_t j = 0; j <= m; j++) r[j] = j == 0 ? 0 : INFINITY;
  for (int64_t i = 1; i <= n; i++) {
    r[i * width] = INFINITY;
    for (int64_t j = 1; j <= m; j++) {
      double c = (double)cost[((i-1) * U + j - 1) * L], *at = r + i * width + j;
      sound &= c > -INFINITY;               /* false for nan too */
      *at = c + soft_minimum(at[-1], at[-width], at[-width - 1], gamma);
    }
  }
  double value = sound ? r[n * width + m] : NAN;
  if (!gradient) return value;
  bool open = isfinite(value);
  for (int64_t i = w->T; i >= 1; i--)
    for (int64_t j = U; j >= 1; j--)
      if (i > n || j > m || !open) cost[((i-1) * U + j - 1) * L] = sound ? 0 : (real)NAN;
  if (!open) return value;
  double *given = w->table + (n + 1) * width;   /* gradients of the row below and of this one */
  for (int64_t k = 0; k < 2 * (m + 2); k++) given[k] = 0;
  for (int64_t i = n; i >= 1; i--) {
    double *below = given + (i & 1) * (m + 2), *here = given + (~i & 1) * (m + 2);
    here[m + 1] = 0;
    for (int64_t j = m; j >= 1; j--) {
      double own = r[i * width + j], g = i == n && j == m;
      const int64_t step[3][2] = { { 1, 0 }, { 0, 1 }, { 1, 1 } };
      for (int k = 0; k < 3 && !isinf(own); k++) {
        int64_t i2 = i + step[k][0], j2 = j + step[k][1];
        if (i2 > n || j2 > m) continue;
        double next = r[i2 * width + j2], before = soft_minimum(r[i2 * width + j2 - 1],
                                                                r[(i2-1) * width + j2],
                                                                r[(i2-1) * width + j2 - 1], gamma);
        double from = step[k][0] ? below[j2] : here[j2];
        if (from > 0 && isfinite(next)) g += from * exp((before - own) / gamma);
      }
      here[j] = g;
    }
    for (int64_t j = 1; j <= m; j++) cost[((i-1) * U + j - 1) * L] = (real)here[j];
  }
  return value;
}

/* ---- pairs ----------------------------------------------------------------------------------- */

/* x's side of a pair; y's is s->y, or x again */
static const cr_sequences *other(const cr_soft_dtw *s) {
  return s->costs == NULL && s->y.at == NULL ? &s->x : &s->y;
}

/* The arrays of a worker, or only their size when base is NULL. */
static bool lay_out(const cr_soft_dtw *s, int count, lanes *w, unsigned char *base, size_t *bytes) {
  int64_t T = s->x.steps, U = other(s)->steps, D = s->costs != NULL ? 0 : s->x.width;
  bool gradient = s->gradient, fits = true;
  int64_t cells = 0, table = 0;
  fits &= !__builtin_mul_overflow(T, U, &cells) && !__builtin_mul_overflow(cells, count, &cells);
  fits &= !__builtin_mul_overflow(T + 1, U + 1, &table)
      && !__builtin_add_overflow(table, 2 * (U + 2), &table);
  const struct { int64_t n; size_t each; void **to; } parts[] = {
    { T * D * count, sizeof(real), (void **)&w->x },
    { U * D * count, sizeof(real), (void **)&w->y },
    { gradient ? T * D * count : 0, sizeof(real), (void **)&w->gx },
    { gradient ? U * D * count : 0, sizeof(real), (void **)&w->gy },
    { cells, sizeof(real), (void **)&w->cost },
    { gradient ? cells : 0, sizeof(real), (void **)&w->f },
    { gradient ? cells : 0, sizeof(whole), (void **)&w->e },
    { 2 * (U + 1) * count, sizeof(real), (void **)&w->row_f },
    { 2 * (U + 1) * count, sizeof(whole), (void **)&w->row_e },
    { table, sizeof(double), (void **)&w->table },
  };
  size_t at = 0;
  for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) {
    size_t size = 0;
    if (base != NULL) *parts[k].to = base + at;
    fits = fits && cr_size_mul((size_t)parts[k].n, parts[k].each, &size)
        && cr_size_add(size, 63, &size) && cr_size_add(at, size & ~(size_t)63, &at);
  }
  *bytes = at;
  return fits;
}

/* How many pairs at once: a function of sizes alone, as is everything that the bits depend on. */
static int lanes_of(const cr_soft_dtw *s) {
  lanes w;
  size_t bytes;
  return s->pairs >= FEW && lay_out(s, LANES, &w, NULL, &bytes) && bytes <= LARGE ? LANES : 1;
}

static size_t order_bytes(const cr_soft_dtw *s) {
  return (2 * (size_t)s->pairs * sizeof(cr_sort_item) + 63) & ~(size_t)63;
}

bool cr_soft_dtw_bytes(const cr_soft_dtw *s, size_t *bytes) {
  lanes w;
  return lay_out(s, lanes_of(s), &w, NULL, bytes)
      && cr_size_mul(*bytes, (size_t)cr_pool_threads(), bytes)
      && cr_size_add(*bytes, order_bytes(s), bytes);
}

typedef struct job {
  const cr_soft_dtw *s;
  const cr_sort_item *order;    /* pairs by the size of their tables: lanes are padded little */
  unsigned char *scratch;
  size_t bytes;                 /* of a worker */
  int count;
} job;

static void pack(const real *from, int64_t used, int64_t all, int64_t lanes_count, real *to) {
  for (int64_t k = 0; k < all; k++) to[k * lanes_count] = k < used ? from[k] : 0;
}

/* Costs that are given, 0 outside the lengths, or (`back`) the gradient in their place to where it
 * is wanted. */
static void move_costs(const cr_soft_dtw *s, lanes *w, int used, const int64_t *pair, bool back) {
  enum { LINE = 16 };                       /* columns at a time: lines of memory are used whole */
  int64_t U = s->y.steps;
  for (int64_t i = 0; i < w->T; i++)
    for (int64_t first = 0; first < w->U; first += LINE)
      for (int l = 0; l < w->count; l++) {
        int64_t end = first + LINE < w->U ? first + LINE : w->U;
        int64_t m = l < used && i < w->n[l] ? w->m[l] : 0, at = l < used ? pair[l] * s->x.steps : 0;
        real *lane = w->cost + i * w->U * w->count + l;
        for (int64_t j = first; j < end; j++) {
          if (!back) lane[j * w->count] = j < m ? s->costs[(at + i) * U + j] : 0;
          else if (j < m) s->gcosts[(at + i) * U + j] = lane[j * w->count];
        }
      }
}

static void unpack_add(const real *from, int64_t n, int64_t lanes_count, double weight, real *to) {
  if (to == NULL) return;
  for (int64_t k = 0; k < n; k++) to[k] += (real)(weight * (double)from[k * lanes_count]);
}

/* The gradient by costs in w->cost, on to where it is wanted. */
static void hand_on(const job *j, lanes *w, int used, const int64_t *pair) {
  const cr_soft_dtw *s = j->s;
  const cr_sequences *y = other(s);
  int64_t D = w->width;
  if (s->gcosts != NULL) {
    int64_t whole_table = s->x.steps * y->steps;
    for (int l = 0; l < used; l++)
      memset(s->gcosts + pair[l] * whole_table, 0, (size_t)whole_table * sizeof(real));
    move_costs(s, w, used, pair, true);
    return;
  }
  memset(w->gx, 0, (size_t)(w->T * D * w->count) * sizeof(real));
  memset(w->gy, 0, (size_t)(w->U * D * w->count) * sizeof(real));
  if (w->count == LANES) sequences_many(w, s->cost);
  else walk_sequences(w, s->cost, 1);
  real *gy = y == &s->x ? s->gx : s->gy;
  for (int l = 0; l < used; l++) {
    int64_t at_x = pair[l] * s->x.steps * D, at_y = pair[l] * y->steps * D;
    unpack_add(w->gx + l, w->n[l] * D, w->count, s->weight, s->gx != NULL ? s->gx + at_x : NULL);
    unpack_add(w->gy + l, w->m[l] * D, w->count, s->weight, gy != NULL ? gy + at_y : NULL);
  }
}

static void run_block(void *context, int64_t block, int worker) {
  const job *j = context;
  const cr_soft_dtw *s = j->s;
  const cr_sequences *y = other(s);
  lanes w = { .count = j->count, .width = s->costs != NULL ? 0 : s->x.width,
              .scale = (real)(1.4426950408889634 / s->gamma) };
  int64_t first = block * j->count, pair[LANES];
  int used = (int)(s->pairs - first < j->count ? s->pairs - first : j->count);
  bool gradient = s->gradient;
  size_t bytes;
  lay_out(s, j->count, &w, j->scratch + (size_t)worker * j->bytes, &bytes);
  for (int l = 0; l < w.count; l++) {       /* lanes without a pair are a pair of one free step */
    pair[l] = l < used ? j->order[first + l].index : -1;
    w.n[l] = l < used ? cr_sequence_length(&s->x, pair[l]) : 1;
    w.m[l] = l < used ? cr_sequence_length(y, pair[l]) : 1;
    if (w.n[l] > w.T) w.T = w.n[l];
    if (w.m[l] > w.U) w.U = w.m[l];
  }

  int64_t D = w.width;
  if (s->costs != NULL) move_costs(s, &w, used, pair, false);
  for (int l = 0; l < w.count && s->costs == NULL; l++) {
    int64_t p = l < used ? pair[l] : 0, n = l < used ? w.n[l] : 0, m = l < used ? w.m[l] : 0;
    pack(s->x.at + p * s->x.steps * D, n * D, w.T * D, w.count, w.x + l);
    pack(y->at + p * y->steps * D, m * D, w.U * D, w.count, w.y + l);
  }
  if (s->costs == NULL) {
    if (w.count == LANES) fill_many(&w, s->cost);
    else fill_costs(&w, s->cost, 1);
  }

  double value[LANES];
  if (w.count == LANES) look_many(&w);
  else look_at_costs(&w, 1);
  for (int l = 0; l < used; l++)
    if (w.live[l] == 0) value[l] = walk_usual(&w, l, s->gamma, gradient);
  if (w.count == LANES) forward_many(&w, gradient);
  else walk_forward(&w, gradient, 1);
  if (gradient && w.count == LANES) backward_many(&w);
  else if (gradient) walk_backward(&w, 1);
  for (int l = 0; l < used; l++)
    if (w.live[l] > 0)
      value[l] = -s->gamma * (0.69314718055994531 * (double)w.end_e[l] + log((double)w.end_f[l]));
  if (gradient) hand_on(j, &w, used, pair);
  for (int l = 0; l < used; l++) s->value[pair[l]] += s->weight * value[l];
}

void cr_soft_dtw_run(const cr_soft_dtw *s, void *scratch) {
  job j = { .s = s, .order = scratch, .scratch = (unsigned char *)scratch + order_bytes(s),
            .count = lanes_of(s) };
  cr_sort_item *item = scratch;
  lanes w;
  lay_out(s, j.count, &w, NULL, &j.bytes);
  for (int64_t p = 0; p < s->pairs; p++) {
    int64_t area = cr_sequence_length(&s->x, p) * cr_sequence_length(other(s), p);
    item[p] = (cr_sort_item){ (uint64_t)area, p };
  }
  cr_sort_items(item, item + s->pairs, s->pairs);
  cr_pool_run((s->pairs + j.count - 1) / j.count, run_block, &j);
}
