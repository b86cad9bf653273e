/* pair_dist.c - see pair_dist.h
 *
 * With c_ij the coefficient of a pair, a Euclidean loss has the gradient sum_j c_ij (x_i - y_j) for
 * x_i and minus that for y_j: (sum_j c_ij) x_i - (C Y)_i. The sums are gathered in sx, sy and the
 * products in gx, gy, tile by tile. */
#include "kernels/pair_dist.h"

#include <string.h>
#include <tgmath.h>

#include "base/pool.h"
#include "kernels/gemm.h"

/* A row with less than one weight in so many columns goes pair by pair. */
enum { FEW_OF = 12 };

CR_VECTOR double cr_pairs_sum(int64_t n, const real *v) {
  double lane[16] = { 0 }, sum = 0;
  int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (int k = 0; k < 16; k++) lane[k] += (double)v[i + k];
  for (; i < n; i++) sum += (double)v[i];
  for (int k = 0; k < 16; k++) sum += lane[k];
  return sum;
}

typedef struct { int64_t n, width; const real *x; real *mean; } mean_job;

CR_VECTOR static void mean_of_columns(void *context, int64_t begin, int64_t end) {
  enum { AT_ONCE = 32 };
  const mean_job *j = context;
  for (int64_t k = begin; k < end; k += AT_ONCE) {
    int64_t some = end - k < AT_ONCE ? end - k : AT_ONCE;
    double sum[AT_ONCE] = { 0 };
    for (int64_t i = 0; i < j->n; i++) {
      const real *restrict row = j->x + i * j->width + k;
      if (some == AT_ONCE) for (int64_t l = 0; l < AT_ONCE; l++) sum[l] += (double)row[l];
      else                 for (int64_t l = 0; l < some; l++) sum[l] += (double)row[l];
    }
    for (int64_t l = 0; l < some; l++)
      j->mean[k + l] = j->n > 0 ? (real)(sum[l] / (double)j->n) : 0;
  }
}

void cr_pairs_mean(int64_t n, int64_t width, const real *x, real *mean) {
  mean_job j = { n, width, x, mean };
  cr_pool_for(width, n * width < 20000 ? width : 64, mean_of_columns, &j);
}

CR_VECTOR real cr_pairs_centre(int64_t width, const real *row, const real *mean, real *out) {
  double lane[16] = { 0 }, sum = 0;
  int64_t k = 0;
  for (int64_t l = 0; l < width; l++) out[l] = mean != NULL ? row[l] - mean[l] : row[l];
  for (; k + 16 <= width; k += 16)
    for (int l = 0; l < 16; l++) lane[l] += (double)out[k + l] * (double)out[k + l];
  for (; k < width; k++) sum += (double)out[k] * (double)out[k];
  for (int l = 0; l < 16; l++) sum += lane[l];
  return (real)sum;
}

/* ---- distances ------------------------------------------------------------------------------- */

static bool from_products(const cr_pairs *p) {
  return p->metric == CR_EUCLIDEAN || p->metric == CR_COSINE || p->metric == CR_DOT;
}

void cr_pairs_products(const cr_pairs *p, int64_t first, int64_t count, real *d) {
  if (from_products(p))
    cr_gemm(false, true, count, p->columns, p->width, p->x + first * p->width, p->width, p->y,
            p->width,
            false, d, p->columns);
}

void cr_pairs_products_piece(const cr_pairs *p, int64_t i, int64_t count, int64_t first, int64_t n,
                             real *d) {
  if (from_products(p))
    cr_gemm_serial(false, true, count, n, p->width, p->x + i * p->width, p->width,
                   p->y + first * p->width, p->width, false, d, n);
}

CR_VECTOR static real difference2(int64_t width, const real *restrict a, const real *restrict b) {
  real lane[16] = { 0 }, sum = 0;
  int64_t k = 0;
  for (; k + 16 <= width; k += 16)
    for (int l = 0; l < 16; l++) lane[l] += (a[k + l] - b[k + l]) * (a[k + l] - b[k + l]);
  for (; k < width; k++) sum += (a[k] - b[k]) * (a[k] - b[k]);
  for (int l = 0; l < 16; l++) sum += lane[l];
  return sum;
}

/* d = |x|^2 + |y|^2 - 2 <x, y>, not below 0 (and still nan where it is); returns how many are
 * close */
CR_VECTOR static int squares(int64_t n, real xx, const real *restrict yy, real *restrict d) {
  int close = 0;
  for (int64_t j = 0; j < n; j++) {
    real scale = xx + yy[j], t = scale - 2 * d[j];
    close += t < CR_PAIRS_CLOSE * scale;
    d[j] = t < 0 ? 0 : t;
  }
  return close;
}

CR_VECTOR static void roots(int64_t n, real *d) {
  for (int64_t j = 0; j < n; j++) d[j] = sqrt(d[j]);
}

CR_VECTOR static void one_minus(int64_t n, real one, real *d) {
  for (int64_t j = 0; j < n; j++) d[j] = one - d[j];
}

CR_VECTOR static real manhattan(int64_t width, const real *restrict a, const real *restrict b) {
  double sum = 0;
  for (int64_t k = 0; k < width; k++) sum += fabs((double)a[k] - (double)b[k]);
  return (real)sum;
}

static real minkowski(int64_t width, double p, const real *a, const real *b) {
  double sum = 0, most = 0;
  for (int64_t k = 0; k < width; k++) most = fmax(most, fabs((double)a[k] - (double)b[k]));
  /* nan stays nan */
  if (isinf(p) || !(most > 0)) return (real)(most > 0 ? most : manhattan(width, a, b));
  for (int64_t k = 0; k < width; k++) sum += pow(fabs((double)a[k] - (double)b[k]) / most, p);
  return (real)(most * pow(sum, 1 / p));
}

static bool is_close(const cr_pairs *p, int64_t i, int64_t j, real d) {
  real square = p->squared ? d : d * d;
  return square < CR_PAIRS_CLOSE * (p->xx[i] + p->yy[j]);
}

/* Columns first .. first+n-1 of row i; own: the place of i itself among them, or -1 */
static bool euclidean_row(const cr_pairs *p, int64_t i, int64_t first, int64_t n, int64_t own,
                          real *d) {
  const real *x = p->x + i * p->width, *y = p->y + first * p->width, *yy = p->yy + first;
  if (own >= 0) d[own] = 0;                     /* so that it does not count as close */
  int close = squares(n, p->xx[i], yy, d);
  if (own >= 0) d[own] = 0 * p->xx[i];
  if (close > 0)
    for (int64_t j = 0; j < n; j++)
      if (d[j] < CR_PAIRS_CLOSE * (p->xx[i] + yy[j]) && j != own)
        d[j] = difference2(p->width, x, y + j * p->width);
  if (!p->squared) roots(n, d);
  return close > 0;
}

bool cr_pairs_piece(const cr_pairs *p, int64_t i, int64_t first, int64_t n, real *d) {
  const real *x = p->x + i * p->width, *y = p->y + first * p->width;
  switch (p->metric) {
    case CR_EUCLIDEAN:
      return euclidean_row(p, i, first, n, p->same && i >= first && i < first + n ? i - first : -1,
                           d);
    case CR_COSINE:
    case CR_DOT:
      one_minus(n, p->metric == CR_COSINE ? 1 : 0, d);
      break;
    case CR_MANHATTAN:
      for (int64_t j = 0; j < n; j++) {
        real v = manhattan(p->width, x, y + j * p->width);
        d[j] = p->squared ? v * v : v;
      }
      break;
    case CR_MINKOWSKI:
      for (int64_t j = 0; j < n; j++) d[j] = minkowski(p->width, p->p, x, y + j * p->width);
      break;
  }
  return false;
}

bool cr_pairs_row(const cr_pairs *p, int64_t i, real *d) {
  return cr_pairs_piece(p, i, 0, p->columns, d);
}

/* ---- gradient -------------------------------------------------------------------------------- */

CR_VECTOR static void divide(int64_t n, const real *restrict d, real *restrict w) {
  for (int64_t j = 0; j < n; j++) w[j] = d[j] > 0 ? w[j] / d[j] : 0;
}

CR_VECTOR static void multiply(int64_t n, real by, real *w) {
  for (int64_t j = 0; j < n; j++) w[j] *= by;
}

/* out -= c (x - y) */
CR_VECTOR static void push(int64_t width, real c, const real *restrict x, const real *restrict y,
                           real *restrict out) {
  for (int64_t k = 0; k < width; k++) out[k] -= c * (x[k] - y[k]);
}

CR_VECTOR static void add_scaled(int64_t n, real c, const real *restrict y, real *restrict out) {
  for (int64_t k = 0; k < n; k++) out[k] += c * y[k];
}

/* g += c times the derivative of the distance by x; the same for y with both exchanged */
static void step_coordinates(const cr_pairs *p, real c, real d, const real *x, const real *y,
                             real *g) {
  if (p->metric == CR_MANHATTAN) {
    for (int64_t k = 0; k < p->width; k++) g[k] += c * (real)((x[k] > y[k]) - (x[k] < y[k]));
    return;
  }
  if (!(d > 0)) return;
  for (int64_t k = 0; k < p->width; k++) {
    real step = x[k] - y[k], share = fabs(step) / d;
    real slope = isinf(p->p) ? (share == 1 ? (real)1 : 0) : pow(share, (real)(p->p - 1));
    if (step != 0) g[k] += c * (step > 0 ? slope : -slope);
  }
}

CR_VECTOR static int count_of_weights(int64_t n, const real *w) {
  int count = 0;
  for (int64_t j = 0; j < n; j++) count += w[j] != 0;
  return count;
}

/* The first of w[j] .. w[end - 1] that is not 0, or end. */
CR_VECTOR static int64_t next_weight(int64_t j, int64_t end, const real *w) {
  enum { AT_ONCE = 64 };
  for (; j + AT_ONCE <= end; j += AT_ONCE) {
    int any = 0;
    for (int l = 0; l < AT_ONCE; l++) any |= w[j + l] != 0;
    if (any) break;
  }
  while (j < end && w[j] == 0) j++;
  return j;
}

/* The pair to look at after j - 1: any, or where few weigh anything the next that does. */
static int64_t next_pair(cr_pairs_mode mode, int64_t j, int64_t end, const real *w) {
  return mode == CR_PAIRS_DENSE ? end : mode == CR_PAIRS_FEW ? next_weight(j, end, w) : j;
}

/* Is the pair left out of the matrix products? */
static bool alone(const cr_pairs *p, cr_pairs_mode mode, int64_t i, int64_t j, real d) {
  return mode == CR_PAIRS_FEW || is_close(p, i, j, d);
}

/* One pair's share for x: c (x - y) of a Euclidean distance, -c y of a product. */
static void push_pair(const cr_pairs *p, real c, const real *x, const real *y, real *out) {
  if (p->metric == CR_EUCLIDEAN) push(p->width, c, x, y, out);
  else add_scaled(p->width, c, y, out);
}

/* Row i: w becomes coefficients; what needs no matrix product is added to the row's own sums. */
cr_pairs_mode cr_pairs_slope_row(const cr_pairs *p, const cr_pairs_sums *s, int64_t i,
                                 const real *d, real *w, bool close) {
  int64_t n = p->columns, width = p->width;
  const real *x = p->x + i * width;
  real *g = s->gx != NULL ? s->gx + i * width : NULL;
  if (p->same) w[i] = 0;
  if (p->metric == CR_MANHATTAN || p->metric == CR_MINKOWSKI) {
    for (int64_t j = 0; j < n; j++) {
      if (p->squared) w[j] *= 2 * sqrt(d[j]);
      if (g != NULL && w[j] != 0) step_coordinates(p, w[j], d[j], x, p->y + j * width, g);
    }
    return CR_PAIRS_DENSE;
  }
  bool euclidean = p->metric == CR_EUCLIDEAN;
  if (euclidean && p->squared) multiply(n, 2, w);
  else if (euclidean) divide(n, d, w);
  cr_pairs_mode mode = FEW_OF * (int64_t)count_of_weights(n, w) < n ? CR_PAIRS_FEW
                     : euclidean && close ? CR_PAIRS_SOME_CLOSE : CR_PAIRS_DENSE;
  if (g == NULL) return mode;
  double sum = euclidean && mode != CR_PAIRS_FEW ? cr_pairs_sum(n, w) : 0;
  for (int64_t j = next_pair(mode, 0, n, w); j < n; j = next_pair(mode, j + 1, n, w)) {
    if (w[j] == 0 || !alone(p, mode, i, j, d[j])) continue;
    push_pair(p, w[j], x, p->y + j * width, g);
    if (mode == CR_PAIRS_SOME_CLOSE) sum -= (double)w[j];
    if (s->symmetric) w[j] = 0;
  }
  s->sx[i] += sum;
  return mode;
}

typedef struct collect_job {
  const cr_pairs *p;
  const cr_pairs_sums *s;
  int64_t first, count;
  const real *d;
  real *w;
  const cr_pairs_mode *mode;
  real *g;
  double *sum;
} collect_job;

CR_VECTOR static void add_to(int64_t n, const real *restrict w, double *restrict sum) {
  for (int64_t j = 0; j < n; j++) sum[j] += (double)w[j];
}

/* The share of columns begin .. end-1. */
static void collect_columns(void *context, int64_t begin, int64_t end) {
  collect_job *t = context;
  const cr_pairs *p = t->p;
  int64_t n = p->columns, width = p->width;
  for (int64_t r = 0; r < t->count; r++) {
    const real *x = p->x + (t->first + r) * width, *d = t->d + r * n;
    real *w = t->w + r * n;
    if (p->metric == CR_MANHATTAN || p->metric == CR_MINKOWSKI) {
      for (int64_t j = begin; j < end; j++)
        if (w[j] != 0) step_coordinates(p, w[j], d[j], p->y + j * width, x, t->g + j * width);
      continue;
    }
    cr_pairs_mode mode = t->mode[r];
    for (int64_t j = next_pair(mode, begin, end, w); j < end;
         j = next_pair(mode, j + 1, end, w)) {
      if (w[j] == 0 || !alone(p, mode, t->first + r, j, d[j])) continue;
      if (t->g != NULL) push_pair(p, w[j], p->y + j * width, x, t->g + j * width);
      w[j] = 0;
    }
    if (t->g != NULL && mode != CR_PAIRS_FEW && p->metric == CR_EUCLIDEAN)
      add_to(end - begin, w + begin, t->sum + begin);
  }
}

typedef struct { int64_t n; real *w; } fold_job;

/* w = w + w', a square of 64 x 64 and its mirror at a time */
static void fold_blocks(void *context, int64_t block, int worker) {
  enum { SIDE = 64 };
  (void)worker;
  const fold_job *f = context;
  int64_t n = f->n, top = block * SIDE, bottom = top + SIDE < n ? top + SIDE : n;
  real *restrict w = f->w;
  for (int64_t left = top; left < n; left += SIDE) {
    int64_t right = left + SIDE < n ? left + SIDE : n;
    for (int64_t i = top; i < bottom; i++)
      for (int64_t j = left > i ? left : i; j < right; j++)
        w[i * n + j] = w[j * n + i] = w[i * n + j] + w[j * n + i];
  }
}

void cr_pairs_collect(const cr_pairs *p, const cr_pairs_sums *s, int64_t first, int64_t count,
                      const real *d, real *w, const cr_pairs_mode *mode) {
  int64_t n = p->columns, width = p->width;
  const real *x = p->x + first * width;
  bool products = from_products(p), columns = !s->symmetric && (p->same || s->gy != NULL);
  bool by_columns = columns && (p->metric == CR_EUCLIDEAN || !products), all_few = products;
  collect_job job = { p, s, first, count, d, w, mode, p->same ? s->gx : s->gy,
                      p->same ? s->sx : s->sy };
  if (!columns) job.g = NULL;
  for (int64_t r = 0; r < count; r++) {
    by_columns |= mode[r] != CR_PAIRS_DENSE && !s->symmetric;
    all_few &= mode[r] == CR_PAIRS_FEW;
  }
  if (by_columns) cr_pool_for(n, count * n < 20000 ? n : 128, collect_columns, &job);
  if (!products || all_few) return;
  if (columns && p->same && count == n) {       /* the whole batch in one tile: one product does */
    fold_job fold = { n, w };
    if (n * n < 20000) for (int64_t b = 0; b * 64 < n; b++) fold_blocks(&fold, b, 0);
    else               cr_pool_run((n + 63) / 64, fold_blocks, &fold);
    columns = false;
  }
  if (s->gx != NULL)
    cr_gemm(false, false, count, width, n, w, n, p->y, width, true, s->gx + first * width, width);
  if (columns) cr_gemm(true, false, n, width, count, w, n, x, width, true, job.g, width);
}

CR_VECTOR static void finish(int64_t width, real sum, const real *restrict x, real *restrict g) {
  for (int64_t k = 0; k < width; k++) g[k] = sum * x[k] - g[k];
}

static void finish_side(const cr_pairs *p, int64_t rows, const real *x, const double *sum,
                        real *g) {
  for (int64_t i = 0; g != NULL && i < rows; i++)
    finish(p->width, p->metric == CR_EUCLIDEAN ? (real)sum[i] : 0, x + i * p->width,
           g + i * p->width);
}

void cr_pairs_gradient(const cr_pairs *p, const cr_pairs_sums *s) {
  if (!from_products(p)) return;
  finish_side(p, p->rows, p->x, s->sx, s->gx);
  if (!p->same) finish_side(p, p->columns, p->y, s->sy, s->gy);
}
