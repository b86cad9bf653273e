/* dynamic_soft_margin.c - triplets weighed by how hard they are among those seen so far
 *
 * x = d_ap - d_an of a triplet; a running histogram of x over the edges min_val + b delta, b = 0 ..
 * n-1, gives a cumulative distribution C, and
 *
 *   L = mean over triplets of  C[bin of x] x
 *
 * delta = 2 |min_val| / n. The histogram is an input that the call changes: a tensor [N] of real,
 * zeros at first. It belongs in a checkpoint, and tells the number of bins. Of the batch a triplet
 * gives each of its two neighbouring edges a share by nearness, the counts are mixed in as (1 -
 * momentum) histogram + momentum counts, and the result is divided by its sum; a histogram of zeros
 * is replaced. (As in the reference: counts are not divided by their number first, so a batch
 * weighs far more than momentum says.) The gradient goes through the batch's part of the histogram
 * too.
 *
 * What lies below min_val counts in the first bin and what lies in or past the last bin there; the
 * reference writes outside its histogram instead. For normalised rows (the default) x is in [-2,
 * 2].
 *
 * The slope of L by x depends on the bin only. So of every anchor only the numbers and sums of d_an
 * between the thresholds d_ap - edge_b are needed, K N thresholds that a counting sort finds in
 * constant time for each negative: time B^2 D + B^2 + B K N, not B^2 K. Memory a tile of rows by B,
 * and B N. No triplet: 0 with zero gradient, and the histogram stays. */
#include <string.h>
#include <tgmath.h>

#include "autograd/batch_loss.h"
#include "kernels/triplet_rows.h"

enum { HISTOGRAM = CR_BATCH_MORE };
enum { MIN_VAL, MOMENTUM, DISTANCE, SQUARED, NORMALIZE };
enum { TRIPLETS = CR_BATCH_STATS };

static const cr_input inputs[] = {
  CR_BATCH_INPUTS,
  [HISTOGRAM] = { "histogram", "N", CR_TREAL, CR_INPLACE },
  { 0 }
};

static const cr_option options[] = {
  [MIN_VAL]  = { "min_val", -2, -1e30, -1e-30, "least d_ap - d_an of interest, below 0", CR_NUMBER,
                 NULL, false },
  [MOMENTUM] = { "momentum", 0.01, 0, 1, "how much a batch changes the histogram", CR_NUMBER, NULL,
                 false },
  [DISTANCE] = CR_BATCH_OPTIONS(CR_EUCLIDEAN, 0, 1),
  { 0 }
};

/* active: the share of triplets in bins from 0 on, that is with the negative nearer */
static const char *const stats[] = { CR_BATCH_STAT_NAMES, [TRIPLETS] = "triplets", NULL };

/* What a row needs for m thresholds: themselves, places of negatives, numbers and sums by place. */
static size_t row_bytes(int64_t m) {
  return cr_batch_aligned((size_t)m * sizeof(real)) +
         cr_batch_aligned(CR_RANK_CHUNK * sizeof(int32_t)) +
         2 * cr_batch_aligned((size_t)(m + 1) * sizeof(double)) + cr_rank_bytes(m);
}

/* for each row: numbers and sums of x by bin, and below the first */
static size_t counts_bytes(const cr_call *c) {
  int64_t N = c->dim['N'];
  return (size_t)((c->dim['B'] + 3) * 2 * (N + 1)) * sizeof(double);
}

static cr_tile_shape shape_of(const cr_call *c) {
  cr_tile_shape shape = cr_batch_shape(c, DISTANCE);
  shape.row_scratch_bytes = row_bytes(c->dim['a'] * c->dim['N']);
  return shape;
}

static bool check(cr_call *c, cr_error *err) {
  if (c->dim['N'] < 1)
    return cr_fail(err, CR_ESHAPE, "histogram must have a bin or more, got none");
  if (!cr_batch_largest(c, &c->dim['a'], err)) return false;
  cr_tile_shape shape = shape_of(c);
  return cr_batch_check(c, &shape, counts_bytes(c), 0, err);
}

/* ---- rows ------------------------------------------------------------------------------------ */

typedef struct settings {
  int64_t bins, largest;
  double low, width;          /* the first edge, and from edge to edge */
  double *counts;             /* [B][2][bins + 1]; place 0: below the first edge */
  const double *slope;        /* [bins + 1]: of the loss by x, by bin */
} settings;

typedef struct work {
  real *u;
  int32_t *place;
  double *number, *sum;       /* [thresholds + 1], by place; then up to each place */
  cr_rank rank;
} work;

static work work_of(const settings *s, const cr_row *row) {
  int64_t m = s->largest * s->bins;
  unsigned char *at = row->scratch;
  work w = { .u = (real *)(void *)at };
  at += cr_batch_aligned((size_t)m * sizeof(real));
  w.place = (int32_t *)(void *)at;
  at += cr_batch_aligned(CR_RANK_CHUNK * sizeof(int32_t));
  w.number = (double *)(void *)at;
  at += cr_batch_aligned((size_t)(m + 1) * sizeof(double));
  w.sum = (double *)(void *)at;
  at += cr_batch_aligned((size_t)(m + 1) * sizeof(double));
  int64_t k = 0;
  for (int64_t p = row->begin; p < row->end; p++)
    for (int64_t b = 0; p != row->self && b < s->bins; b++)
      /* an x that is just at an edge belongs to the bin above: d_an <= u, not d_an < u */
      w.u[k++] = nextafter(row->d[p] - (real)(s->low + (double)b * s->width), (real)INFINITY);
  memset(w.number, 0, (size_t)(k + 1) * sizeof(double));
  memset(w.sum, 0, (size_t)(k + 1) * sizeof(double));
  cr_rank_start(&w.rank, k, w.u, at);
  return w;
}

/* Negatives in chunks: the next run of them from *begin on, and their places. */
static int64_t next_chunk(const cr_row *row, work *w, int64_t *begin) {
  if (*begin == row->begin) *begin = row->end;
  int64_t border = *begin < row->begin ? row->begin : row->columns, n = border - *begin;
  n = n < CR_RANK_CHUNK ? n : CR_RANK_CHUNK;
  cr_rank_places(&w->rank, n, row->d + *begin, w->place);
  return n;
}

static void count_row(const cr_row *row, void *context) {
  const settings *s = context;
  double *count = s->counts + row->i * 2 * (s->bins + 1), *sums = count + s->bins + 1;
  if (row->positives == 0 || row->negatives == 0) return;
  work w = work_of(s, row);
  for (int64_t begin = 0, n; begin < row->columns; begin += n) {
    n = next_chunk(row, &w, &begin);
    for (int64_t j = 0; j < n; j++) {
      w.number[w.place[j]]++;
      w.sum[w.place[j]] += (double)row->d[begin + j];
    }
  }
  /* by threshold: how many negatives are nearer, and the sum of their distances */
  int64_t m = row->positives * s->bins;
  double number = 0, sum = 0;
  for (int64_t i = 0; i < m; i++) {
    int64_t at = w.rank.order[i], b = at % s->bins, p = at / s->bins + row->begin;
    if (row->self >= 0 && p >= row->self) p++;
    number += w.number[i];
    sum += w.sum[i];
    double x = number * (double)row->d[p] - sum;    /* the sum of d_ap - d_an of those */
    count[b + 1] += number;
    count[b] -= number;
    sums[b + 1] += x;
    sums[b] -= x;
  }
  number += w.number[m];
  sum += w.sum[m];
  count[0] += number * (double)row->positives;
  for (int64_t p = row->begin; p < row->end; p++)
    if (p != row->self) sums[0] += number * (double)row->d[p] - sum;
}

/* A negative's slope changes from one threshold to the next, a positive's is the sum over its
 * bins. */
static void slope_row(const cr_row *row, void *context) {
  const settings *s = context;
  const double *slope = s->slope;
  if (row->w != NULL) memset(row->w, 0, (size_t)row->columns * sizeof *row->w);
  if (row->positives == 0 || row->negatives == 0 || row->w == NULL) return;
  work w = work_of(s, row);
  int64_t m = row->positives * s->bins;
  w.sum[0] = -(double)row->positives * slope[s->bins];
  for (int64_t i = 0; i < m; i++) {
    int64_t b = w.rank.order[i] % s->bins;
    w.sum[i + 1] = w.sum[i] + slope[b + 1] - slope[b];
  }
  for (int64_t begin = 0, n; begin < row->columns; begin += n) {
    n = next_chunk(row, &w, &begin);
    for (int64_t j = 0; j < n; j++) {
      w.number[w.place[j]]++;
      row->w[begin + j] = (real)w.sum[w.place[j]];
    }
  }
  double nearer = 0;            /* negatives nearer than threshold i */
  for (int64_t i = 0; i < m; i++) {
    int64_t at = w.rank.order[i], b = at % s->bins, p = at / s->bins + row->begin;
    if (row->self >= 0 && p >= row->self) p++;
    nearer += w.number[i];
    row->w[p] += (real)(nearer * (slope[b + 1] - slope[b]));
  }
  for (int64_t p = row->begin; p < row->end; p++)
    if (p != row->self) row->w[p] += (real)((double)row->negatives * slope[0]);
}

/* ---- histogram ------------------------------------------------------------------------------- */

/* The new histogram, and from it the loss and its slope by bin. x: numbers and sums by bin. */
static double mix(const settings *s, const double *x, double momentum, real *histogram,
                  double *next, double *slope) {
  int64_t N = s->bins;
  const double *number = x, *sum = x + N + 1;
  double old = 0, all = 0, triplets = 0, so_far = 0, loss = 0;
  for (int64_t b = 0; b < N; b++) old += (double)histogram[b];
  if (old == 0) momentum = 1;
  for (int64_t b = 0; b < N; b++) next[b] = (1 - momentum) * (double)histogram[b];
  next[0] += momentum * number[0];
  for (int64_t b = 0; b < N; b++) {
    double edge = s->low + (double)b * s->width;
    double beyond = b + 1 < N ? (sum[b + 1] - number[b + 1] * edge) / s->width : 0;
    next[b] += momentum * (number[b + 1] - beyond);
    if (b + 1 < N) next[b + 1] += momentum * beyond;
  }
  for (int64_t b = 0; b <= N; b++) triplets += number[b];
  for (int64_t b = 0; b < N; b++) all += next[b];
  for (int64_t b = 0; b < N; b++) {
    so_far += next[b] / all;
    double inside = sum[b + 1] + (b == 0 ? sum[0] : 0);
    loss += so_far * inside / triplets;
    slope[b + 1] = so_far / triplets;
    if (b == 0) slope[0] = slope[1];
    if (b + 1 < N) slope[b + 1] -= momentum * inside / (all * s->width * triplets);
    histogram[b] = (real)(next[b] / all);
  }
  return loss;
}

static void forward(cr_call *c) {
  cr_tile_shape shape = shape_of(c);
  int64_t N = c->dim['N'], B = shape.rows;
  double low = c->option[MIN_VAL], sum[CR_ROW_SUMS], loss = 0, wrong = 0;
  double *memory = cr_batch_scratch(c, counts_bytes(c)), *counts = memory + 6 * (N + 1);
  double *slope = memory, *next = memory + 2 * (N + 1), *total = memory + 4 * (N + 1);
  settings s = { N, c->dim['a'], low, 2 * fabs(low) / (double)N, counts, slope };
  memset(memory, 0, counts_bytes(c));
  cr_tile t;
  cr_batch_start(&t, c, &shape);
  cr_tile_pass(&t, count_row, &s, false, sum);
  for (int64_t i = 0; i < B; i++)
    for (int64_t k = 0; k < 2 * (N + 1); k++) total[k] += counts[i * 2 * (N + 1) + k];
  for (int64_t b = 0; b <= N; b++)
    if (low + (double)(b - 1) * s.width >= -1e-9) wrong += total[b];
  if (t.triplets > 0 && t.healthy) {
    loss = mix(&s, total, c->option[MOMENTUM], cr_reals(c->in[HISTOGRAM]), next, slope);
    if (c->wants_grad) cr_tile_pass(&t, slope_row, &s, true, sum);
  }
  cr_batch_end(c, &t, 1, loss, cr_ratio(wrong, t.triplets));
  c->stat[TRIPLETS] = t.triplets;
}

const cr_op cr_loss_dynamic_soft_margin = {
  .name = "dynamic_soft_margin", .help = "triplets weighed by the running distribution of how "
                                         "hard they are",
  .formula = "mean over triplets of C[d(a,p) - d(a,n)] (d(a,p) - d(a,n)), C a running cumulative "
             "histogram",
  .paper = "Zhang, Rusinkiewicz, \"Learning local descriptors with a CDF-based dynamic soft "
           "margin\", ICCV 2019, eqs. 4 and 5",
  .differs = "pytorch-metric-learning keeps the histogram outside checkpoints and writes past its "
             "end from d(a,p) - d(a,n) = 1.6 on; the paper has no gradient through the histogram",
  .inputs = inputs, .options = options, .stats = stats, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = cr_batch_backward,
};
