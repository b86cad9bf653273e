/* cross_covariance.c - see cross_covariance.h */
#include "kernels/cross_covariance.h"

#include <math.h>
#include <tgmath.h>

#include "base/memory.h"
#include "base/pool.h"
#include "kernels/gemm.h"

enum { TILE_NUMBERS = 1 << 17, LEAST_ROWS = 32, COLUMNS = 16 };

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

static int64_t tile_rows(int64_t n) {
  int64_t rows = n > 0 ? TILE_NUMBERS / n : 0;
  return smaller(rows < LEAST_ROWS ? LEAST_ROWS : rows, n);
}

bool cr_cross_bytes(int64_t rows, int64_t width, size_t *bytes) {
  int64_t n = smaller(rows, width);
  size_t numbers = 0;
  return cr_size_mul((size_t)(2 * tile_rows(n)), (size_t)n, &numbers)
      && cr_size_mul(numbers, sizeof(real), bytes);
}

/* ---- columns --------------------------------------------------------------------------------- */

typedef struct centring {
  int64_t rows, width;
  const real *x;
  real *z;
  double *variance;
} centring;

static void centre_columns(void *context, int64_t block, int worker) {
  const centring *c = context;
  int64_t first = block * COLUMNS, n = smaller(c->width - first, COLUMNS);
  double sum[COLUMNS] = { 0 }, square[COLUMNS] = { 0 };
  (void)worker;
  for (int64_t i = 0; i < c->rows; i++)
    for (int64_t d = 0; d < n; d++) sum[d] += (double)c->x[i * c->width + first + d];
  for (int64_t d = 0; d < n; d++) sum[d] /= (double)c->rows;
  for (int64_t i = 0; i < c->rows; i++)
    for (int64_t d = 0; d < n; d++) {
      int64_t at = i * c->width + first + d;
      double z = (double)c->x[at] - sum[d];
      c->z[at] = (real)z;
      square[d] += z * z;
    }
  for (int64_t d = 0; d < n; d++) {
    double least = 4 * (double)CR_REAL_EPSILON * fabs(sum[d]);
    bool constant = square[d] <= (double)c->rows * least * least;
    c->variance[first + d] = constant ? 0 : square[d] / (double)c->rows;
    if (!constant) continue;
    for (int64_t i = 0; i < c->rows; i++) c->z[i * c->width + first + d] = 0;
  }
}

void cr_columns_centre(int64_t rows, int64_t width, const real *x, real *z, double *variance) {
  centring c = { rows, width, x, z, variance };
  if (rows > 0) cr_pool_run((width + COLUMNS - 1) / COLUMNS, centre_columns, &c);
}

/* ---- C --------------------------------------------------------------------------------------- */

CR_VECTOR static double dot(int64_t n, const real *restrict a, const real *restrict b) {
  double sum[8] = { 0 };
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (int l = 0; l < 8; l++) sum[l] += (double)a[i + l] * (double)b[i + l];
  for (; i < n; i++) sum[i & 7] += (double)a[i] * (double)b[i];
  return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}

CR_VECTOR static void multiply(int64_t n, real by, real *x) {
  for (int64_t i = 0; i < n; i++) x[i] *= by;
}

static void find_diagonal(const cr_cross *c) {
  int64_t D = c->width;
  for (int64_t d = 0; d < D; d++) c->diagonal[d] = 0;
  for (int64_t i = 0; i < c->rows; i++)
    for (int64_t d = 0; d < D; d++)
      c->diagonal[d] += (double)c->a[i*D + d] * (double)c->b[i*D + d];
  for (int64_t d = 0; d < D; d++) c->diagonal[d] *= c->scale;
}

/* B >= D: tiles of rows of C */
static double by_columns(const cr_cross *c, real *tile) {
  int64_t B = c->rows, D = c->width, T = tile_rows(D);
  double sum = 0;
  for (int64_t first = 0; first < D; first += T) {
    int64_t n = smaller(T, D - first);
    cr_gemm(true, false, n, D, B, c->a + first, D, c->b, D, false, tile, D);
    multiply(n * D, (real)c->scale, tile);
    for (int64_t i = 0; i < n; i++) {
      tile[i*D + first + i] = 0;
      sum += dot(D, tile + i*D, tile + i*D);
    }
    multiply(n * D, (real)c->scale, tile);
    if (c->ga != NULL)
      cr_gemm(false, true, B, n, D, c->b, D, tile, D, false, c->ga + first, D);
    if (c->gb != NULL)
      cr_gemm(false, false, B, D, n, c->a + first, D, tile, D, first > 0, c->gb, D);
  }
  return sum;
}

/* to -= scale from diag(C) */
static void without_diagonal(const cr_cross *c, const real *from, real *to) {
  for (int64_t i = 0; i < c->rows; i++)
    for (int64_t d = 0; d < c->width; d++) {
      int64_t at = i * c->width + d;
      to[at] = (real)((double)to[at] - c->scale * c->diagonal[d] * (double)from[at]);
    }
}

/* B < D: tiles of rows of a a^T and b b^T */
static double by_rows(const cr_cross *c, real *tile) {
  int64_t B = c->rows, D = c->width, T = tile_rows(B);
  real *of_a = tile, *of_b = c->a == c->b ? tile : tile + T * B;
  double sum = 0;
  for (int64_t first = 0; first < B; first += T) {
    int64_t n = smaller(T, B - first);
    cr_gemm(false, true, n, B, D, c->a + first*D, D, c->a, D, false, of_a, B);
    multiply(n * B, (real)c->scale, of_a);
    if (of_b != of_a) {
      cr_gemm(false, true, n, B, D, c->b + first*D, D, c->b, D, false, of_b, B);
      multiply(n * B, (real)c->scale, of_b);
    }
    for (int64_t i = 0; i < n; i++) sum += dot(B, of_a + i*B, of_b + i*B);
    if (c->ga != NULL) {
      cr_gemm(false, false, n, D, B, of_b, B, c->a, D, false, c->ga + first*D, D);
      multiply(n * D, (real)c->scale, c->ga + first*D);
    }
    if (c->gb != NULL) {
      cr_gemm(false, false, n, D, B, of_a, B, c->b, D, false, c->gb + first*D, D);
      multiply(n * D, (real)c->scale, c->gb + first*D);
    }
  }
  for (int64_t d = 0; d < D; d++) sum -= c->diagonal[d] * c->diagonal[d];
  if (c->ga != NULL) without_diagonal(c, c->b, c->ga);
  if (c->gb != NULL) without_diagonal(c, c->a, c->gb);
  return sum > 0 || isnan(sum) ? sum : 0;
}

double cr_cross_off_diagonal(const cr_cross *c, void *scratch) {
  find_diagonal(c);
  return c->rows < c->width ? by_rows(c, scratch) : by_columns(c, scratch);
}
