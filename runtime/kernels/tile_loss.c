/* tile_loss.c - see tile_loss.h */
#include "kernels/tile_loss.h"

#include <string.h>
#include <tgmath.h>

#include "base/pool.h"
#include "base/region.h"
#include "kernels/label_order.h"

/* A tile of d and one of w stay in the second-level cache while rows are short. Past LONG they
 * cannot, and what counts is how seldom the gradient of all columns passes by: a softmax loss of B =
 * 16384, D = 128 takes 4.9 s with 32 rows a tile, 4.1 s with 64, 3.7 s with 128 and 3.2 s with 256;
 * more no longer fit the third-level cache. */
enum { TILE_NUMBERS = 1 << 17, LEAST_ROWS = 64, LONG = 6144, LONG_ROWS = 256, SMALL = 20000 };

double cr_ratio(double a, double b) { return b > 0 ? a / b : 0; }

static int64_t columns_of(const cr_tile_shape *s) {
  return s->references > 0 ? s->references : s->rows;
}

static int64_t tile_rows_of(const cr_tile_shape *s) {
  int64_t n = columns_of(s), rows = n > 0 ? TILE_NUMBERS / n : 0;
  if (rows < LEAST_ROWS) rows = n > LONG ? LONG_ROWS : LEAST_ROWS;
  rows = rows / 8 * 8;
  if (rows < s->whole_classes) rows = s->whole_classes;
  return rows < s->rows ? rows : s->rows;
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void lay_out(cr_tile *t, cr_region *r) {
  const cr_tile_shape *s = &t->shape;
  int64_t B = s->rows, n = columns_of(s), R = s->references, T = tile_rows_of(s), width = s->width;
  t->order = cr_take(r, B, sizeof(int64_t));
  t->begin = cr_take(r, B, sizeof(int64_t));
  t->end = cr_take(r, B, sizeof(int64_t));
  t->reference_order = R > 0 ? cr_take(r, R, sizeof(int64_t)) : t->order;
  t->inverse = cr_take(r, B, sizeof(real));
  t->reference_inverse = R > 0 ? cr_take(r, R, sizeof(real)) : t->inverse;
  t->x = cr_take(r, B * width, sizeof(real));
  t->y = R > 0 ? cr_take(r, R * width, sizeof(real)) : t->x;
  t->xx = cr_take(r, B, sizeof(real));
  t->yy = R > 0 ? cr_take(r, R, sizeof(real)) : t->xx;
  t->mean = cr_take(r, width, sizeof(real));
  t->spare = R > 0 ? cr_take(r, R, sizeof(int64_t)) : NULL;
  t->d = cr_take(r, T * n, sizeof(real));
  t->row_sums = cr_take(r, T * (CR_ROW_SUMS + 2), sizeof(double));
  t->close = cr_take(r, T, sizeof(bool));
  t->mode = cr_take(r, T, sizeof(cr_pairs_mode));
  t->row_scratch = cr_take(r, cr_pool_threads(), (s->row_scratch_bytes + 63) & ~(size_t)63);
  if (!s->gradient) return;
  t->w = cr_take(r, T * n, sizeof(real));
  t->sums.gx = cr_take(r, B * width, sizeof(real));
  t->sums.sx = cr_take(r, B, sizeof(double));
  t->sums.gy = R > 0 && s->reference_gradient ? cr_take(r, R * width, sizeof(real)) : NULL;
  t->sums.sy = R > 0 && s->reference_gradient ? cr_take(r, R, sizeof(double)) : NULL;
}

bool cr_tile_sizes(const cr_tile_shape *shape, size_t *saved_bytes, size_t *scratch_bytes,
                   cr_error *err) {
  cr_tile t = { .shape = *shape };
  cr_region r = { 0 };
  size_t numbers = 0;
  lay_out(&t, &r);
  bool fits = cr_size_mul((size_t)(shape->rows + shape->references),
                          (size_t)shape->width * sizeof(real), &numbers);
  if (r.overflow || !fits)
    return cr_fail(err, CR_EMEMORY, "a batch of %lld rows is too large", (long long)shape->rows);
  *scratch_bytes = r.used;
  *saved_bytes = shape->gradient ? numbers : 0;
  return true;
}

/* ---- start ----------------------------------------------------------------------------------- */

/* In lanes, so that the order of the sum does not depend on the processor's vectors. */
CR_VECTOR static double dot(int64_t width, const real *restrict a, const real *restrict b) {
  double lane[16] = { 0 }, sum = 0;
  int64_t k = 0;
  for (; k + 16 <= width; k += 16)
    for (int l = 0; l < 16; l++) lane[l] += (double)a[k + l] * (double)b[k + l];
  for (; k < width; k++) sum += (double)a[k] * (double)b[k];
  for (int l = 0; l < 16; l++) sum += lane[l];
  return sum;
}

CR_VECTOR static void scaled(int64_t n, real by, const real *restrict from, real *restrict to) {
  for (int64_t k = 0; k < n; k++) to[k] = by * from[k];
}

/* One side of the pairs, the rows or the references: given rows become packed ones. */
typedef struct side {
  const cr_tile_shape *s;
  int64_t rows;
  const real *given, *mean;
  const int64_t *order;
  real *inverse, *x, *xx;
} side;

/* x[r] = given[order[r]], normalised if wished */
static void pack_rows(void *context, int64_t begin, int64_t end) {
  const side *p = context;
  int64_t width = p->s->width;
  for (int64_t r = begin; r < end; r++) {
    const real *from = p->given + p->order[r] * width;
    real *to = p->x + r * width;
    if (p->s->normalize) {
      double length = sqrt(dot(width, from, from));
      p->inverse[r] = (real)(1 / (length < p->s->least_norm ? p->s->least_norm : length));
      scaled(width, p->inverse[r], from, to);
    } else {
      memcpy(to, from, (size_t)width * sizeof *to);
    }
  }
}

static void centre_rows(void *context, int64_t begin, int64_t end) {
  const side *p = context;
  for (int64_t r = begin; r < end; r++) {
    real *row = p->x + r * p->s->width;
    p->xx[r] = cr_pairs_centre(p->s->width, row, p->mean, row);
  }
}

/* fn over rows of `width` numbers, shared out where there are many */
static void each_row(int64_t rows, int64_t width, cr_range_fn fn, void *context) {
  cr_pool_for(rows, rows * width < SMALL ? rows : 32, fn, context);
}

static void find_slices(cr_tile *t) {
  const cr_tile_shape *s = &t->shape;
  int64_t n = columns_of(s);
  for (int64_t r = 0; r < s->rows; r++) {
    int64_t wanted = t->label[t->order[r]];
    bool again = r > 0 && t->label[t->order[r - 1]] == wanted;
    if (again) t->begin[r] = t->begin[r - 1], t->end[r] = t->end[r - 1];
    else cr_label_slice(n, t->reference_label, t->reference_order, wanted, &t->begin[r],
                        &t->end[r]);
    int64_t same = t->end[r] - t->begin[r], positives = same - (t->pairs.same ? 1 : 0);
    t->positive_pairs += positives;
    t->negative_pairs += n - same;
    t->triplets += (double)positives * (double)(n - same);
    t->anchors += positives > 0 && n > same;
  }
}

void cr_tile_start(cr_tile *t, const cr_tile_shape *shape, const real *x, const int64_t *label,
                   const real *references, const int64_t *reference_label, void *scratch) {
  *t = (cr_tile){ .shape = *shape, .kept_first = -1, .healthy = true };
  cr_tile_shape *s = &t->shape;
  int64_t B = s->rows, R = s->references, n = columns_of(s);
  cr_region r = { .base = scratch };
  lay_out(t, &r);
  s->normalize |= s->metric == CR_COSINE;
  if (!(s->least_norm > 0)) s->least_norm = 1e-12;
  t->tile_rows = tile_rows_of(s);
  t->given = x;
  t->given_references = references;
  t->label = label;
  t->reference_label = R > 0 ? reference_label : label;
  t->pairs = (cr_pairs){ .metric = s->metric, .squared = s->squared, .same = R == 0, .rows = B,
                         .columns = n,
                         .width = s->width, .x = t->x, .y = t->y, .xx = t->xx, .yy = t->yy };
  t->sums.symmetric = s->symmetric;

  cr_label_order(B, label, t->order, t->begin);
  if (R > 0) cr_label_order(R, reference_label, t->reference_order, t->spare);
  find_slices(t);
  side own = { s, B, x, t->mean, t->order, t->inverse, t->x, t->xx };
  side other = { s, R, references, t->mean, t->reference_order, t->reference_inverse, t->y, t->yy };
  each_row(B, s->width, pack_rows, &own);
  each_row(R, s->width, pack_rows, &other);
  if (s->metric == CR_EUCLIDEAN) {
    cr_pairs_mean(n, s->width, t->y, t->mean);
    each_row(B, s->width, centre_rows, &own);
    each_row(R, s->width, centre_rows, &other);
  }
  if (!s->gradient) return;
  memset(t->close, 0, (size_t)t->tile_rows * sizeof(bool));
  memset(t->sums.gx, 0, (size_t)(B * s->width) * sizeof(real));
  memset(t->sums.sx, 0, (size_t)B * sizeof(double));
  if (t->sums.gy != NULL) memset(t->sums.gy, 0, (size_t)(R * s->width) * sizeof(real));
  if (t->sums.sy != NULL) memset(t->sums.sy, 0, (size_t)R * sizeof(double));
}

/* ---- passes ---------------------------------------------------------------------------------- */

typedef struct pass {
  cr_tile *t;
  cr_row_fn fn;
  void *context;
  bool weights, ready;          /* ready: d holds distances already */
  int64_t rows_per_block;
} pass;

static void do_row(const pass *p, int64_t r, int worker) {
  cr_tile *t = p->t;
  int64_t n = t->pairs.columns, i = t->first + r, begin = t->begin[i], end = t->end[i];
  real *d = t->d + r * n, *w = p->weights ? t->w + r * n : NULL;
  double *sum = t->row_sums + r * (CR_ROW_SUMS + 2);
  size_t scratch = (t->shape.row_scratch_bytes + 63) & ~(size_t)63;
  if (!p->ready) t->close[r] = cr_pairs_row(&t->pairs, i, d);
  memset(sum, 0, (CR_ROW_SUMS + 2) * sizeof *sum);
  double near = cr_pairs_sum(end - begin, d + begin) - (t->pairs.same ? (double)d[i] : 0);
  double far = cr_pairs_sum(begin, d) + cr_pairs_sum(n - end, d + end);
  sum[CR_ROW_SUMS] = near;
  sum[CR_ROW_SUMS + 1] = far;
  if (!isfinite(near + far)) {
    if (w != NULL) memset(w, 0, (size_t)n * sizeof *w);
    t->close[r] = false;
    return;
  }
  cr_row row = { .tile = t, .i = i, .columns = n, .begin = begin, .end = end,
                 .self = t->pairs.same ? i : -1,
                 .positives = end - begin - (t->pairs.same ? 1 : 0), .negatives = n - (end - begin),
                 .d = d, .w = w, .sum = sum, .scratch = t->row_scratch + (size_t)worker * scratch };
  p->fn(&row, p->context);
}

/* whole_classes: all distances of the tile must be there before the first row function reads those
 * of another row */
static void distances_block(void *context, int64_t block, int worker) {
  const pass *p = context;
  cr_tile *t = p->t;
  int64_t begin = block * p->rows_per_block, end = begin + p->rows_per_block;
  (void)worker;
  for (int64_t r = begin; r < end && r < t->count; r++)
    t->close[r] = cr_pairs_row(&t->pairs, t->first + r, t->d + r * t->pairs.columns);
}

static void rows_block(void *context, int64_t block, int worker) {
  const pass *p = context;
  cr_tile *t = p->t;
  int64_t n = t->pairs.columns, begin = block * p->rows_per_block, end = begin + p->rows_per_block;
  for (int64_t r = begin; r < end && r < t->count; r++) {
    do_row(p, r, worker);
    if (p->weights)
      t->mode[r] = cr_pairs_slope_row(&t->pairs, &t->sums, t->first + r, t->d + r * n,
                                      t->w + r * n, t->close[r]);
  }
}

static void run(pass *p, cr_block_fn fn) {
  int64_t blocks = (p->t->count + p->rows_per_block - 1) / p->rows_per_block;
  if (p->t->count * p->t->pairs.columns < SMALL)
    for (int64_t b = 0; b < blocks; b++) fn(p, b, 0);
  else cr_pool_run(blocks, fn, p);
}

/* The rows of the tile that starts at `first`: as many as fit, or as many whole classes. */
static int64_t tile_count(const cr_tile *t, int64_t first) {
  int64_t left = t->shape.rows - first, count = left < t->tile_rows ? left : t->tile_rows;
  if (t->shape.whole_classes == 0) return count;
  while (first + count < t->shape.rows && t->begin[first + count] == t->begin[first + count - 1])
    count--;
  return count;
}

void cr_tile_pass(cr_tile *t, cr_row_fn fn, void *context, bool weights, double sum[CR_ROW_SUMS]) {
  int64_t n = t->pairs.columns;
  pass p = { .t = t, .fn = fn, .context = context, .weights = weights && t->shape.gradient };
  p.rows_per_block = n > 0 && 8192 / n > 0 ? 8192 / n : 1;
  memset(sum, 0, CR_ROW_SUMS * sizeof *sum);
  t->positive_distance = t->negative_distance = 0;
  for (t->first = 0; t->first < t->shape.rows; t->first += t->count) {
    t->count = tile_count(t, t->first);
    p.ready = t->kept_first == t->first;
    if (!p.ready) cr_pairs_products(&t->pairs, t->first, t->count, t->d);
    t->kept_first = t->first;
    if (t->shape.whole_classes > 0 && !p.ready) {
      run(&p, distances_block);
      p.ready = true;
    }
    run(&p, rows_block);
    for (int64_t r = 0; r < t->count; r++) {
      const double *row = t->row_sums + r * (CR_ROW_SUMS + 2);
      for (int k = 0; k < CR_ROW_SUMS; k++) sum[k] += row[k];
      t->positive_distance += row[CR_ROW_SUMS];
      t->negative_distance += row[CR_ROW_SUMS + 1];
    }
    if (p.weights) cr_pairs_collect(&t->pairs, &t->sums, t->first, t->count, t->d, t->w, t->mode);
  }
  t->healthy = isfinite(t->positive_distance + t->negative_distance);
}

const real *cr_tile_row(const cr_tile *t, int64_t i) {
  return t->d + (i - t->first) * t->pairs.columns;
}

/* ---- gradient -------------------------------------------------------------------------------- */

/* out = by * g - along * x */
CR_VECTOR static void turn(int64_t width, double by, double along, const real *restrict x,
                           const real *restrict g, real *restrict out) {
  for (int64_t k = 0; k < width; k++) out[k] = (real)(by * (double)g[k] - along * (double)x[k]);
}

typedef struct {
  const side *side;
  double by;
  const real *g;
  real *out;
} undo_job;

/* The gradient of given rows from that of packed ones: by * (g, or its part that turns x when x was
 * normalised) */
static void undo_rows(void *context, int64_t begin, int64_t end) {
  const undo_job *j = context;
  const side *p = j->side;
  int64_t width = p->s->width;
  for (int64_t r = begin; r < end; r++) {
    int64_t to = p->order[r] * width;
    const real *x = p->given + to, *g = j->g + r * width;
    double by = j->by, along = 0, inverse = p->s->normalize ? (double)p->inverse[r] : 1;
    by *= inverse;
    /* below that norm the divisor is a constant */
    if (p->s->normalize && inverse < 0.99 / p->s->least_norm)
      along = by * dot(width, x, g) * inverse * inverse;
    turn(width, by, along, x, g, j->out + to);
  }
}

static void undo(const side *p, double by, const real *g, real *out) {
  undo_job j = { p, by, g, out };
  each_row(p->rows, p->s->width, undo_rows, &j);
}

void cr_tile_gradient(cr_tile *t, double scale, real *saved) {
  const cr_tile_shape *s = &t->shape;
  if (!s->gradient) return;
  if (!t->healthy) scale = NAN;
  cr_pairs_gradient(&t->pairs, &t->sums);
  side own = { .s = s, .rows = s->rows, .given = t->given, .order = t->order, .inverse = t->inverse };
  undo(&own, scale, t->sums.gx, saved);
  if (t->sums.gy == NULL) return;
  side other = { .s = s, .rows = s->references, .given = t->given_references,
                 .order = t->reference_order, .inverse = t->reference_inverse };
  undo(&other, scale, t->sums.gy, saved + s->rows * s->width);
}

void cr_tile_backward(const cr_tile_shape *shape, const real *saved, double gout, real *gx,
                      real *greferences) {
  int64_t own = shape->rows * shape->width;
  if (gx != NULL) scaled(own, (real)gout, saved, gx);
  if (greferences != NULL)
    scaled(shape->references * shape->width, (real)gout, saved + own, greferences);
}

double cr_tile_result(const cr_tile *t, double loss) { return t->healthy ? loss : NAN; }
