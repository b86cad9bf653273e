/* twin_rows.c - see twin_rows.h */
#include "kernels/twin_rows.h"

#include <math.h>
#include <tgmath.h>

#include "base/pool.h"

enum { BLOCK = 16384 };       /* numbers in a block of rows */

static int64_t grain_of(int64_t width) {
  return width < BLOCK ? BLOCK / (width > 0 ? width : 1) : 1;
}

size_t cr_twin_bytes(const cr_twins *t) {
  return t->normalize ? (size_t)cr_pool_threads() * 2 * (size_t)t->width * sizeof(real) : 0;
}

/* u = x / |x|; returns 1 / |x|, 0 for a row of zeros. Scaled by its largest number first, so that
 * no square overflows or vanishes. */
static double unit(int64_t n, const real *x, real *u) {
  double largest = 0, sum = 0;
  for (int64_t k = 0; k < n; k++) {
    double a = fabs((double)x[k]);
    if (a > largest || isnan(a)) largest = a;
  }
  double by = largest > 0 ? 1 / largest : 0;
  if (isinf(by)) by = 0;
  for (int64_t k = 0; k < n; k++) sum += ((double)x[k] * by) * ((double)x[k] * by);
  double inverse = sum > 0 || isnan(sum) ? by / sqrt(sum) : 0;
  for (int64_t k = 0; k < n; k++) u[k] = (real)((double)x[k] * inverse);
  return inverse;
}

/* g by u becomes g by x = |x| u: (g - u <u, g>) / |x| */
static void through_unit(int64_t n, const real *u, double inverse, real *g) {
  double along = 0;
  for (int64_t k = 0; k < n; k++) along += (double)u[k] * (double)g[k];
  for (int64_t k = 0; k < n; k++) g[k] = (real)(inverse * ((double)g[k] - (double)u[k] * along));
}

typedef struct job {
  const cr_twins *t;
  double *loss;
  real *saved, *scratch;
  int64_t grain;
} job;

static void forward_block(void *context, int64_t block, int worker) {
  const job *j = context;
  const cr_twins *t = j->t;
  int64_t D = t->width, end = (block + 1) * j->grain;
  real *u = j->scratch + 2 * worker * D, *v = u + D;
  if (end > t->rows) end = t->rows;
  for (int64_t i = block * j->grain; i < end; i++) {
    const real *x = t->x + i*D, *y = t->y + i*D;
    real *gx = j->saved != NULL ? j->saved + i*D : NULL;
    real *gy = gx != NULL ? gx + t->rows * D : NULL;
    double inverse_x = 1, inverse_y = 1;
    if (t->normalize) {
      inverse_x = unit(D, x, u), inverse_y = unit(D, y, v);
      x = u, y = v;
    }
    j->loss[i] = t->fn(t->context, D, x, y, gx, gy);
    if (gx == NULL || !t->normalize) continue;
    through_unit(D, u, inverse_x, gx);
    through_unit(D, v, inverse_y, gy);
  }
}

void cr_twin_forward(const cr_twins *t, double *loss, real *saved, void *scratch) {
  job j = { t, loss, saved, scratch, grain_of(t->width) };
  cr_pool_run((t->rows + j.grain - 1) / j.grain, forward_block, &j);
}

void cr_twin_backward(int64_t rows, int64_t width, const real *saved, double scale,
                      const real *gout, bool by_row, real *g) {
  if (g == NULL) return;
  for (int64_t i = 0; i < rows; i++) {
    real by = (real)(scale * (double)gout[by_row ? i : 0]);
    for (int64_t k = 0; k < width; k++) g[i*width + k] = by * saved[i*width + k];
  }
}
