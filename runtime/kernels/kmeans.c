/* kmeans.c - k-means++ and Lloyd's iteration: see kmeans.h */
#include <math.h>
#include <string.h>
#include <tgmath.h>

#include "base/pool.h"
#include "base/region.h"
#include "base/rng.h"
#include "kernels/gemm.h"
#include "kernels/kmeans.h"
#include "kernels/pair_dist.h"

/* A tile of products is ROWS x COLUMNS numbers, one for each worker. */
enum { ROWS = 128, COLUMNS = 512, SUM_ROWS = 1024 };

typedef struct work {
  cr_kmeans k;
  real *x;                      /* rows, centred */
  real *mean, *centre;          /* [width], [clusters, width] of the centred rows */
  real *half;                   /* [clusters] |c|^2 / 2 */
  real *products;               /* a tile for each worker */
  double *distance;             /* [rows] squared, to the nearest centre */
  double *block_sum;            /* one for SUM_ROWS rows */
  double *column_sum;           /* [width] for each worker */
  int64_t *assignment, *order;  /* [rows]; rows by cluster */
  int64_t *begin;               /* [clusters + 1]: the slice of `order` */
  const real *newest;           /* the centre that seeding has just taken */
} work;

static int64_t pieces(int64_t n, int64_t size) { return (n + size - 1) / size; }

/* ---- memory ---------------------------------------------------------------------------------- */

static void lay_out(work *w, cr_region *r) {
  const cr_kmeans *k = &w->k;
  int64_t threads = cr_pool_threads();
  size_t numbers = 0;
  r->overflow |= !cr_size_mul((size_t)k->rows, (size_t)k->width, &numbers);
  w->x = cr_take(r, (int64_t)numbers, sizeof(real));
  w->mean = cr_take(r, k->width, sizeof(real));
  w->centre = cr_take(r, k->clusters * k->width, sizeof(real));
  w->half = cr_take(r, k->clusters, sizeof(real));
  w->products = cr_take(r, threads * ROWS * COLUMNS, sizeof(real));
  w->distance = cr_take(r, k->rows, sizeof(double));
  w->block_sum = cr_take(r, pieces(k->rows, SUM_ROWS), sizeof(double));
  w->column_sum = cr_take(r, threads * k->width, sizeof(double));
  w->order = cr_take(r, k->rows, sizeof(int64_t));
  w->begin = cr_take(r, k->clusters + 1, sizeof(int64_t));
}

bool cr_kmeans_bytes(const cr_kmeans *k, size_t *bytes) {
  work w = { .k = *k };
  cr_region r = { 0 };
  lay_out(&w, &r);
  *bytes = r.used;
  return !r.overflow;
}

/* ---- distances ------------------------------------------------------------------------------- */

CR_VECTOR static double squared_distance(int64_t n, const real *restrict a,
                                         const real *restrict b) {
  double sum[8] = { 0 };
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (int l = 0; l < 8; l++) {
      double gap = (double)a[i + l] - (double)b[i + l];
      sum[l] += gap * gap;
    }
  for (; i < n; i++) sum[i & 7] += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
  return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}

/* The sum of `distance` over a block of rows; the caller adds blocks up in order. */
static void sum_block(work *w, int64_t block) {
  int64_t begin = block * SUM_ROWS, end = begin + SUM_ROWS;
  double sum = 0;
  if (end > w->k.rows) end = w->k.rows;
  for (int64_t i = begin; i < end; i++) sum += w->distance[i];
  w->block_sum[block] = sum;
}

static double sum_of_blocks(const work *w) {
  double sum = 0;
  for (int64_t b = 0; b < pieces(w->k.rows, SUM_ROWS); b++) sum += w->block_sum[b];
  return sum;
}

/* ---- seeding --------------------------------------------------------------------------------- */

static void nearer_block(void *context, int64_t block, int worker) {
  work *w = context;
  int64_t begin = block * SUM_ROWS, end = begin + SUM_ROWS, D = w->k.width;
  (void)worker;
  if (end > w->k.rows) end = w->k.rows;
  for (int64_t i = begin; i < end; i++) {
    double d = squared_distance(D, w->x + i * D, w->newest);
    if (d < w->distance[i]) w->distance[i] = d;
  }
  sum_block(w, block);
}

/* The row whose share of all distances holds the point u of [0, 1): never one at distance 0, which
 * is a centre already, unless all are. */
static int64_t draw_row(const work *w, double u) {
  int64_t blocks = pieces(w->k.rows, SUM_ROWS), block = 0, last = -1;
  double left = u * sum_of_blocks(w);
  while (block + 1 < blocks && left >= w->block_sum[block]) left -= w->block_sum[block++];
  for (int64_t i = block * SUM_ROWS; i < w->k.rows; i++) {
    if (w->distance[i] <= 0) continue;
    last = i;
    left -= w->distance[i];
    if (left < 0) break;
  }
  return last;
}

static void seed_centres(work *w) {
  int64_t N = w->k.rows, D = w->k.width;
  cr_rng rng = cr_rng_at(w->k.seed, cr_rng_hash("kmeans"), 0);
  int64_t row = (int64_t)cr_rng_below(&rng, (uint64_t)N);
  for (int64_t i = 0; i < N; i++) w->distance[i] = INFINITY;
  for (int64_t c = 0; c < w->k.clusters; c++) {
    w->newest = w->x + row * D;
    memcpy(w->centre + c * D, w->newest, (size_t)D * sizeof(real));
    if (c + 1 == w->k.clusters) break;
    cr_pool_run(pieces(N, SUM_ROWS), nearer_block, w);
    row = draw_row(w, cr_rng_uniform(&rng));
    if (row < 0) row = (int64_t)cr_rng_below(&rng, (uint64_t)N);
  }
}

/* ---- assignment ------------------------------------------------------------------------------ */

/* Column of the least half[j] - product[j], the first of equal ones. */
CR_VECTOR static int64_t nearest(int64_t n, const real *restrict product, const real *restrict half,
                                 real *least) {
  enum { LANES = 16 };
  real best[LANES];
  int32_t at[LANES];
  int64_t j = 0, found = 0;
  for (int l = 0; l < LANES; l++) best[l] = INFINITY, at[l] = 0;
  for (; j + LANES <= n; j += LANES)
    for (int l = 0; l < LANES; l++) {
      real d = half[j + l] - product[j + l];
      int32_t here = (int32_t)j + l;
      at[l] = d < best[l] ? here : at[l];
      best[l] = d < best[l] ? d : best[l];
    }
  for (; j < n; j++) {
    real d = half[j] - product[j];
    if (d < best[j % LANES]) best[j % LANES] = d, at[j % LANES] = (int32_t)j;
  }
  *least = best[0];
  found = at[0];
  for (int l = 1; l < LANES; l++)
    if (best[l] < *least || (best[l] == *least && at[l] < found)) *least = best[l], found = at[l];
  return found;
}

static void assign_block(void *context, int64_t block, int worker) {
  work *w = context;
  int64_t begin = block * ROWS, rows = w->k.rows - begin < ROWS ? w->k.rows - begin : ROWS;
  int64_t D = w->k.width;
  real *tile = w->products + (int64_t)worker * ROWS * COLUMNS, best[ROWS];
  for (int64_t first = 0; first < w->k.clusters; first += COLUMNS) {
    int64_t columns = w->k.clusters - first < COLUMNS ? w->k.clusters - first : COLUMNS;
    cr_gemm_serial(false, true, rows, columns, D, w->x + begin * D, D, w->centre + first * D, D,
                   false, tile, columns);
    for (int64_t i = 0; i < rows; i++) {
      real least;
      int64_t at = nearest(columns, tile + i * columns, w->half + first, &least);
      if (first > 0 && least >= best[i]) continue;
      best[i] = least;
      w->assignment[begin + i] = first + at;
    }
  }
  for (int64_t i = begin; i < begin + rows; i++)
    w->distance[i] = squared_distance(D, w->x + i * D, w->centre + w->assignment[i] * D);
}

/* True when a row has changed its cluster. */
static bool assign(work *w) {
  int64_t N = w->k.rows, D = w->k.width, K = w->k.clusters;
  for (int64_t c = 0; c < K; c++) {
    double square = 0;
    for (int64_t d = 0; d < D; d++)
      square += (double)w->centre[c*D + d] * (double)w->centre[c*D + d];
    w->half[c] = (real)(square / 2);
  }
  memcpy(w->order, w->assignment, (size_t)N * sizeof *w->order);
  cr_pool_run(pieces(N, ROWS), assign_block, w);
  return memcmp(w->order, w->assignment, (size_t)N * sizeof *w->order) != 0;
}

/* ---- means ----------------------------------------------------------------------------------- */

/* order, begin: the rows of each cluster, counting sort. */
static void sort_by_cluster(work *w) {
  int64_t N = w->k.rows, K = w->k.clusters, *begin = w->begin;
  memset(begin, 0, (size_t)(K + 1) * sizeof *begin);
  for (int64_t i = 0; i < N; i++) begin[w->assignment[i]]++;
  for (int64_t c = 0, sum = 0; c <= K; c++) {
    int64_t here = begin[c];
    begin[c] = sum;
    sum += here;
  }
  for (int64_t i = 0; i < N; i++) w->order[begin[w->assignment[i]]++] = i;
  for (int64_t c = K; c > 0; c--) begin[c] = begin[c - 1];
  begin[0] = 0;
}

static void mean_block(void *context, int64_t c, int worker) {
  work *w = context;
  int64_t D = w->k.width, count = w->begin[c + 1] - w->begin[c];
  double *sum = w->column_sum + (int64_t)worker * D;
  if (count == 0) return;
  memset(sum, 0, (size_t)D * sizeof *sum);
  for (int64_t i = w->begin[c]; i < w->begin[c + 1]; i++) {
    const real *x = w->x + w->order[i] * D;
    for (int64_t d = 0; d < D; d++) sum[d] += (double)x[d];
  }
  for (int64_t d = 0; d < D; d++) w->centre[c*D + d] = (real)(sum[d] / (double)count);
}

/* Each cluster without rows moves to the row that is furthest from its own centre, another one for
 * each such cluster. */
static void refill(work *w) {
  int64_t D = w->k.width;
  for (int64_t c = 0; c < w->k.clusters; c++) {
    if (w->begin[c + 1] > w->begin[c]) continue;
    int64_t furthest = 0;
    for (int64_t i = 1; i < w->k.rows; i++)
      if (w->distance[i] > w->distance[furthest]) furthest = i;
    if (w->distance[furthest] <= 0) return;
    memcpy(w->centre + c * D, w->x + furthest * D, (size_t)D * sizeof(real));
    w->distance[furthest] = 0;
  }
}

double cr_kmeans_run(const cr_kmeans *k, const real *x, real *centre, int64_t *assignment,
                     void *scratch) {
  work w = { .k = *k };
  cr_region r = { .base = scratch };
  int64_t N = k->rows, D = k->width;
  lay_out(&w, &r);
  w.assignment = assignment;
  for (int64_t i = 0; i < N; i++) assignment[i] = -1;

  cr_pairs_mean(N, D, x, w.mean);
  for (int64_t i = 0; i < N; i++) cr_pairs_centre(D, x + i * D, w.mean, w.x + i * D);
  seed_centres(&w);

  bool moved = assign(&w);
  for (int64_t step = 0; step < k->iterations && moved; step++) {
    sort_by_cluster(&w);
    cr_pool_run(k->clusters, mean_block, &w);
    refill(&w);
    moved = assign(&w);
  }

  for (int64_t b = 0; b < pieces(N, SUM_ROWS); b++) sum_block(&w, b);
  for (int64_t c = 0; c < k->clusters; c++)
    for (int64_t d = 0; d < D; d++) centre[c*D + d] = w.centre[c*D + d] + w.mean[d];
  return sum_of_blocks(&w);
}
