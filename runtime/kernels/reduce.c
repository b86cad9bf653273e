/* reduce.c - see reduce.h */
#include "kernels/reduce.h"

#include <string.h>
#include <tgmath.h>
#include "base/pool.h"

void cr_reduction_init(cr_reduction *r, int ndim, const int64_t *shape, const bool *reduced) {
  /* from the inside out, then turned round */
  int kept = 0, gone = 0, last = -1;
  int64_t step = 1;
  r->rows = r->n = 1;
  r->by_rows = true;
  for (int d = ndim - 1; d >= 0; d--) {
    int64_t size = shape[d];
    int kind = reduced[d];
    if (kind) r->n *= size;
    else      r->rows *= size;
    if (size == 1) continue;
    int64_t *sizes = kind ? r->reduced_size : r->kept_size;
    int64_t *strides = kind ? r->reduced_stride : r->kept_stride;
    int *n = kind ? &gone : &kept;
    if (last < 0) r->by_rows = kind;
    if (kind == last) sizes[*n-1] *= size;
    else              sizes[*n] = size, strides[(*n)++] = step;
    last = kind;
    step *= size;
  }
  r->kept_dims = kept;
  r->reduced_dims = gone;
  for (int i = 0, j = kept - 1; i < j; i++, j--) {
    int64_t size = r->kept_size[i], stride = r->kept_stride[i];
    r->kept_size[i] = r->kept_size[j], r->kept_stride[i] = r->kept_stride[j];
    r->kept_size[j] = size, r->kept_stride[j] = stride;
  }
  for (int i = 0, j = gone - 1; i < j; i++, j--) {
    int64_t size = r->reduced_size[i], stride = r->reduced_stride[i];
    r->reduced_size[i] = r->reduced_size[j], r->reduced_stride[i] = r->reduced_stride[j];
    r->reduced_size[j] = size, r->reduced_stride[j] = stride;
  }
}

/* ---- one row ------------------------------------------------------------------------------------------ */

/* Vectors of one AVX-512 register; narrower processors use several. Loads need no alignment. */
typedef real lanes __attribute__((vector_size(64)));
#ifdef CR_DOUBLE
typedef int64_t lane_bits __attribute__((vector_size(64)));
#else
typedef int32_t lane_bits __attribute__((vector_size(64)));
#endif
typedef real loose_lanes __attribute__((vector_size(64), aligned(sizeof(real)), may_alias));
enum { LANES = 64 / sizeof(real), WIDE = 8 };
typedef double wide __attribute__((vector_size(64)));
typedef real narrow __attribute__((vector_size(WIDE * sizeof(real)), aligned(sizeof(real)), may_alias));

CR_VECTOR double cr_kernel_row_sum(const real *x, int64_t n) {
  wide a = { 0 }, b = { 0 };
  double sum = 0;
  int64_t i = 0;
  for (; i + 2*WIDE <= n; i += 2*WIDE) {
    a += __builtin_convertvector(*(const narrow *)(x + i), wide);
    b += __builtin_convertvector(*(const narrow *)(x + i + WIDE), wide);
  }
  if (i > 0) {
    a += b;
    sum = ((a[0] + a[4]) + (a[1] + a[5])) + ((a[2] + a[6]) + (a[3] + a[7]));
  }
  for (; i < n; i++) sum += (double)x[i];
  return sum;
}

CR_VECTOR double cr_kernel_row_square_sum(const real *x, int64_t n, double centre) {
  wide a = { 0 };
  double sum = 0;
  int64_t i = 0;
  for (; i + WIDE <= n; i += WIDE) {
    wide d = __builtin_convertvector(*(const narrow *)(x + i), wide) - centre;
    a += d * d;
  }
  if (i > 0) sum = ((a[0] + a[4]) + (a[1] + a[5])) + ((a[2] + a[6]) + (a[3] + a[7]));
  for (; i < n; i++) sum += ((double)x[i] - centre) * ((double)x[i] - centre);
  return sum;
}

/* nan is taken over and then kept: nothing compares greater than it */
CR_VECTOR real cr_kernel_row_max(const real *x, int64_t n) {
  real most = -INFINITY;
  int64_t i = 0;
  if (n >= LANES) {
    lanes m = *(const loose_lanes *)x;
    for (i = LANES; i + LANES <= n; i += LANES) {
      lanes v = *(const loose_lanes *)(x + i);
      lane_bits take = (v > m) | (v != v);
      m = (lanes)((take & (lane_bits)v) | (~take & (lane_bits)m));
    }
    for (int j = 0; j < LANES; j++) if (m[j] > most || m[j] != m[j]) most = m[j];
  }
  for (; i < n; i++) if (x[i] > most || x[i] != x[i]) most = x[i];
  return most;
}

CR_VECTOR real cr_kernel_row_min(const real *x, int64_t n) {
  real least = INFINITY;
  int64_t i = 0;
  if (n >= LANES) {
    lanes m = *(const loose_lanes *)x;
    for (i = LANES; i + LANES <= n; i += LANES) {
      lanes v = *(const loose_lanes *)(x + i);
      lane_bits take = (v < m) | (v != v);
      m = (lanes)((take & (lane_bits)v) | (~take & (lane_bits)m));
    }
    for (int j = 0; j < LANES; j++) if (m[j] < least || m[j] != m[j]) least = m[j];
  }
  for (; i < n; i++) if (x[i] < least || x[i] != x[i]) least = x[i];
  return least;
}

real cr_kernel_row_max_abs(const real *x, int64_t n) {
  if (n == 0) return 0;
  real most = fabs(cr_kernel_row_max(x, n)), least = fabs(cr_kernel_row_min(x, n));
  return least > most || least != least ? least : most;
}

double cr_kernel_row_variance(const real *x, int64_t n, double correction) {
  double mean = cr_kernel_row_sum(x, n) / (double)n, free = (double)n - correction;
  return free > 0 ? cr_kernel_row_square_sum(x, n, mean) / free : (double)NAN;
}

void cr_kernel_row_share(const real *x, int64_t n, real y, real g, real *gx) {
  int64_t ties = 0;
  bool nan = y != y;
  for (int64_t i = 0; i < n; i++) ties += nan ? x[i] != x[i] : x[i] == y;
  real part = g / (real)ties;
  for (int64_t i = 0; i < n; i++) gx[i] = (nan ? x[i] != x[i] : x[i] == y) ? part : 0;
}

int64_t cr_kernel_row_find(const real *x, int64_t n, real value) {
  bool nan = value != value;
  for (int64_t i = 0; i < n; i++) if (nan ? x[i] != x[i] : x[i] == value) return i;
  return 0;
}

/* ---- sums --------------------------------------------------------------------------------------------- */

enum { TILE = 256, MOST_SPLITS = 64, ENOUGH_TILES = 16 };

/* Results are computed in tiles of `tile`; where tiles are few and the work is large, the outermost reduced dimension is
 * cut into `splits` parts whose sums are added up afterwards. All of it follows from sizes alone. */
typedef struct layout {
  int64_t tile, tiles, tiles_in_segment, splits;
} layout;

static layout lay_out(const cr_reduction *r) {
  layout l = { .splits = 1 };
  if (r->by_rows) {
    l.tile = r->n > 0 && CR_GRAIN / r->n > 1 ? CR_GRAIN / r->n : 1;
    l.tiles = l.tiles_in_segment = (r->rows + l.tile - 1) / l.tile;
  } else {
    int64_t columns = r->kept_size[r->kept_dims-1];
    l.tile = TILE;
    l.tiles_in_segment = (columns + TILE - 1) / TILE;
    l.tiles = columns > 0 ? r->rows / columns * l.tiles_in_segment : 0;
  }
  int64_t grains = l.tiles > 0 ? r->rows * r->n / CR_GRAIN / l.tiles : 0;
  if (r->rows * r->n > CR_PARALLEL && l.tiles < ENOUGH_TILES && r->reduced_dims > 0) {
    l.splits = r->reduced_size[0] < grains ? r->reduced_size[0] : grains;
    if (l.splits > MOST_SPLITS) l.splits = MOST_SPLITS;
    if (l.splits < 1) l.splits = 1;
  }
  return l;
}

size_t cr_kernel_sum_bytes(const cr_reduction *r) {
  layout l = lay_out(r);
  return l.splits > 1 ? (size_t)(l.splits * r->rows) * sizeof(double) : 0;
}

CR_VECTOR static void add_columns(double *restrict sum, const real *restrict x, int64_t n) {
  for (int64_t j = 0; j < n; j++) sum[j] += (double)x[j];
}

/* Where result `row` begins in x */
static int64_t place_of(const cr_reduction *r, int64_t row) {
  int64_t place = 0;
  for (int d = r->kept_dims - 1; d > 0; d--) {
    place += row % r->kept_size[d] * r->kept_stride[d];
    row /= r->kept_size[d];
  }
  return r->kept_dims > 0 ? place + row * r->kept_stride[0] : 0;
}

/* Steps through the reduced dimensions above the innermost `inner` ones; the first runs up to `end`. */
static bool advance(const cr_reduction *r, int dims, int64_t *at, int64_t begin, int64_t end, int64_t *offset) {
  for (int d = dims - 1; d >= 0; d--) {
    *offset += r->reduced_stride[d];
    if (++at[d] < (d == 0 ? end : r->reduced_size[d])) return true;
    int64_t first = d == 0 ? begin : 0;
    *offset -= (at[d] - first) * r->reduced_stride[d];
    at[d] = first;
  }
  return false;
}

/* sum[0..count-1] for results row .. row+count-1, over begin .. end-1 of the outermost reduced dimension */
static void sum_tile(const cr_reduction *r, const real *x, int64_t row, int64_t count, int64_t begin,
                     int64_t end, double *sum) {
  int64_t at[CR_SHAPE_MAX] = { 0 }, dims = r->reduced_dims;
  at[0] = begin;
  if (r->by_rows) {
    int outer = (int)dims - 1;
    int64_t n = dims == 0 ? 1 : dims == 1 ? end - begin : r->reduced_size[outer];
    for (int64_t i = 0; i < count; i++) {
      int64_t offset = place_of(r, row + i) + (dims > 0 ? begin * r->reduced_stride[0] : 0);
      sum[i] = cr_kernel_row_sum(x + offset, n);
      while (outer > 0 && advance(r, outer, at, begin, end, &offset))
        sum[i] += cr_kernel_row_sum(x + offset, n);
    }
  } else {
    int64_t offset = place_of(r, row) + (dims > 0 ? begin * r->reduced_stride[0] : 0);
    memset(sum, 0, (size_t)count * sizeof *sum);
    do add_columns(sum, x + offset, count);
    while (dims > 0 && advance(r, (int)dims, at, begin, end, &offset));
  }
}

typedef struct sum_job {
  const cr_reduction *r;
  layout l;
  const real *x;
  double scale;
  real *out;
  double *partial;              /* [splits][rows] when splits > 1 */
} sum_job;

static void sum_block(void *context, int64_t block, int worker) {
  const sum_job *j = context;
  const cr_reduction *r = j->r;
  const layout *l = &j->l;
  (void)worker;
  int64_t split = block / l->tiles, tile = block % l->tiles;
  int64_t segment = tile / l->tiles_in_segment, first = tile % l->tiles_in_segment * l->tile;
  int64_t width = r->by_rows ? r->rows : r->kept_size[r->kept_dims-1];
  int64_t row = segment * width + first, count = width - first < l->tile ? width - first : l->tile;
  int64_t outer = r->reduced_dims > 0 ? r->reduced_size[0] : 1;
  int64_t begin = outer * split / l->splits, end = outer * (split + 1) / l->splits;
  double sum[TILE];
  for (int64_t i = 0; i < count; i += TILE) {
    int64_t m = count - i < TILE ? count - i : TILE;
    sum_tile(r, j->x, row + i, m, begin, end, sum);
    if (l->splits > 1) memcpy(j->partial + split * r->rows + row + i, sum, (size_t)m * sizeof *sum);
    else for (int64_t k = 0; k < m; k++) j->out[row + i + k] = (real)(j->scale * sum[k]);
  }
}

void cr_kernel_sum(const cr_reduction *r, const real *x, double scale, real *out, void *scratch) {
  if (r->rows == 0) return;
  if (r->n == 0) {
    for (int64_t i = 0; i < r->rows; i++) out[i] = (real)(scale * 0.0);
    return;
  }
  if (r->rows == 1 && r->n <= CR_PARALLEL) {
    *out = (real)(scale * cr_kernel_row_sum(x, r->n));
    return;
  }
  sum_job j = { r, lay_out(r), x, scale, out, scratch };
  if (r->rows * r->n <= CR_PARALLEL)
    for (int64_t b = 0; b < j.l.tiles; b++) sum_block(&j, b, 0);
  else
    cr_pool_run(j.l.tiles * j.l.splits, sum_block, &j);
  for (int64_t i = 0; j.l.splits > 1 && i < r->rows; i++) {
    double sum = 0;
    for (int64_t s = 0; s < j.l.splits; s++) sum += j.partial[s * r->rows + i];
    out[i] = (real)(scale * sum);
  }
}

CR_VECTOR static void scaled(int64_t n, void *restrict to, const void *const in[CR_SLOTS],
                             const double option[2]) {
  real *restrict x = to, scale = (real)option[0];
  const real *restrict g = in[0];
  for (int64_t i = 0; i < n; i++) x[i] = scale * g[i];
}

void cr_kernel_spread(real *x, int ndim, const int64_t *shape, const bool *reduced, const real *g, double scale) {
  int64_t size[CR_SHAPE_MAX], stride[CR_SHAPE_MAX], step = 1;
  for (int d = ndim - 1; d >= 0; d--) {
    size[d] = reduced[d] ? 1 : shape[d];
    stride[d] = step;
    step *= size[d];
  }
  cr_operand in[CR_SLOTS] = { { g, sizeof(real), ndim, size, stride } };
  cr_kernel_broadcast(scaled, x, sizeof(real), ndim, shape, in, (const double[]){ scale, 0 });
}

/* ---- rows --------------------------------------------------------------------------------------------- */

void cr_kernel_pack_rows(const cr_reduction *r, const void *x, size_t bytes, void *rows) {
  int64_t shape[CR_SHAPE_MAX], stride[CR_SHAPE_MAX];
  int n = 0;
  for (int d = 0; d < r->kept_dims; d++) shape[n] = r->kept_size[d], stride[n++] = r->kept_stride[d];
  for (int d = 0; d < r->reduced_dims; d++) shape[n] = r->reduced_size[d], stride[n++] = r->reduced_stride[d];
  cr_operand from = { x, bytes, n, shape, stride };
  cr_kernel_gather(rows, n, shape, &from);
}

/* The dimensions in the order they have in x, each with its stride in the rows */
void cr_kernel_unpack_rows(const cr_reduction *r, const void *rows, size_t bytes, void *x) {
  int64_t shape[CR_SHAPE_MAX], stride[CR_SHAPE_MAX], step = 1;
  int k = r->kept_dims, g = r->reduced_dims, n = k + g;
  int64_t kept_step[CR_SHAPE_MAX], reduced_step[CR_SHAPE_MAX];
  for (int d = g - 1; d >= 0; d--) reduced_step[d] = step, step *= r->reduced_size[d];
  for (int d = k - 1; d >= 0; d--) kept_step[d] = step, step *= r->kept_size[d];
  bool reduced = r->by_rows;
  for (int d = n - 1; d >= 0; d--, reduced = !reduced) {
    if (reduced) g--, shape[d] = r->reduced_size[g], stride[d] = reduced_step[g];
    else         k--, shape[d] = r->kept_size[k], stride[d] = kept_step[k];
  }
  cr_operand from = { rows, bytes, n, shape, stride };
  cr_kernel_gather(x, n, shape, &from);
}

static void rows_range(void *context, int64_t begin, int64_t end) {
  const cr_rows *r = context;
  for (int64_t i = begin; i < end; i++) {
    cr_row row = {
      .n = r->n,
      .x = r->x ? r->x + i * r->n : NULL,
      .mask = r->mask ? r->mask + i * r->n : NULL,
      .y = r->y ? r->y + i * r->width : NULL,
      .at = r->at ? r->at + i : NULL,
      .flag = r->flag ? r->flag + i : NULL,
      .g = r->g ? r->g + i * r->width : NULL,
      .gx = r->gx ? r->gx + i * r->n : NULL,
      .option = r->option,
    };
    r->fn(&row);
  }
}

void cr_kernel_rows(const cr_rows *r) {
  int64_t grain = r->n > 0 && CR_GRAIN / r->n > 1 ? CR_GRAIN / r->n : 1;
  cr_rows job = *r;
  if (r->rows * r->n > CR_PARALLEL) cr_pool_for(r->rows, grain, rows_range, &job);
  else rows_range(&job, 0, r->rows);
}
