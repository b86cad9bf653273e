/* block_pass.c - see block_pass.h
 *
 * The unit of work is a run of pixels or, with pooling, a pair of rows. The winner of a window is
 * found again on the way back by the same comparisons, so nothing is kept of it. */
#include "kernels/block_pass.h"

#include <math.h>
#include <string.h>
#include "base/pool.h"

enum {
  GRAIN = 16384,        /* numbers of y in a block of the pool, about */
  PIXELS = 128,         /* summed in real before they go to double */
  TILE = 64,            /* channels summed at a time */
  PARTS = 64            /* partial sums */
};

/* A NaN is larger than any number. */
static inline real larger(real a, real b) {
  real top = b > a ? b : a;
  return b != b ? b : top;
}

static inline real least(const cr_block *b) { return b->relu ? 0 : (real)-INFINITY; }

/* ---- forward --------------------------------------------------------------------------------- */

CR_VECTOR static void map_pixels(const cr_block *b, int64_t n, const real *y, const real *residual,
                                 real *out) {
  int64_t C = b->channels;
  const real *restrict mean = b->mean, *restrict scale = b->scale, *restrict shift = b->shift;
  real bound = least(b);
  for (int64_t i = 0; i < n; i++, y += C, out += C) {
    if (residual != NULL) {
      const real *restrict r = residual + i * C;
      for (int64_t c = 0; c < C; c++) {
        real v = (y[c] - mean[c]) * scale[c] + shift[c] + r[c];
        out[c] = v < bound ? bound : v;
      }
    } else {
      for (int64_t c = 0; c < C; c++) {
        real v = (y[c] - mean[c]) * scale[c] + shift[c];
        out[c] = v < bound ? bound : v;
      }
    }
  }
}

CR_VECTOR static void pool_rows(const cr_block *b, const real *y, real *out) {
  int64_t C = b->channels, W = b->width;
  const real *restrict mean = b->mean, *restrict scale = b->scale, *restrict shift = b->shift;
  real bound = least(b);
  for (int64_t x = 0; x < W / 2; x++) {
    const real *restrict y0 = y + 2 * x * C, *restrict y1 = y0 + C;
    const real *restrict y2 = y0 + W * C, *restrict y3 = y2 + C;
    real *restrict o = out + x * C;
    for (int64_t c = 0; c < C; c++) {
      real m = mean[c], s = scale[c], t = shift[c];
      real top = larger(larger((y0[c] - m) * s + t, (y1[c] - m) * s + t),
                        larger((y2[c] - m) * s + t, (y3[c] - m) * s + t));
      o[c] = top < bound ? bound : top;
    }
  }
}

typedef struct job {
  const cr_block *b;
  const real *y, *residual, *g, *slope, *constant;
  real *out;
  int64_t grain;
  double *part;
} job;

/* Where pair p of rows begins: images of odd height have a row that is in none. */
static int64_t pair_at(const cr_block *b, int64_t p) {
  int64_t pairs = b->height / 2;
  return ((p / pairs) * b->height + p % pairs * 2) * b->width * b->channels;
}

static int64_t pairs_of(const cr_block *b) { return b->images * (b->height / 2); }
static int64_t pooled_row(const cr_block *b) { return b->width / 2 * b->channels; }

static void forward_range(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const cr_block *b = j->b;
  int64_t C = b->channels;
  if (!b->pool) {
    map_pixels(b, end - begin, j->y + begin * C, j->residual ? j->residual + begin * C : NULL,
               j->out + begin * C);
    return;
  }
  for (int64_t p = begin; p < end; p++)
    pool_rows(b, j->y + pair_at(b, p), j->out + p * pooled_row(b));
}

/* Pixels or pairs of rows, so many that a block holds GRAIN numbers. */
static int64_t units_of(const cr_block *b) {
  return b->pool ? pairs_of(b) : b->images * b->height * b->width;
}

static int64_t grain_of(const cr_block *b) {
  int64_t unit = b->channels * (b->pool ? 2 * b->width : 1);
  return unit >= GRAIN ? 1 : GRAIN / unit;
}

void cr_block_forward(const cr_block *b, const real *y, const real *residual, real *out) {
  job j = { .b = b, .y = y, .residual = residual, .out = out };
  cr_pool_for(units_of(b), grain_of(b), forward_range, &j);
}

/* ---- sums ------------------------------------------------------------------------------------ */

/* h of the four places of a window from their v, the winner's gradient being g */
typedef struct four { real v[4]; } four;

static inline four route(real v0, real v1, real v2, real v3, real bound, real g) {
  real top = larger(larger(v0, v1), larger(v2, v3)), rest = top > bound ? g : 0;
  four h;
  h.v[0] = v0 == top ? rest : 0;
  rest = v0 == top ? 0 : rest;
  h.v[1] = v1 == top ? rest : 0;
  rest = v1 == top ? 0 : rest;
  h.v[2] = v2 == top ? rest : 0;
  h.v[3] = v2 == top ? 0 : rest;
  return h;
}

/* n pixels of the channels from c0 on, at most TILE */
CR_VECTOR static void sum_pixels(const cr_block *b, int64_t n, int64_t c0, const real *y,
                                 const real *g, double *sum) {
  int64_t C = b->channels, width = C - c0 < TILE ? C - c0 : TILE;
  const real *restrict mean = b->mean + c0, *restrict scale = b->scale + c0,
             *restrict shift = b->shift + c0;
  real s[TILE] = { 0 }, t[TILE] = { 0 }, bound = least(b);
  for (int64_t i = 0; i < n; i++) {
    const real *restrict yi = y + i * C + c0, *restrict gi = g + i * C + c0;
    for (int64_t c = 0; c < width; c++) {
      real d = yi[c] - mean[c], h = d * scale[c] + shift[c] > bound ? gi[c] : 0;
      s[c] += h;
      t[c] += h * d;
    }
  }
  for (int64_t c = 0; c < width; c++) {
    sum[c0 + c] += (double)s[c];
    sum[C + c0 + c] += (double)t[c];
  }
}

CR_VECTOR static void sum_by_out(const cr_block *b, int64_t n, int64_t c0, const real *y,
                                 const real *means, const real *out, const real *g, real *written,
                                 double *sum) {
  int64_t C = b->channels, width = C - c0 < TILE ? C - c0 : TILE;
  const real *restrict mean = means + c0;
  real s[TILE] = { 0 }, t[TILE] = { 0 }, bound = least(b);
  for (int64_t i = 0; i < n; i++) {
    const real *restrict yi = y + i * C + c0, *restrict gi = g + i * C + c0,
               *restrict oi = out + i * C + c0;
    if (written != NULL) {
      real *restrict hi = written + i * C + c0;
      for (int64_t c = 0; c < width; c++) hi[c] = oi[c] > bound ? gi[c] : 0;
    }
    for (int64_t c = 0; c < width; c++) {
      real h = oi[c] > bound ? gi[c] : 0;
      s[c] += h;
      t[c] += h * (yi[c] - mean[c]);
    }
  }
  for (int64_t c = 0; c < width; c++) {
    sum[c0 + c] += (double)s[c];
    sum[C + c0 + c] += (double)t[c];
  }
}

CR_VECTOR static void sum_rows(const cr_block *b, int64_t c0, const real *y, const real *g,
                               double *sum) {
  int64_t C = b->channels, W = b->width, width = C - c0 < TILE ? C - c0 : TILE;
  const real *restrict mean = b->mean + c0, *restrict scale = b->scale + c0,
             *restrict shift = b->shift + c0;
  real s[TILE] = { 0 }, t[TILE] = { 0 }, bound = least(b);
  for (int64_t x = 0; x < W / 2; x++) {
    const real *restrict y0 = y + 2 * x * C + c0, *restrict y1 = y0 + C;
    const real *restrict y2 = y0 + W * C, *restrict y3 = y2 + C;
    const real *restrict gi = g + x * C + c0;
    for (int64_t c = 0; c < width; c++) {
      real m = mean[c], k = scale[c], q = shift[c];
      real d0 = y0[c] - m, d1 = y1[c] - m, d2 = y2[c] - m, d3 = y3[c] - m;
      four h = route(d0 * k + q, d1 * k + q, d2 * k + q, d3 * k + q, bound, gi[c]);
      s[c] += h.v[0] + h.v[1] + h.v[2] + h.v[3];
      t[c] += h.v[0] * d0 + h.v[1] * d1 + h.v[2] * d2 + h.v[3] * d3;
    }
  }
  for (int64_t c = 0; c < width; c++) {
    sum[c0 + c] += (double)s[c];
    sum[C + c0 + c] += (double)t[c];
  }
}

typedef struct sums_job {
  const cr_block *b;
  int64_t units;
  const real *y, *mean, *out, *g;
  real *h;
  double *part;
} sums_job;

static void sums_block(void *context, int64_t block, int worker) {
  (void)worker;
  const sums_job *j = context;
  const cr_block *b = j->b;
  int64_t C = b->channels, end = j->units * (block + 1) / PARTS;
  double *sum = j->part + block * 2 * C;
  memset(sum, 0, 2 * (size_t)C * sizeof(double));
  bool rows = j->out == NULL && b->pool;
  int64_t step = rows ? 1 : PIXELS;
  for (int64_t i = j->units * block / PARTS; i < end; i += step) {
    int64_t n = end - i < step ? end - i : step, at = i * C;
    for (int64_t c = 0; c < C; c += TILE) {
      if (rows) sum_rows(b, c, j->y + pair_at(b, i), j->g + i * pooled_row(b), sum);
      else if (j->out == NULL) sum_pixels(b, n, c, j->y + at, j->g + at, sum);
      else
        sum_by_out(b, n, c, j->y + at, j->mean, j->out + at, j->g + at, j->h ? j->h + at : NULL,
                   sum);
    }
  }
}

size_t cr_block_sums_scratch(const cr_block *b) {
  return PARTS * 2 * (size_t)b->channels * sizeof(double);
}

static void all_sums(sums_job *j, double *sum) {
  int64_t n = 2 * j->b->channels;
  cr_pool_run(PARTS, sums_block, j);
  for (int64_t c = 0; c < n; c++) {
    sum[c] = 0;
    for (int64_t part = 0; part < PARTS; part++) sum[c] += j->part[part * n + c];
  }
}

void cr_block_sums(const cr_block *b, const real *y, const real *g, double *sum, void *scratch) {
  sums_job j = { .b = b, .units = units_of(b), .y = y, .g = g, .part = scratch };
  all_sums(&j, sum);
}

void cr_block_sums_by_out(const cr_block *b, int64_t places, const real *y, const real *mean,
                          const real *out, const real *g, real *h, double *sum, void *scratch) {
  sums_job j = { b, places, y, mean, out, g, h, scratch };
  all_sums(&j, sum);
}

/* ---- backward -------------------------------------------------------------------------------- */

CR_VECTOR static void back_pixels(const cr_block *b, int64_t n, const real *g,
                                  const real *restrict slope, const real *restrict constant,
                                  real *y) {
  int64_t C = b->channels;
  const real *restrict mean = b->mean, *restrict scale = b->scale, *restrict shift = b->shift;
  real bound = least(b);
  for (int64_t i = 0; i < n; i++) {
    const real *restrict gi = g + i * C;
    real *restrict yi = y + i * C;
    for (int64_t c = 0; c < C; c++) {
      real d = yi[c] - mean[c], h = d * scale[c] + shift[c] > bound ? gi[c] : 0;
      yi[c] = scale[c] * h + slope[c] * d + constant[c];
    }
  }
}

CR_VECTOR static void back_rows(const cr_block *b, const real *restrict g,
                                const real *restrict slope, const real *restrict constant,
                                real *restrict upper, real *restrict lower) {
  int64_t C = b->channels, W = b->width;
  const real *restrict mean = b->mean, *restrict scale = b->scale, *restrict shift = b->shift;
  real bound = least(b);
  for (int64_t x = 0; x < W / 2; x++) {
    real *y0 = upper + 2 * x * C, *y1 = y0 + C, *y2 = lower + 2 * x * C, *y3 = y2 + C;
    const real *gi = g + x * C;
    for (int64_t c = 0; c < C; c++) {
      real m = mean[c], k = scale[c], q = shift[c], p = slope[c], r = constant[c];
      real d0 = y0[c] - m, d1 = y1[c] - m, d2 = y2[c] - m, d3 = y3[c] - m;
      four h = route(d0 * k + q, d1 * k + q, d2 * k + q, d3 * k + q, bound, gi[c]);
      y0[c] = k * h.v[0] + p * d0 + r;
      y1[c] = k * h.v[1] + p * d1 + r;
      y2[c] = k * h.v[2] + p * d2 + r;
      y3[c] = k * h.v[3] + p * d3 + r;
    }
  }
}

/* places that no window sees */
CR_VECTOR static void back_rest(const cr_block *b, int64_t n, const real *restrict slope,
                                const real *restrict constant, real *restrict y) {
  int64_t C = b->channels;
  const real *restrict mean = b->mean;
  for (int64_t i = 0; i < n; i++)
    for (int64_t c = 0; c < C; c++)
      y[i*C + c] = slope[c] * (y[i*C + c] - mean[c]) + constant[c];
}

static void backward_range(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const cr_block *b = j->b;
  int64_t C = b->channels, W = b->width;
  if (!b->pool) {
    back_pixels(b, end - begin, j->g + begin * C, j->slope, j->constant, j->out + begin * C);
    return;
  }
  for (int64_t p = begin; p < end; p++) {
    real *y = j->out + pair_at(b, p);
    back_rows(b, j->g + p * pooled_row(b), j->slope, j->constant, y, y + W * C);
    if (W % 2 != 0)
      for (int64_t row = 1; row <= 2; row++)
        back_rest(b, 1, j->slope, j->constant, y + (row * W - 1) * C);
    if (b->height % 2 != 0 && (p + 1) % (b->height / 2) == 0)
      back_rest(b, W, j->slope, j->constant, y + 2 * W * C);
  }
}

void cr_block_backward(const cr_block *b, const real *g, const real *slope, const real *constant,
                       real *y) {
  job j = { .b = b, .g = g, .slope = slope, .constant = constant, .out = y };
  cr_pool_for(units_of(b), grain_of(b), backward_range, &j);
}
