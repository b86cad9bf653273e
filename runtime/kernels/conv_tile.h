/* conv_tile.h - the products inside convolutions, for one instruction set
 *
 * conv_plain.c, conv_avx2.c and conv_avx512.c include it, and what stands on it, after defining
 * CONV_LANES (bytes of a vector), CONV_ROWS (6 or 12, rows of the tile that lives in registers, by
 * two vectors) and CONV_KERNELS (the name of the table of functions). */
#ifndef CR_KERNELS_CONV_TILE_H
#define CR_KERNELS_CONV_TILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif
#include "base/real.h"
#include "kernels/conv_entry.h"

enum {
  LANES = CONV_LANES / sizeof(real),
  WIDTH = 2 * LANES,                    /* of a panel of filters */
  ROWS = CONV_ROWS,
  GROUP = ROWS / 3
};

typedef real vector __attribute__((vector_size(CONV_LANES)));
typedef real loose_vector __attribute__((vector_size(CONV_LANES), aligned(sizeof(real)),
                                         may_alias));

static inline vector load(const real *from) { return *(const loose_vector *)from; }
static inline void store(real *to, vector value) { *(loose_vector *)to = value; }

/* Past the caches when `stream`; drain() must follow before another thread reads. */
static inline void put(real *to, vector value, bool stream) {
#if !defined(__x86_64__)
  (void)stream;
#elif CONV_LANES == 64
  if (stream) { _mm512_stream_si512((void *)to, (__m512i)value); return; }
#elif CONV_LANES == 32
  if (stream) { _mm256_stream_si256((void *)to, (__m256i)value); return; }
#else
  if (stream) { _mm_stream_si128((void *)to, (__m128i)value); return; }
#endif
  store(to, value);
}

static inline void drain(bool stream) {
#if defined(__x86_64__)
  if (stream) _mm_sfence();
#else
  (void)stream;
#endif
}

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/* Brings n numbers at each of `places`, step apart, into the second-level cache while something
 * else is computed: what is read in bursts, between products, is far away each time (a third of the
 * time of a weights' gradient of 16 channels). */
static inline void fetch_ahead(const real *from, int64_t places, int64_t n, int64_t step) {
  for (int64_t p = 0; p < places; p++)
    for (int64_t i = 0; i < n; i += 64 / (int64_t)sizeof(real))
      __builtin_prefetch(from + p*step + i, 0, 2);
}

static inline void add_to(double *sum, vector value) {
  for (int l = 0; l < LANES; l++) sum[l] += (double)value[l];
}

/* Where the rows of A are: three groups of GROUP rows each, i_step apart within a group */
typedef struct { const real *group[3]; int64_t i_step, p_step, s_step; } operand;

/* c[i] (rows x columns vectors, ldc apart) = or += sum over s < segments, p < length of
 *   group[i / GROUP][i % GROUP * i_step + s * s_step + p * p_step] * b[(s * length + p) * b_step]
 *
 * `rows`, `columns` and `turned` are constants where this is inlined; turned: i_step is 1, else
 * p_step is 1. The accumulators are named one by one: as an array gcc 12 keeps them in memory, and
 * the tile falls to a third of its speed. */
static inline __attribute__((always_inline)) void
tile(const int rows, const int columns, const bool turned, int64_t segments, int64_t length,
     const operand *a, const real *restrict b, int64_t b_step, real *restrict c, int64_t ldc,
     bool add) {
#if CONV_ROWS == 12
#define EACH_ROW(DO) DO(0, p0, 0) DO(1, p0, 1) DO(2, p0, 2) DO(3, p0, 3) DO(4, p1, 0) \
  DO(5, p1, 1) DO(6, p1, 2) DO(7, p1, 3) DO(8, p2, 0) DO(9, p2, 1) DO(10, p2, 2) DO(11, p2, 3)
#else
#define EACH_ROW(DO) DO(0, p0, 0) DO(1, p0, 1) DO(2, p1, 0) DO(3, p1, 1) DO(4, p2, 0) DO(5, p2, 1)
#endif
#define ZERO(i, p, k) vector x##i = { 0 }, y##i = { 0 };
#define STEP(i, p, k) if (rows > i) {                       \
    real factor = p[k * i_step];                            \
    x##i += factor * b0;                                    \
    if (columns > 1) y##i += factor * b1;                   \
  }
#define STORE(i, p, k) if (rows > i) {                      \
    real *to = c + i * ldc;                                 \
    store(to, add ? load(to) + x##i : x##i);                \
    if (columns > 1) store(to + LANES, add ? load(to + LANES) + y##i : y##i); \
  }
  EACH_ROW(ZERO)
  const int64_t i_step = turned ? 1 : a->i_step, p_step = turned ? a->p_step : 1;
  for (int64_t s = 0; s < segments; s++) {
    const real *restrict p0 = a->group[0] + s * a->s_step;
    const real *restrict p1 = rows > GROUP ? a->group[1] + s * a->s_step : p0;
    const real *restrict p2 = rows > 2 * GROUP ? a->group[2] + s * a->s_step : p0;
#pragma GCC unroll 2
    for (int64_t p = 0; p < length; p++) {
      vector b0 = load(b), b1 = b0;
      if (columns > 1) b1 = load(b + LANES);
      EACH_ROW(STEP)
      p0 += p_step, p1 += p_step, p2 += p_step, b += b_step;
    }
  }
  EACH_ROW(STORE)
#undef EACH_ROW
#undef ZERO
#undef STEP
#undef STORE
}

/* The tile of `groups` groups by `columns` vectors */
static inline __attribute__((always_inline)) void
any_tile(const bool turned, int groups, int columns, int64_t segments, int64_t length,
         const operand *a, const real *b, int64_t b_step, real *c, int64_t ldc, bool add) {
  switch (2 * groups + columns) {
    case 3: tile(GROUP, 1, turned, segments, length, a, b, b_step, c, ldc, add); return;
    case 4: tile(GROUP, 2, turned, segments, length, a, b, b_step, c, ldc, add); return;
    case 5: tile(2 * GROUP, 1, turned, segments, length, a, b, b_step, c, ldc, add); return;
    case 6: tile(2 * GROUP, 2, turned, segments, length, a, b, b_step, c, ldc, add); return;
    case 7: tile(3 * GROUP, 1, turned, segments, length, a, b, b_step, c, ldc, add); return;
    case 8: tile(3 * GROUP, 2, turned, segments, length, a, b, b_step, c, ldc, add); return;
  }
}

/* A as it lies, rows i_step apart */
static __attribute__((noinline)) void
rows_tile(int groups, int columns, int64_t segments, int64_t length, const operand *a,
          const real *b, int64_t b_step, real *c, int64_t ldc) {
  any_tile(false, groups, columns, segments, length, a, b, b_step, c, ldc, false);
}

/* A turned: each row of its memory is one column, GROUP of which lie side by side; added to c */
static __attribute__((noinline)) void
turned_tile(int groups, int columns, int64_t segments, int64_t length, const operand *a,
            const real *b, int64_t b_step, real *c, int64_t ldc) {
  any_tile(true, groups, columns, segments, length, a, b, b_step, c, ldc, true);
}

#endif
