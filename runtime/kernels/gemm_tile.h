/* gemm_tile.h - the product for one instruction set; gemm_plain.c, gemm_avx2.c and gemm_avx512.c
 * include it
 *
 * The includer defines GEMM_ENTRY (the name of the function), GEMM_LANES (bytes of a vector),
 * GEMM_ROWS and GEMM_COLUMNS (the tile that lives in registers: rows, a multiple of 4, by columns
 * in vectors) and may set the target before.
 *
 * Blocks of B, CHUNK x WIDTH, are packed into panels as wide as the tile and stay in the
 * second-level cache. Against each, A passes by in packed panels as high as the tile, which stay in
 * the first. The tile is one chain of fused multiply-adds for each of its elements; at the edges it
 * runs on panels padded with zeros, into a scrap tile. */
#include <stdbool.h>
#include <stdint.h>
#include "base/real.h"
#include "kernels/gemm.h"
#include "kernels/gemm_entry.h"

enum {
  CHUNK = CR_GEMM_CHUNK,
  LANES = GEMM_LANES / sizeof(real),
  ROWS = GEMM_ROWS,
  COLUMNS = GEMM_COLUMNS * LANES,
  WIDTH = 384 / COLUMNS * COLUMNS,
  FEW = 4,
  KEPT = 1 << 16                /* numbers of A kept packed while the blocks of B pass by */
};

typedef real vector __attribute__((vector_size(GEMM_LANES)));
typedef real loose_vector __attribute__((vector_size(GEMM_LANES), aligned(sizeof(real)),
                                         may_alias));
typedef real four __attribute__((vector_size(4 * sizeof(real))));
typedef real loose_four __attribute__((vector_size(4 * sizeof(real)), aligned(sizeof(real)),
                                       may_alias));
#ifdef CR_DOUBLE
typedef int64_t four_index __attribute__((vector_size(32)));
#else
typedef int32_t four_index __attribute__((vector_size(16)));
#endif

static inline void put(real *c, vector value, bool add) {
  loose_vector *to = (loose_vector *)c;
  if (add) value += *to;
  *to = value;
}

/* C (rows x columns vectors) = or += one chunk. ldb 0: b is a packed panel, as wide as the tile. The
 * accumulators are named one by one: as an array gcc 12 spills them, and the tile falls to a third
 * of its speed. `rows` and `columns` are constants where this is inlined. */
static inline __attribute__((always_inline)) void
tile(const int rows, const int columns, int64_t k, const real *restrict a, const real *restrict b,
     int64_t ldb, real *restrict c, int64_t ldc, bool add) {
#define EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)
#define ZERO(i) vector x##i = { 0 }, y##i = { 0 }, z##i = { 0 };
#define STEP(i) if (rows > i) {                             \
    x##i += a[i] * b0;                                      \
    if (columns > 1) y##i += a[i] * b1;                     \
    if (columns > 2) z##i += a[i] * b2;                     \
  }
#define STORE(i) if (rows > i) {                            \
    put(c + i * ldc, x##i, add);                            \
    if (columns > 1) put(c + i * ldc + LANES, y##i, add);   \
    if (columns > 2) put(c + i * ldc + 2 * LANES, z##i, add); \
  }
#define WALK(TYPE, NEXT)                                    \
  for (int64_t p = 0; p < k; p++) {                         \
    const TYPE *row = (const TYPE *)b;                      \
    vector b0 = row[0], b1 = b0, b2 = b0;                   \
    if (columns > 1) b1 = row[1];                           \
    if (columns > 2) b2 = row[2];                           \
    EACH_ROW(STEP)                                          \
    a += rows, b += NEXT;                                   \
  }
  EACH_ROW(ZERO)
  if (ldb == 0) { WALK(vector, columns * LANES) }
  else          { WALK(loose_vector, ldb) }
  EACH_ROW(STORE)
#undef EACH_ROW
#undef ZERO
#undef STEP
#undef WALK
#undef STORE
}

static void tile_of(int rows, int columns, int64_t k, const real *a, const real *b, int64_t ldb,
                    real *c, int64_t ldc, bool add) {
  switch (rows / 4 * 4 + columns) {
    case 5: tile(4, 1, k, a, b, ldb, c, ldc, add); return;
    case 6: tile(4, 2, k, a, b, ldb, c, ldc, add); return;
    case 9: tile(8, 1, k, a, b, ldb, c, ldc, add); return;
    case 10: tile(8, 2, k, a, b, ldb, c, ldc, add); return;
#if GEMM_ROWS > 8
    case 13: tile(12, 1, k, a, b, ldb, c, ldc, add); return;
    case 14: tile(12, 2, k, a, b, ldb, c, ldc, add); return;
#endif
#if GEMM_COLUMNS > 2
    case 7: tile(4, 3, k, a, b, ldb, c, ldc, add); return;
    case 11: tile(8, 3, k, a, b, ldb, c, ldc, add); return;
#endif
  }
}

static const real nothing[CHUNK];

/* to[p*width + i] = from[i*i_step + p*p_step] for p < k, i < n, and 0 for n <= i < width. One of
 * the steps is 1; width is a multiple of 4, k at most CHUNK. */
static void pack(real *restrict to, int64_t width, int64_t n, int64_t k,
                 const real *restrict from, int64_t i_step, int64_t p_step) {
  if (i_step == 1) {
    for (int64_t p = 0; p < k; p++) {
      int64_t i = 0;
      for (; i + LANES <= n; i += LANES)
        *(loose_vector *)(to + p*width + i) = *(const loose_vector *)(from + p*p_step + i);
      for (; i + 4 <= n; i += 4)
        *(loose_four *)(to + p*width + i) = *(const loose_four *)(from + p*p_step + i);
      for (; i < n; i++) to[p*width + i] = from[p*p_step + i];
      for (; i < width; i++) to[p*width + i] = 0;
    }
    return;
  }
  for (int64_t i = 0; i < width; i += 4) {      /* 4 x 4 at a time, turned in registers */
    const real *r0 = i < n ? from + i*i_step : nothing;
    const real *r1 = i + 1 < n ? from + (i + 1) * i_step : nothing;
    const real *r2 = i + 2 < n ? from + (i + 2) * i_step : nothing;
    const real *r3 = i + 3 < n ? from + (i + 3) * i_step : nothing;
    real *t = to + i;
    int64_t p = 0;
    for (; p + 4 <= k; p += 4, t += 4*width) {
      four a = *(const loose_four *)(r0 + p), b = *(const loose_four *)(r1 + p);
      four c = *(const loose_four *)(r2 + p), d = *(const loose_four *)(r3 + p);
      four ac0 = __builtin_shuffle(a, c, (four_index){ 0, 4, 1, 5 });
      four ac1 = __builtin_shuffle(a, c, (four_index){ 2, 6, 3, 7 });
      four bd0 = __builtin_shuffle(b, d, (four_index){ 0, 4, 1, 5 });
      four bd1 = __builtin_shuffle(b, d, (four_index){ 2, 6, 3, 7 });
      *(loose_four *)t = __builtin_shuffle(ac0, bd0, (four_index){ 0, 4, 1, 5 });
      *(loose_four *)(t + width) = __builtin_shuffle(ac0, bd0, (four_index){ 2, 6, 3, 7 });
      *(loose_four *)(t + 2*width) = __builtin_shuffle(ac1, bd1, (four_index){ 0, 4, 1, 5 });
      *(loose_four *)(t + 3*width) = __builtin_shuffle(ac1, bd1, (four_index){ 2, 6, 3, 7 });
    }
    for (; p < k; p++, t += width) t[0] = r0[p], t[1] = r1[p], t[2] = r2[p], t[3] = r3[p];
  }
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/* One packed panel of A against all packed panels of B; or, where ldb is not 0, against B as it
 * lies. */
static void row_of_tiles(int64_t m, int64_t n, int64_t k, int64_t rows,
                         const real *packed_a, const real *all_b, int64_t ldb,
                         real *c, int64_t ldc, bool add) {
  for (int64_t j = 0; j < n; j += COLUMNS) {
    int64_t wide = least(COLUMNS, n - j), columns = round_up(wide, LANES);
    const real *b = all_b + (ldb > 0 ? j : j*k);
    if (m == rows && wide == columns) {
      tile_of((int)rows, (int)(columns / LANES), k, packed_a, b, ldb, c + j, ldc, add);
      continue;
    }
    real scrap[ROWS * COLUMNS] __attribute__((aligned(64)));
    tile_of((int)rows, (int)(columns / LANES), k, packed_a, b, ldb, scrap, COLUMNS, false);
    for (int64_t i = 0; i < m; i++) {
      real *to = c + i*ldc + j;
      const real *of = scrap + i*COLUMNS;
      if (add) for (int64_t l = 0; l < wide; l++) to[l] += of[l];
      else     for (int64_t l = 0; l < wide; l++) to[l] = of[l];
    }
  }
}

void GEMM_ENTRY(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const real *a, int64_t lda,
                const real *b, int64_t ldb, bool accumulate, real *c, int64_t ldc) {
  /* 256 KiB and 384 KiB in float: the stack is the one memory a thread has without asking */
  real packed_a[KEPT] __attribute__((aligned(64)));
  real packed_b[WIDTH * CHUNK] __attribute__((aligned(64)));
  int64_t a_i = ta ? 1 : lda, a_p = ta ? lda : 1, b_j = tb ? ldb : 1, b_p = tb ? 1 : ldb;
  /* a few rows do not repay packing B, when it lies in whole vectors */
  bool bare = !tb && m <= FEW * ROWS && n % LANES == 0;
  bool keep = k <= CHUNK && round_up(m, ROWS) * k <= KEPT;
  for (int64_t j = 0; j < n; j += WIDTH) {
    int64_t wide = least(WIDTH, n - j);
    for (int64_t p = 0; p < k; p += CHUNK) {
      int64_t deep = least(CHUNK, k - p);
      for (int64_t l = 0; !bare && l < wide; l += COLUMNS) {
        int64_t have = least(COLUMNS, wide - l);
        pack(packed_b + l*deep, round_up(have, LANES), have, deep,
             b + (j + l)*b_j + p*b_p, b_j, b_p);
      }
      for (int64_t i = 0; i < m; i += ROWS) {
        int64_t high = least(ROWS, m - i), rows = round_up(high, 4);
        real *panel = keep ? packed_a + i*k : packed_a;
        if (!keep || j == 0) pack(panel, rows, high, deep, a + i*a_i + p*a_p, a_i, a_p);
        row_of_tiles(high, wide, deep, rows, panel, bare ? b + j + p*ldb : packed_b,
                     bare ? ldb : 0, c + i*ldc + j, ldc, accumulate || p > 0);
      }
    }
  }
}
