/* gemm_tile.h - the product for one instruction set; gemm_plain.c, gemm_avx2.c and gemm_avx512.c
 * include it
 *
 * The includer defines GEMM_ENTRY (the name of the function), GEMM_LANES (bytes of a vector),
 * GEMM_ROWS and GEMM_COLUMNS (the tile that lives in registers: rows, a multiple of 4, by columns
 * in vectors) and may set the target before.
 *
 * A block of B, CHUNK x WIDTH, is packed into panels as wide as the tile and stays in the
 * second-level cache. Against it A passes by, as it lies, in panels as high as the tile; what the
 * next tiles will read is asked for meanwhile: operands come from the last cache or from memory,
 * and waiting for them cost a fifth to a third of the time. The tile is one chain of fused
 * multiply-adds for each of its elements; at the edges it runs on panels padded with zeros, into a
 * scrap tile. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/real.h"
#include "kernels/gemm.h"
#include "kernels/gemm_entry.h"

enum {
  CHUNK = CR_GEMM_CHUNK,
  LANES = GEMM_LANES / sizeof(real),
  ROWS = GEMM_ROWS,
  COLUMNS = GEMM_COLUMNS * LANES,
  WIDTH = 192,
  FEW = 8,                      /* panels of rows that do not repay packing B */
  LINE = 64 / sizeof(real)      /* numbers that memory hands over at once */
};

typedef real vector __attribute__((vector_size(GEMM_LANES)));
typedef real loose_vector __attribute__((vector_size(GEMM_LANES), aligned(sizeof(real)),
                                         may_alias));
typedef real loose_four __attribute__((vector_size(4 * sizeof(real)), aligned(sizeof(real)),
                                       may_alias));
typedef real eight __attribute__((vector_size(8 * sizeof(real))));
typedef real loose_eight __attribute__((vector_size(8 * sizeof(real)), aligned(sizeof(real)),
                                        may_alias));

/* c = value, or from + value */
static inline void put(real *c, vector value, const real *from) {
  if (from) value += *(const loose_vector *)from;
  *(loose_vector *)c = value;
}

/* Numbers wanted soon: those of (l, p) at `at + l*across + p*along` for l < LINE, p < CHUNK. */
typedef struct { const real *at; int64_t across, along; } ahead;

/* C (rows x columns vectors) = one chunk, or from + one chunk. Number (i, p) of A is
 * a[i*a_i + p*a_p]. The accumulators are named one by one: as an array gcc 12 spills them, and the
 * tile falls to a third of its speed. `rows` and `columns` are constants where this is inlined. */
static inline __attribute__((always_inline)) void
tile(const int rows, const int columns, int64_t k, const real *restrict a, int64_t a_i, int64_t a_p,
     const real *restrict b, int64_t b_p, const real *from, int64_t from_i, real *c, int64_t ldc,
     ahead next) {
#define EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)
#define START(i) vector x##i = { 0 }, y##i = { 0 }, z##i = { 0 };                       \
  if (rows > i) {                                                                       \
    for (int l = 0; l < columns; l++) __builtin_prefetch(c + i*ldc + l*LANES, 1);       \
    __builtin_prefetch(c + i*ldc + columns*LANES - 1, 1);                               \
  }
#define STEP(i) if (rows > i) {                                                         \
    real r = (i < 3 ? a0 : i < 6 ? a3 : a6)[i % 3 * a_i];                               \
    x##i += r * b0;                                                                     \
    if (columns > 1) y##i += r * b1;                                                    \
    if (columns > 2) z##i += r * b2;                                                    \
  }
#define STORE(i) if (rows > i) {                                                        \
    const real *f = from ? from + i*from_i : NULL;                                      \
    put(c + i*ldc, x##i, f);                                                            \
    if (columns > 1) put(c + i*ldc + LANES, y##i, f ? f + LANES : f);                   \
    if (columns > 2) put(c + i*ldc + 2*LANES, z##i, f ? f + 2*LANES : f);               \
  }
  const real *a0 = a, *a3 = a + 3*a_i, *a6 = a + 6*a_i;
  EACH_ROW(START)
  for (int64_t p = 0; p < k; p++) {
    const loose_vector *row = (const loose_vector *)b;
    vector b0 = row[0], b1 = b0, b2 = b0;
    if (columns > 1) b1 = row[1];
    if (columns > 2) b2 = row[2];
    __builtin_prefetch(next.at + p % LINE * next.across, 0, 2);
    EACH_ROW(STEP)
    a0 += a_p, a3 += a_p, a6 += a_p, b += b_p, next.at += next.along;
  }
  EACH_ROW(STORE)
#undef EACH_ROW
#undef START
#undef STEP
#undef STORE
}

static void tile_of(int64_t rows, int64_t columns, int64_t k, const real *a, int64_t a_i,
                    int64_t a_p, const real *b, int64_t b_p, const real *from, int64_t from_i,
                    real *c, int64_t ldc, ahead next) {
#define TILE(ROWS_, COLUMNS_) case ROWS_ + COLUMNS_: \
    tile(ROWS_, COLUMNS_, k, a, a_i, a_p, b, b_p, from, from_i, c, ldc, next); return;
  switch (rows + columns / LANES) {
    TILE(4, 1) TILE(4, 2)
#if GEMM_COLUMNS > 2
    TILE(4, 3)
#endif
#if GEMM_ROWS > 4
    TILE(8, 1) TILE(8, 2) TILE(8, 3)
#endif
  }
#undef TILE
}

#define BOTH(low, high) __builtin_shufflevector(*(const loose_four *)(low), \
    *(const loose_four *)(high), 0, 1, 2, 3, 4, 5, 6, 7)
#define LOWER(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define UPPER(a, b) __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15)

/* to[p*width + i] = from[i*i_step + p*p_step] for p < k, i < n, and 0 for n <= i < width. One of
 * the steps is 1; width is a multiple of 4, k at most CHUNK. */
static void pack(real *restrict to, int64_t width, int64_t n, int64_t k,
                 const real *restrict from, int64_t i_step, int64_t p_step) {
  static const real nothing[CHUNK];
  int64_t i = 0;
  for (; p_step == 1 && i + 8 <= width; i += 8) {    /* 8 rows of 4 at once, turned in registers */
    const real *r[8];
    for (int l = 0; l < 8; l++) r[l] = i + l < n ? from + (i + l)*i_step : nothing;
    real *t = to + i;
    int64_t p = 0;
    for (; p + 4 <= k; p += 4, t += 4*width) {
      eight a = BOTH(r[0] + p, r[4] + p), b = BOTH(r[1] + p, r[5] + p);
      eight c = BOTH(r[2] + p, r[6] + p), d = BOTH(r[3] + p, r[7] + p);
      eight ac0 = LOWER(a, c), ac1 = UPPER(a, c), bd0 = LOWER(b, d), bd1 = UPPER(b, d);
      *(loose_eight *)t = LOWER(ac0, bd0);
      *(loose_eight *)(t + width) = UPPER(ac0, bd0);
      *(loose_eight *)(t + 2*width) = LOWER(ac1, bd1);
      *(loose_eight *)(t + 3*width) = UPPER(ac1, bd1);
    }
    for (; p < k; p++, t += width)
      for (int l = 0; l < 8; l++) t[l] = r[l][p];
  }
  for (int64_t p = 0; p < k; p++)
    for (int64_t l = i; l < width; l++)
      to[p*width + l] = l < n ? from[l*i_step + p*p_step] : 0;
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/* What to take first of n, at most `most` at a time: as few pieces as will do, none much smaller
 * than another, in whole vectors. */
static int64_t piece(int64_t n, int64_t most) {
  if (n <= most) return round_up(n, LANES);
  int64_t pieces = (n + most - 1) / most;
  return round_up((n + pieces - 1) / pieces, LANES);
}

/* A block of B, panel behind panel. */
static void pack_block(real *restrict to, int64_t n, int64_t k, const real *restrict from,
                       int64_t j_step, int64_t p_step) {
  int64_t done = 0, width;
  if (j_step == 1 && n % LANES == 0) {      /* row by row: a row is in one page */
    for (int64_t p = 0; p < k; p++)
      for (done = 0; done < n; done += width) {
        width = piece(n - done, COLUMNS);
        for (int64_t l = 0; l < width; l += LANES)
          *(vector *)(to + done*k + p*width + l) =
            *(const loose_vector *)(from + p*p_step + done + l);
      }
    return;
  }
  for (; done < n; done += width) {
    width = piece(n - done, COLUMNS);
    pack(to + done*k, width, least(width, n - done), k, from + done*j_step, j_step, p_step);
  }
}

/* A panel of A against a block of B, packed (b_p 0) or as it lies. Where `next_a` is given, the
 * first tile asks for it; the others ask for what comes after in B. */
static void row_of_tiles(int64_t m, int64_t n, int64_t k, const real *a, int64_t a_i, int64_t a_p,
                         const real *b, int64_t b_p, const real *from, int64_t from_i,
                         real *c, int64_t ldc, const ahead *next_a, ahead *next_b) {
  int64_t rows = round_up(m, 4), columns;
  for (int64_t j = 0; j < n; j += columns) {
    columns = piece(n - j, COLUMNS);
    int64_t wide = least(columns, n - j), step = b_p > 0 ? b_p : columns;
    const real *panel = b + (b_p > 0 ? j : j*k), *f = from ? from + j : NULL;
    ahead next = j == 0 && next_a ? *next_a : *next_b;
    if (j > 0 || !next_a) next_b->at += LINE * next_b->across;
    if (m == rows && wide == columns) {
      tile_of(rows, columns, k, a, a_i, a_p, panel, step, f, from_i, c + j, ldc, next);
      continue;
    }
    real scrap[ROWS * COLUMNS] __attribute__((aligned(64)));
    tile_of(rows, columns, k, a, a_i, a_p, panel, step, NULL, 0, scrap, COLUMNS, next);
    for (int64_t i = 0; i < m; i++) {
      real *to = c + i*ldc + j;
      const real *of = scrap + i*COLUMNS;
      if (f) for (int64_t l = 0; l < wide; l++) to[l] = f[i*from_i + l] + of[l];
      else   for (int64_t l = 0; l < wide; l++) to[l] = of[l];
    }
  }
}

void GEMM_ENTRY(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const real *a, int64_t lda,
                const real *b, int64_t ldb, const real *from, int64_t from_i,
                real *c, int64_t ldc) {
  /* 8 KiB and 192 KiB in float: the stack is the one memory a thread has without asking */
  real packed_a[ROWS * CHUNK] __attribute__((aligned(64)));
  real packed_b[WIDTH * CHUNK] __attribute__((aligned(64)));
  int64_t a_i = ta ? 1 : lda, a_p = ta ? lda : 1, b_j = tb ? ldb : 1, b_p = tb ? 1 : ldb;
  /* a few rows do not repay packing B, when it lies in whole vectors */
  bool bare = !tb && m <= FEW * ROWS && n % LANES == 0;
  const ahead nothing_ahead = { packed_a, 0, 0 };
  for (int64_t p = 0; p < k; p += CHUNK) {
    int64_t deep = least(CHUNK, k - p);
    if (p > 0) from = c, from_i = ldc;
    for (int64_t j = 0, wide; j < n; j += wide) {
      wide = least(piece(n - j, WIDTH), n - j);
      if (!bare) pack_block(packed_b, wide, deep, b + j*b_j + p*b_p, b_j, b_p);
      /* the block of B after this one */
      int64_t j_next = j + wide < n ? j + wide : 0, p_next = j_next ? p : p + deep;
      ahead next_b = { b + j_next*b_j + p_next*b_p, b_j, b_p };
      const real *end_b = next_b.at + (p_next < k ? least(WIDTH, n - j_next) : 0) * b_j;
      for (int64_t i = 0; i < m; i += ROWS) {
        int64_t high = least(ROWS, m - i), panel_i = a_i, panel_p = a_p;
        const real *panel = a + i*a_i + p*a_p;
        ahead next_a = { i + ROWS < m ? panel + ROWS*a_i : a + p_next*a_p, a_i, a_p };
        if (high % 4) {
          panel_i = 1, panel_p = round_up(high, 4);
          pack(packed_a, panel_p, high, deep, panel, a_i, a_p);
          panel = packed_a;
        }
        if (next_b.at >= end_b) next_b = nothing_ahead, end_b = packed_a + 1;
        row_of_tiles(high, wide, deep, panel, panel_i, panel_p, bare ? b + j + p*ldb : packed_b,
                     bare ? ldb : 0, from ? from + i*from_i + j : NULL, from_i, c + i*ldc + j, ldc,
                     i / ROWS % (LINE / ROWS) == 0 ? &next_a : NULL, &next_b);
      }
    }
  }
}
