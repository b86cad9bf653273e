/* block_thin.c - see block_thin.h */
#include "kernels/block_thin.h"

#include <math.h>
#include <string.h>
#include "base/pool.h"

enum {
  TAPS = CR_THIN_TAPS,
  STRIP = 64,                   /* windows of the pooling worked on at a time */
  SPAN = 2 * STRIP + 2,         /* values of a row of x under them */
  TILE = 64,                    /* filters at a time, backward */
  ROWS = 8,                     /* rows whose products are summed in real */
  PARTS = 64,                   /* partial sums */
  LANES = 16
};

/* strip[i][.]: n values from `column` on of row + i of an image, i < count; 0 outside of it */
static void load_strip(const cr_thin *t, const real *image, int64_t row, int64_t column, int count,
                       int64_t n, real strip[][SPAN]) {
  int64_t first = column < 0 ? -column : 0;
  int64_t end = column + n > t->width ? t->width - column : n;
  for (int i = 0; i < count; i++) {
    int64_t r = row + i;
    if (r < 0 || r >= t->height || end <= first) {
      memset(strip[i], 0, (size_t)n * sizeof(real));
      continue;
    }
    for (int64_t c = 0; c < first; c++) strip[i][c] = 0;
    memcpy(strip[i] + first, image + r * t->width + column + first,
           (size_t)(end - first) * sizeof(real));
    for (int64_t c = end; c < n; c++) strip[i][c] = 0;
  }
}

/* ---- sums of the taps ------------------------------------------------------------------------ */

typedef real lanes __attribute__((vector_size(LANES * sizeof(real))));

/* a macro because a vector cannot be passed to a function of a clone */
#define LOAD(p) __extension__({ lanes v_; memcpy(&v_, (p), sizeof v_); v_; })

/* Adds S and the lower half of G of rows x n places whose patches lie in rows + 2 rows. */
CR_VECTOR static void add_products(real strip[][SPAN], int64_t rows, int64_t n, double *sums) {
  for (int j = 0; j < TAPS; j++) {
    for (int k = -1; k <= j; k++) {
      lanes sum = { 0 };
      real rest = 0;
      for (int64_t r = 0; r < rows; r++) {
        const real *a = strip[r + j / 3] + j % 3, *b = k < 0 ? NULL : strip[r + k / 3] + k % 3;
        int64_t i = 0;
        if (b == NULL) {
          for (; i + LANES <= n; i += LANES) sum += LOAD(a + i);
          for (; i < n; i++) rest += a[i];
        } else {
          for (; i + LANES <= n; i += LANES) sum += LOAD(a + i) * LOAD(b + i);
          for (; i < n; i++) rest += a[i] * b[i];
        }
      }
      double all = (double)rest;
      for (int l = 0; l < LANES; l++) all += (double)sum[l];
      sums[k < 0 ? j : TAPS + j * TAPS + k] += all;
    }
  }
}

typedef struct job {
  const cr_thin *t;
  const real *x, *g, *weight, *bias;
  real *out;
  uint8_t *winner;
  const uint8_t *won;
  double *part;
} job;

static void sums_block(void *context, int64_t block, int worker) {
  (void)worker;
  const job *j = context;
  const cr_thin *t = j->t;
  int64_t H = t->block.height, W = t->block.width, bands = (H + ROWS - 1) / ROWS;
  int64_t all = t->block.images * bands;
  double *sums = j->part + block * CR_THIN_SUMS;
  real strip[ROWS + 2][SPAN];
  memset(sums, 0, CR_THIN_SUMS * sizeof(double));
  for (int64_t band = all * block / PARTS; band < all * (block + 1) / PARTS; band++) {
    const real *image = j->x + band / bands * t->height * t->width;
    int64_t row = band % bands * ROWS, rows = H - row < ROWS ? H - row : ROWS;
    for (int64_t c = 0; c < W; c += 2 * STRIP) {
      int64_t n = W - c < 2 * STRIP ? W - c : 2 * STRIP;
      load_strip(t, image, row - t->padding[0], c - t->padding[1], (int)rows + 2, n + 2, strip);
      add_products(strip, rows, n, sums);
    }
  }
}

static void add_parts(const double *part, int64_t n, double *sum) {
  for (int64_t i = 0; i < n; i++) {
    sum[i] = 0;
    for (int64_t p = 0; p < PARTS; p++) sum[i] += part[p * n + i];
  }
}

void cr_thin_sums(const cr_thin *t, const real *x, double *sums, void *scratch) {
  job j = { .t = t, .x = x, .part = scratch };
  cr_pool_run(PARTS, sums_block, &j);
  add_parts(scratch, CR_THIN_SUMS, sums);
  for (int a = 0; a < TAPS; a++)
    for (int b = 0; b < a; b++) sums[TAPS + b * TAPS + a] = sums[TAPS + a * TAPS + b];
}

static double places_of(const cr_thin *t) {
  return (double)(t->block.images * t->block.height * t->block.width);
}

/* mean = w S / M, variance = w (G / M - S S' / M^2) w */
void cr_thin_moments(const cr_thin *t, const double *sums, const real *weight, double *mean,
                     double *variance) {
  const double *S = sums, *G = sums + TAPS;
  double count = places_of(t);
  for (int64_t o = 0; o < t->block.channels; o++) {
    const real *w = weight + o * TAPS;
    double first = 0, var = 0;
    for (int j = 0; j < TAPS; j++) {
      first += (double)w[j] * S[j] / count;
      for (int k = 0; k < TAPS; k++)
        var += (double)w[j] * (double)w[k] * (G[j * TAPS + k] - S[j] * S[k] / count) / count;
    }
    mean[o] = first;
    variance[o] = var > 0 || isnan(var) ? var : 0;
  }
}

/* ---- forward --------------------------------------------------------------------------------- */

/* A NaN is larger than any number. */
static inline real larger(real a, real b) {
  real top = b > a ? b : a;
  return b != b ? b : top;
}

/* The value at one place: x is the 4 x 4 of a window, row by row, `at` the corner of the patch. */
static inline real value(const real *w, int64_t C, real bias, const real *x, int at) {
  return bias + w[0] * x[at] + w[C] * x[at + 1] + w[2*C] * x[at + 2] + w[3*C] * x[at + 4] +
         w[4*C] * x[at + 5] + w[5*C] * x[at + 6] + w[6*C] * x[at + 8] + w[7*C] * x[at + 9] +
         w[8*C] * x[at + 10];
}

/* n windows from a strip of four rows; w [9, C] and bias [C] make v at once */
CR_VECTOR static void forward_strip(real strip[][SPAN], int64_t n, int64_t C,
                                    const real *restrict w, const real *restrict bias, real bound,
                                    real *restrict out, uint8_t *restrict winner) {
  for (int64_t q = 0; q < n; q++) {
    real x[16];
    for (int i = 0; i < 16; i++) x[i] = strip[i / 4][2 * q + i % 4];
    for (int64_t o0 = 0; o0 < C; o0 += TILE) {
      int64_t width = C - o0 < TILE ? C - o0 : TILE;
      int place[TILE];          /* as wide as a real number: bytes would split the vectors */
      for (int64_t k = 0; k < width; k++) {
        int64_t o = o0 + k;
        real v0 = value(w + o, C, bias[o], x, 0), v1 = value(w + o, C, bias[o], x, 1);
        real v2 = value(w + o, C, bias[o], x, 4), v3 = value(w + o, C, bias[o], x, 5);
        real top = larger(larger(v0, v1), larger(v2, v3));
        int at = v2 == top ? 2 : 3;
        at = v1 == top ? 1 : at;
        at = v0 == top ? 0 : at;
        place[k] = top > bound ? at : 4;
        out[q * C + o] = top < bound ? bound : top;
      }
      if (winner != NULL)
        for (int64_t k = 0; k < width; k++) winner[q * C + o0 + k] = (uint8_t)place[k];
    }
  }
}

static void forward_rows(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const cr_thin *t = j->t;
  int64_t C = t->block.channels, pairs = t->block.height / 2, W = t->block.width / 2;
  real strip[4][SPAN], bound = t->block.relu ? 0 : (real)-INFINITY;
  for (int64_t p = begin; p < end; p++) {
    const real *image = j->x + p / pairs * t->height * t->width;
    for (int64_t q = 0; q < W; q += STRIP) {
      int64_t n = W - q < STRIP ? W - q : STRIP, at = (p * W + q) * C;
      load_strip(t, image, p % pairs * 2 - t->padding[0], 2 * q - t->padding[1], 4, 2 * n + 2,
                 strip);
      forward_strip(strip, n, C, j->weight, j->bias, bound, j->out + at,
                    j->winner ? j->winner + at : NULL);
    }
  }
}

void cr_thin_forward(const cr_thin *t, const real *x, const real *weight, real *out,
                     uint8_t *winner, void *scratch) {
  const cr_block *b = &t->block;
  int64_t C = b->channels, unit = 2 * b->width * C;
  real *w = scratch, *bias = w + TAPS * C;
  for (int64_t o = 0; o < C; o++) {
    for (int k = 0; k < TAPS; k++) w[k * C + o] = weight[o * TAPS + k] * b->scale[o];
    bias[o] = b->shift[o] - b->mean[o] * b->scale[o];
  }
  job j = { .t = t, .x = x, .weight = w, .bias = bias, .out = out, .winner = winner };
  cr_pool_for(b->images * (b->height / 2), unit >= 16384 ? 1 : 16384 / unit, forward_rows, &j);
}

/* ---- backward -------------------------------------------------------------------------------- */

/* The sums of n windows for filters o0 .. at most TILE of them, added to sum */
CR_VECTOR static void backward_strip(real strip[][SPAN], int64_t n, int64_t C, int64_t o0,
                                     const real *g, const uint8_t *won, double *sum) {
  int64_t width = C - o0 < TILE ? C - o0 : TILE;
  real h[TAPS + 1][TILE] = { { 0 } };
  for (int64_t q = 0; q < n; q++) {
    const real *restrict gq = g + q * C + o0;
    int place[TILE];            /* as wide as a real number: bytes would split the vectors */
    real x[16];
    for (int i = 0; i < 16; i++) x[i] = strip[i / 4][2 * q + i % 4];
    for (int64_t o = 0; o < width; o++) place[o] = won[q * C + o0 + o];
    for (int64_t o = 0; o < width; o++) {
      int at = place[o];
      real go = gq[o], g0 = at == 0 ? go : 0, g1 = at == 1 ? go : 0, g2 = at == 2 ? go : 0,
           g3 = at == 3 ? go : 0;
#pragma GCC unroll 9
      for (int k = 0; k < TAPS; k++) {
        int corner = k / 3 * 4 + k % 3;
        h[k][o] += g0 * x[corner] + g1 * x[corner + 1] + g2 * x[corner + 4] + g3 * x[corner + 5];
      }
      h[TAPS][o] += (g0 + g1) + (g2 + g3);
    }
  }
  for (int64_t o = 0; o < width; o++) {
    for (int k = 0; k < TAPS; k++) sum[(o0 + o) * TAPS + k] += (double)h[k][o];
    sum[TAPS * C + o0 + o] += (double)h[TAPS][o];
  }
}

static void backward_block(void *context, int64_t block, int worker) {
  (void)worker;
  const job *j = context;
  const cr_thin *t = j->t;
  int64_t C = t->block.channels, pairs = t->block.height / 2, W = t->block.width / 2;
  int64_t rows = t->block.images * pairs;
  double *sum = j->part + block * (TAPS + 1) * C;
  real strip[4][SPAN];
  memset(sum, 0, (size_t)((TAPS + 1) * C) * sizeof(double));
  for (int64_t p = rows * block / PARTS; p < rows * (block + 1) / PARTS; p++) {
    const real *image = j->x + p / pairs * t->height * t->width;
    for (int64_t q = 0; q < W; q += STRIP) {
      int64_t n = W - q < STRIP ? W - q : STRIP, at = (p * W + q) * C;
      load_strip(t, image, p % pairs * 2 - t->padding[0], 2 * q - t->padding[1], 4, 2 * n + 2,
                 strip);
      for (int64_t o = 0; o < C; o += TILE)
        backward_strip(strip, n, C, o, j->g + at, j->won + at, sum);
    }
  }
}

void cr_thin_backward(const cr_thin *t, const real *x, const real *g, const uint8_t *winner,
                      double *sum, void *scratch) {
  job j = { .t = t, .x = x, .g = g, .won = winner, .part = scratch };
  cr_pool_run(PARTS, backward_block, &j);
  add_parts(scratch, (TAPS + 1) * t->block.channels, sum);
}

void cr_thin_product(const cr_thin *t, const real *weight, const double *mean, const double *sum,
                     double *h_y) {
  int64_t C = t->block.channels;
  for (int64_t o = 0; o < C; o++) {
    h_y[o] = -mean[o] * sum[TAPS * C + o];
    for (int64_t i = o * TAPS; i < (o + 1) * TAPS; i++) h_y[o] += (double)weight[i] * sum[i];
  }
}

void cr_thin_grad_weight(const cr_thin *t, const real *weight, const double *sums,
                         const double *mean, const double *rstd, const double *sum,
                         const double *h_y, real *gweight) {
  int64_t C = t->block.channels;
  for (int64_t i = 0; i < C * TAPS; i++) {
    int64_t o = i / TAPS, k = i % TAPS;
    double all = sum[i];
    if (sums != NULL) {
      double product = -mean[o] * sums[k];
      for (int j = 0; j < TAPS; j++)
        product += (double)weight[o * TAPS + j] * sums[TAPS + j * TAPS + k];
      all -= (rstd[o] * rstd[o] * h_y[o] * product + sum[TAPS * C + o] * sums[k]) / places_of(t);
    }
    gweight[i] = (real)((double)t->block.scale[o] * all);
  }
}

size_t cr_thin_scratch(const cr_thin *t) {
  int64_t n = (TAPS + 1) * t->block.channels;
  return PARTS * (size_t)(n > CR_THIN_SUMS ? n : CR_THIN_SUMS) * sizeof(double);
}
