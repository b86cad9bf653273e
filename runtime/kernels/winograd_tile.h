/* winograd_tile.h - the inner parts of winograd.c for one instruction set; see winograd.h for the
 * formulas and conv_tile.h for the products. Vectors run over channels or filters. */
#ifndef CR_KERNELS_WINOGRAD_TILE_H
#define CR_KERNELS_WINOGRAD_TILE_H

#include "kernels/conv_tile.h"

enum {
  POINTS = CR_WINOGRAD_POINTS,
  SLAB = CR_WINOGRAD_SLAB,
  PAD = 64 / sizeof(real),              /* keeps the 36 points out of one another's cache sets */
  CACHE = (640 << 10) / sizeof(real),   /* for transformed tiles, of the second-level cache */
  LEAST_ROOM = POINTS * ROWS * (CR_WINOGRAD_MOST_CHANNELS + WIDTH),
  ROOM = (LEAST_ROOM > CACHE ? LEAST_ROOM : CACHE) + 2 * POINTS * PAD,
  PRODUCT_TILES = 24, PLACES = 16       /* of y, in a tile */
};

static const real outside[CR_WINOGRAD_MOST_CHANNELS];

/* ---- the transforms along one line */

/* B^T: 6 inputs to 6 points */
static inline void input_line(vector *to, int step, vector d0, vector d1, vector d2, vector d3,
                              vector d4, vector d5) {
  vector even = d4 - 4 * d2, odd = d3 - 4 * d1, even2 = d4 - d2, odd2 = 2 * (d3 - d1);
  to[0] = 4 * d0 - 5 * d2 + d4;
  to[step] = even + odd;
  to[2 * step] = even - odd;
  to[3 * step] = even2 + odd2;
  to[4 * step] = even2 - odd2;
  to[5 * step] = 4 * d1 - 5 * d3 + d5;
}

/* Points 0 to 2 or 3 to 5 of it; `edge` is d0 or d5 */
static inline void half_line(int half, vector *to, vector edge, vector d1, vector d2, vector d3,
                             vector d4) {
  if (half == 0) {
    vector even = d4 - 4 * d2, odd = d3 - 4 * d1;
    to[0] = 4 * edge - 5 * d2 + d4, to[6] = even + odd, to[12] = even - odd;
  } else {
    vector even = d4 - d2, odd = 2 * (d3 - d1);
    to[0] = even + odd, to[6] = even - odd, to[12] = 4 * d1 - 5 * d3 + edge;
  }
}

/* A^T: 6 points to 4 outputs */
static inline void output_line(vector *to, int step, vector m0, vector m1, vector m2, vector m3,
                               vector m4, vector m5) {
  vector sum = m1 + m2, gap = m1 - m2, sum2 = m3 + m4, gap2 = m3 - m4;
  to[0] = m0 + sum + sum2;
  to[step] = gap + 2 * gap2;
  to[2 * step] = sum + 4 * sum2;
  to[3 * step] = gap + 8 * gap2 + m5;
}

/* A: 4 gradients of outputs to 6 points */
static inline void gradient_line(vector *to, int step, vector g0, vector g1, vector g2, vector g3) {
  vector even = g0 + g2, odd = g1 + g3, even2 = g0 + 4 * g2, odd2 = 2 * (g1 + 4 * g3);
  to[0] = g0;
  to[step] = even + odd;
  to[2 * step] = even - odd;
  to[3 * step] = even2 + odd2;
  to[4 * step] = even2 - odd2;
  to[5 * step] = g3;
}

/* G: 3 weights to 6 points */
static inline void weight_line(vector *to, int step, vector g0, vector g1, vector g2) {
  const real sixth = (real)1 / 6, twelfth = (real)1 / 12, part = (real)1 / 24;
  vector even = -sixth * (g0 + g2), odd = sixth * g1;
  vector even2 = part * g0 + sixth * g2, odd2 = twelfth * g1;
  to[0] = (real)0.25 * g0;
  to[step] = even - odd;
  to[2 * step] = even + odd;
  to[3 * step] = even2 + odd2;
  to[4 * step] = even2 - odd2;
  to[5 * step] = g2;
}

/* G^T: 6 points to 3 gradients of weights */
static inline void fold_line(vector *to, int step, vector u0, vector u1, vector u2, vector u3,
                             vector u4, vector u5) {
  const real sixth = (real)1 / 6, twelfth = (real)1 / 12, part = (real)1 / 24;
  vector sum = sixth * (u1 + u2), sum2 = u3 + u4;
  to[0] = (real)0.25 * u0 - sum + part * sum2;
  to[step] = sixth * (u2 - u1) + twelfth * (u3 - u4);
  to[2 * step] = sixth * sum2 - sum + u5;
}

/* ---- tiles */

typedef struct { int64_t image, row, column; } place;   /* of a tile's first output */

static inline place place_of(const cr_winograd *w, int64_t tile_number) {
  int64_t line = tile_number / w->across;
  return (place){ line / w->down, line % w->down * 4, tile_number % w->across * 4 };
}

/* at[side * i + j]: where the pixel at place + (i, j) begins in an image of channels c on, or
 * `beyond`. Chosen without branches: a tile of few channels costs no more than its pointers. */
static inline __attribute__((always_inline)) void
pixels(const int side, const real *image, int64_t channels, const int64_t size[2], int64_t row,
       int64_t column, const real *beyond, const real **at) {
  for (int i = 0; i < side; i++)
    for (int j = 0; j < side; j++) {
      bool inside = (row + i >= 0) & (row + i < size[0]) & (column + j >= 0) &
                    (column + j < size[1]);
      int64_t from = ((row + i) * size[1] + column + j) * channels;
      at[side * i + j] = inside ? image + from : beyond;
    }
}

/* B^T x B of a vector of channels at c */
static inline __attribute__((always_inline)) void
input_points(const real *const *at, int64_t c, real *v, int64_t step) {
  /* half of the lines at a time: 18 values fit the registers, 36 do not */
#pragma GCC unroll 2
  for (int half = 0; half < 2; half++) {
    vector d[18];
#pragma GCC unroll 6
    for (int j = 0; j < 6; j++)
      half_line(half, d + j, load(at[(half ? 30 : 0) + j] + c), load(at[6 + j] + c),
                load(at[12 + j] + c), load(at[18 + j] + c), load(at[24 + j] + c));
#pragma GCC unroll 3
    for (int i = 0; i < 3; i++) {
      const vector *l = d + 6*i;
      real *to = v + 6 * (3*half + i) * step;
      vector e[6];
      input_line(e, 1, l[0], l[1], l[2], l[3], l[4], l[5]);
      for (int j = 0; j < 6; j++) store(to + j*step, e[j]);
    }
  }
}

/* A NaN is larger than any number. */
static inline vector larger(vector a, vector b) {
  __typeof__(a > b) b_wins = (b > a) | (b != b);
  return (vector)((b_wins & (__typeof__(b_wins))b) | (~b_wins & (__typeof__(b_wins))a));
}
static inline vector positive(vector x) {
  vector none = { 0 };
  __typeof__(x > none) wins = ~(x <= none);
  return (vector)(wins & (__typeof__(wins))x);
}

/* v[point * step + c] = B^T x B of one tile, channels c0 .. c1-1, x mapped first */
static void input_tile(const cr_winograd *w, int64_t number, int64_t c0, int64_t c1, real *v,
                       int64_t step) {
  place p = place_of(w, number);
  const real *at[POINTS], *image = w->x + p.image * w->in[0] * w->in[1] * w->channels + c0;
  pixels(6, image, w->channels, w->in, p.row - w->padding[0], p.column - w->padding[1], outside,
         at);
  if (w->map.scale == NULL) {
    for (int64_t c = 0; c < c1 - c0; c += LANES) input_points(at, c, v + c, step);
    return;
  }
  real mapped[POINTS * LANES] __attribute__((aligned(64)));
  const real *from[POINTS];
  for (int k = 0; k < POINTS; k++) from[k] = mapped + k*LANES;
  for (int64_t c = 0; c < c1 - c0; c += LANES) {
    vector mean = load(w->map.mean + c0 + c), scale = load(w->map.scale + c0 + c), none = { 0 };
    vector shift = load(w->map.shift + c0 + c);
    for (int k = 0; k < POINTS; k++)
      store(mapped + k*LANES, positive((load(at[k] + c) - mean) * scale + shift));
    for (int k = 0; k < POINTS; k++) if (at[k] == outside) store(mapped + k*LANES, none);
    input_points(from, 0, v + c, step);
  }
}

/* v[point * step + o] = A gy A^T of one tile, filters o0 .. o1-1 */
static void gradient_tile(const cr_winograd *w, int64_t number, int64_t o0, int64_t o1, real *v,
                          int64_t step) {
  place p = place_of(w, number);
  const real *at[16], *image = w->gy + p.image * w->out[0] * w->out[1] * w->filters + o0;
  pixels(4, image, w->filters, w->out, p.row, p.column, outside, at);
  for (int64_t o = 0; o < o1 - o0; o += LANES) {
    vector d[24];
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++)
      gradient_line(d + j, 4, load(at[j] + o), load(at[4 + j] + o), load(at[8 + j] + o),
                    load(at[12 + j] + o));
#pragma GCC unroll 6
    for (int i = 0; i < 6; i++) {
      const vector *l = d + 4*i;
      vector e[6];
      gradient_line(e, 1, l[0], l[1], l[2], l[3]);
      for (int j = 0; j < 6; j++) store(v + (6*i + j) * step + o, e[j]);
    }
  }
}

/* What one tile, `wide` filters from o on, hands on after ReLU and pooling */
static void pooled_tile(const cr_winograd *w, int64_t number, int64_t o, int64_t wide,
                        const real *m, int64_t step) {
  place p = place_of(w, number);
  int64_t height = w->out[0] / 2, width = w->out[1] / 2, line = width * w->filters;
  int64_t high = least(2, height - p.row / 2), broad = least(2, width - p.column / 2);
  real *y = w->y + ((p.image * height + p.row / 2) * width + p.column / 2) * w->filters + o;
  for (int64_t l = 0; l < wide; l += LANES) {
    vector d[24], bias = { 0 };
    const real *from = m + l;
    if (w->bias != NULL) bias = load(w->bias + o + l);
#pragma GCC unroll 6
    for (int j = 0; j < 6; j++)
      output_line(d + j, 6, load(from + j*step), load(from + (6 + j) * step),
                  load(from + (12 + j) * step), load(from + (18 + j) * step),
                  load(from + (24 + j) * step), load(from + (30 + j) * step));
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
      const vector *t = d + 12*i, *u = t + 6;
      vector e[4], f[4];
      output_line(e, 1, t[0], t[1], t[2], t[3], t[4], t[5]);
      output_line(f, 1, u[0], u[1], u[2], u[3], u[4], u[5]);
      if (i >= high) break;
#pragma GCC unroll 2
      for (int j = 0; j < 2; j++) {
        if (j >= broad) break;
        vector top = larger(larger(e[2*j], e[2*j + 1]), larger(f[2*j], f[2*j + 1])) + bias;
        store(y + i*line + j * w->filters + l, w->relu ? positive(top) : top);
      }
    }
  }
}

/* y of one tile, `wide` filters from o on, = A^T m A + bias */
static void output_tile(const cr_winograd *w, int64_t number, int64_t o, int64_t wide,
                        const real *m, int64_t step, double *part) {
  place p = place_of(w, number);
  int64_t high = least(4, w->out[0] - p.row), broad = least(4, w->out[1] - p.column);
  int64_t line = w->out[1] * w->filters;
  real *y = w->y + ((p.image * w->out[0] + p.row) * w->out[1] + p.column) * w->filters + o;
  for (int64_t l = 0; l < wide; l += LANES) {
    vector d[24], bias = { 0 }, sum = { 0 }, squares = { 0 };
    const real *from = m + l;
    if (w->bias != NULL) bias = load(w->bias + o + l);
#pragma GCC unroll 6
    for (int j = 0; j < 6; j++)
      output_line(d + j, 6, load(from + j*step), load(from + (6 + j) * step),
                  load(from + (12 + j) * step), load(from + (18 + j) * step),
                  load(from + (24 + j) * step), load(from + (30 + j) * step));
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
      const vector *t = d + 6*i;
      vector e[4];
      output_line(e, 1, t[0], t[1], t[2], t[3], t[4], t[5]);
      if (i >= high) break;
#pragma GCC unroll 4
      for (int j = 0; j < 4; j++) {
        if (j >= broad) break;
        e[j] += bias;
        if (w->relu) e[j] = positive(e[j]);
        if (w->add) e[j] += load(y + i*line + j * w->filters + l);
        put(y + i*line + j * w->filters + l, e[j], w->stream);
        sum += e[j], squares += e[j] * e[j];
      }
    }
    if (part != NULL) add_to(part + o + l, sum), add_to(part + w->filters + o + l, squares);
  }
}

/* Places of x to fetch beside each of the 36 products so that the next n tiles are near, 0 when
 * there are none. Tiles of whole images lie one after another; where they do not, some are fetched
 * that are not needed. */
static int64_t places_ahead(int64_t next, int64_t end, int64_t n) {
  return next < end ? (n * PLACES + POINTS - 1) / POINTS : 0;
}

/* ---- the table's functions */

static int64_t panel_width(const cr_winograd *w, int64_t panel) {
  return least(WIDTH, w->filters - panel * WIDTH);
}

/* u of a panel: [36][channels][its width] */
static void winograd_weights(const cr_winograd *w, const cr_winograd_weight *from, int64_t panel,
                             int64_t c0, int64_t c1, real *u) {
  int64_t wide = panel_width(w, panel), o0 = panel * WIDTH;
  u += POINTS * w->channels * o0;
  for (int64_t c = c0; c < c1; c++)
    for (int64_t o = 0; o < wide; o += LANES) {
      const real *at = from->weight + (o0 + o) * from->o_step + c * from->c_step;
      real g[9 * LANES] __attribute__((aligned(64)));
      vector d[18];
      for (int l = 0; l < LANES; l++)
        for (int k = 0; k < 9; k++)
          g[k*LANES + l] = at[l * from->o_step + (from->turned ? 8 - k : k)];
      for (int j = 0; j < 3; j++)
        weight_line(d + j, 3, load(g + j*LANES), load(g + (3 + j) * LANES),
                    load(g + (6 + j) * LANES));
      for (int i = 0; i < 6; i++) {
        vector e[6];
        weight_line(e, 1, d[3*i], d[3*i + 1], d[3*i + 2]);
        for (int j = 0; j < 6; j++)
          store(u + ((6*i + j) * w->channels + c) * wide + o, e[j]);
      }
    }
}

/* m[point][tile][filter of the panel] = v[point][tile][channel] u[point][channel][filter] */
static void point_products(const cr_winograd *w, int64_t tiles, const real *v, int64_t v_step,
                           const real *u, int64_t wide, real *m, int64_t m_step,
                           const real *next, int64_t places) {
  int64_t C = w->channels;
  for (int64_t point = 0; point < POINTS; point++) {
    fetch_ahead(next + point * places * C, places, C, C);
    for (int64_t t = 0; t < tiles; t += ROWS) {
      const real *a = v + point * v_step + t*C;
      operand rows = { { a, a + GROUP*C, a + 2*GROUP*C }, C, 1, 0 };
      rows_tile((int)(least(ROWS, tiles - t) / GROUP), (int)(wide / LANES), 1, C, &rows,
                u + point * C * wide, wide, m + point * m_step + t*wide, wide);
    }
  }
}

static void winograd_forward(const cr_winograd *w, int64_t first, int64_t end, int64_t o0,
                             int64_t o1, double *part) {
  real room[ROOM] __attribute__((aligned(64)));
  int64_t C = w->channels, most = CACHE / (POINTS * (C + WIDTH)) / ROWS * ROWS;
  if (most < ROWS) most = ROWS;
  int64_t turns = (end - first + most - 1) / most;
  if (turns < 1) return;
  int64_t at_once = (end - first + turns - 1) / turns;
  for (int64_t t0 = first; t0 < end; t0 += at_once) {
    int64_t n = least(at_once, end - t0), tiles = round_up(n, GROUP);
    int64_t v_step = tiles * C + PAD, m_step = tiles * WIDTH + PAD;
    real *v = room, *m = room + POINTS * v_step;
    for (int64_t t = 0; t < tiles; t++)          /* the last again to fill the group */
      input_tile(w, t0 + least(t, n - 1), 0, C, v + t*C, v_step);
    for (int64_t o = o0; o < o1; o += WIDTH) {
      int64_t wide = panel_width(w, o / WIDTH);
      point_products(w, tiles, v, v_step, w->u + POINTS * C * o, wide, m, m_step,
                     w->x + (t0 + n) * PLACES * C, o == o0 ? places_ahead(t0 + n, end, n) : 0);
      for (int64_t t = 0; t < n; t++)
        if (w->pool) pooled_tile(w, t0 + t, o, wide, m + t*wide, m_step);
        else output_tile(w, t0 + t, o, wide, m + t*wide, m_step, part);
    }
  }
  drain(w->stream);
}

static void winograd_products(const cr_winograd *w, int64_t first, int64_t end, int64_t c0,
                              int64_t c1, int64_t o0, int64_t o1, real *du) {
  enum { STEP = PRODUCT_TILES * SLAB + PAD };
  real v[POINTS * STEP] __attribute__((aligned(64))), m[POINTS * STEP] __attribute__((aligned(64)));
  int64_t C = c1 - c0, O = o1 - o0;
  for (int64_t t0 = first; t0 < end; t0 += PRODUCT_TILES) {
    int64_t n = least(PRODUCT_TILES, end - t0), places = places_ahead(t0 + n, end, n);
    for (int64_t t = 0; t < n; t++) {
      input_tile(w, t0 + t, c0, c1, v + t*C, STEP);
      gradient_tile(w, t0 + t, o0, o1, m + t*O, STEP);
    }
    for (int64_t point = 0; point < POINTS; point++) {
      int64_t next = (t0 + n) * PLACES + point * places;
      fetch_ahead(w->x + next * w->channels + c0, places, C, w->channels);
      fetch_ahead(w->gy + next * w->filters + o0, places, O, w->filters);
      for (int64_t o = 0; o < O; o += WIDTH)
        for (int64_t c = 0; c < C; c += ROWS) {
          const real *a = v + point * STEP + c;
          operand rows = { { a, a + GROUP, a + 2*GROUP }, 1, C, 0 };
          turned_tile((int)(least(ROWS, C - c) / GROUP), (int)(least(WIDTH, O - o) / LANES), 1, n,
                      &rows, m + point * STEP + o, O, du + (point * C + c) * O + o, O);
        }
    }
  }
}

static void winograd_fold(const cr_winograd *w, int64_t runs, int64_t run_size, const real *du,
                          int64_t channel, real *gw) {
  int64_t c0 = channel / SLAB * SLAB, C = least(SLAB, w->channels - c0);
  for (int64_t o = 0; o < w->filters; o += LANES) {
    int64_t o0 = o / SLAB * SLAB, O = least(SLAB, w->filters - o0);
    const real *at = du + POINTS * (c0 * w->filters + C * o0) + (channel - c0) * O + o - o0;
    vector d[POINTS], e[18], f[9];
    for (int point = 0; point < POINTS; point++) {
      d[point] = load(at + point * C * O);
      for (int64_t r = 1; r < runs; r++) d[point] += load(at + r*run_size + point * C * O);
    }
    for (int j = 0; j < 6; j++)
      fold_line(e + j, 6, d[j], d[6 + j], d[12 + j], d[18 + j], d[24 + j], d[30 + j]);
    for (int i = 0; i < 3; i++) {
      const vector *t = e + 6*i;
      fold_line(f + 3*i, 1, t[0], t[1], t[2], t[3], t[4], t[5]);
    }
    for (int l = 0; l < LANES; l++)
      for (int k = 0; k < 9; k++) gw[((o + l) * w->channels + channel) * 9 + k] = f[k][l];
  }
}

#endif
