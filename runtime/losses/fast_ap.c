/* fast_ap.c - FastAP: one minus average precision from soft histograms of distances
 *
 * Distances of a row are counted in `bins` + 1 edges, 0, delta, 2 delta, ..., range: a distance
 * gives each of its two neighbouring edges a share by nearness. With h+ and h the counts of
 * positives and of all, and H+ and H their cumulative sums,
 *
 *   L = 1 - (1 / positives) sum_k h+_k H+_k / H_k
 *
 * over the rows that have a positive. reduction = "mean", "sum", or "nonzero" (rows with a loss
 * above 0). The histogram needs a range: 2 for the Euclidean distance of normalised rows, 4 when
 * squared (the default), 2 for the cosine distance; other distances, or rows that are not
 * normalised, need the option `range`. What lies beyond the range counts at its end, without a
 * gradient.
 *
 * A pair touches two edges, so the time is B^2 D + B^2 + B bins; memory a tile of rows by B. */
#include <math.h>
#include <string.h>

#include "autograd/batch_loss.h"

enum { BINS, RANGE, DISTANCE, SQUARED, NORMALIZE, REDUCTION };
enum { LANES = 4 };             /* histograms side by side: counts do not wait for each other */

static const cr_input inputs[] = { CR_BATCH_INPUTS, { 0 } };

static const cr_option options[] = {
  [BINS]      = { "bins", 10, 1, 4096, "bins of the histogram", CR_COUNT, NULL, false },
  [RANGE]     = { "range", NAN, 1e-30, 1e30, "largest distance; default for normalised rows",
                  CR_NUMBER, NULL, false },
  [DISTANCE]  = CR_BATCH_OPTIONS(CR_EUCLIDEAN, 1, 1),
  [REDUCTION] = CR_BATCH_REDUCTION(CR_BATCH_MEAN),
  { 0 }
};

static const char *const stats[] = { CR_BATCH_STAT_NAMES, NULL };

static cr_tile_shape shape_of(const cr_call *c) {
  cr_tile_shape shape = cr_batch_shape(c, DISTANCE);
  if (shape.metric == CR_COSINE || shape.metric == CR_DOT) shape.squared = false;
  shape.row_scratch_bytes = (LANES + 5) * ((size_t)c->option[BINS] + 1) * sizeof(double);
  return shape;
}

static bool check(cr_call *c, cr_error *err) {
  cr_tile_shape shape = shape_of(c);
  bool known = shape.metric == CR_COSINE || (shape.metric == CR_EUCLIDEAN && shape.normalize);
  if (!known && isnan(c->option[RANGE]))
    return cr_fail(err, CR_EVALUE, "range must be given unless distance is \"cosine\", or "
                   "\"euclidean\" with normalize = true");
  return cr_batch_check(c, &shape, 0, 0, err);
}

enum { LOSS, ROWS, ACTIVE_ROWS };

typedef struct settings { int bins; real per_unit; } settings;

/* bins per distance: the bin and how far into it */
static inline int bin_of(const settings *s, real d, real *into) {
  real x = d * s->per_unit, most = (real)s->bins;
  x = x < 0 ? 0 : x < most ? x : most;
  int k = (int)x;
  k = k < s->bins ? k : s->bins - 1;
  *into = x - (real)k;
  return k;
}

static void count(const settings *s, const cr_row *row, int64_t begin, int64_t end, double *h) {
  for (int64_t j = begin; j < end; j++) {
    real into;
    double *lane = h + (j % LANES) * (s->bins + 1);
    int k = bin_of(s, row->d[j], &into);
    if (j == row->self) continue;
    lane[k] += 1 - (double)into;
    lane[k + 1] += (double)into;
  }
}

static void add_lanes(int edges, double *h, double *out) {
  for (int k = 0; k < edges; k++)
    for (int l = 0; l < LANES; l++) {
      out[k] += h[l * edges + k];
      h[l * edges + k] = 0;
    }
}

/* Slopes by distance: the difference of what the two edges of a bin are worth. */
static void slopes(const settings *s, const cr_row *row, int64_t begin, int64_t end,
                   const double *worth) {
  for (int64_t j = begin; j < end; j++) {
    real into;
    int k = bin_of(s, row->d[j], &into);
    bool inside = row->d[j] * s->per_unit < (real)s->bins;
    row->w[j] = inside ? (real)((worth[k + 1] - worth[k]) * (double)s->per_unit) : 0;
  }
}

static void fast_ap_row(const cr_row *row, void *context) {
  const settings *s = context;
  int edges = s->bins + 1;
  double *h = row->scratch, *positive = h + LANES * edges, *all = positive + edges;
  double *positive_worth = all + edges, *worth = positive_worth + edges, *own = worth + edges;
  if (row->positives == 0) {
    if (row->w != NULL) memset(row->w, 0, (size_t)row->columns * sizeof *row->w);
    return;
  }
  memset(h, 0, (size_t)((LANES + 2) * edges) * sizeof *h);
  count(s, row, row->begin, row->end, h);
  add_lanes(edges, h, positive);
  count(s, row, 0, row->begin, h);
  count(s, row, row->end, row->columns, h);
  add_lanes(edges, h, all);

  double P = (double)row->positives, so_far = 0, total = 0, ap = 0;
  for (int k = 0; k < edges; k++) {
    own[k] = so_far += positive[k];
    all[k] = total += all[k] + positive[k];
    if (total > 0) ap += positive[k] * so_far / total;
  }
  double loss = 1 - ap / P;
  row->sum[LOSS] = loss;
  row->sum[ROWS] = 1;
  row->sum[ACTIVE_ROWS] = loss > 0;
  if (row->w == NULL) return;
  double hits = 0, lost = 0;      /* from edge k on: sums of h+ / H and of h+ H+ / H^2 */
  for (int k = edges - 1; k >= 0; k--) {
    double inverse = all[k] > 0 ? 1 / all[k] : 0;
    hits += positive[k] * inverse;
    lost += positive[k] * own[k] * inverse * inverse;
    positive_worth[k] = -(own[k] * inverse + hits - lost) / P;
    worth[k] = lost / P;
  }
  slopes(s, row, 0, row->begin, worth);
  slopes(s, row, row->begin, row->end, positive_worth);
  slopes(s, row, row->end, row->columns, worth);
}

static void forward(cr_call *c) {
  cr_tile_shape shape = shape_of(c);
  double range = !isnan(c->option[RANGE]) ? c->option[RANGE] : shape.squared ? 4 : 2;
  settings s = { (int)c->option[BINS], (real)(c->option[BINS] / range) };
  double sum[CR_ROW_SUMS];
  cr_tile t;
  cr_batch_start(&t, c, &shape);
  cr_tile_pass(&t, fast_ap_row, &s, c->wants_grad, sum);
  double scale = cr_batch_scale(c->option[REDUCTION], sum[ROWS], sum[ACTIVE_ROWS]);
  cr_batch_end(c, &t, scale, scale * sum[LOSS], cr_ratio(sum[ACTIVE_ROWS], sum[ROWS]));
}

const cr_op cr_loss_fast_ap = {
  .name = "fast_ap", .help = "one minus average precision, from soft histograms of distances",
  .formula = "row mean of 1 - (1/P) sum_k h+_k H+_k / H_k",
  .paper = "Cakir, He, Xia, Kulis, Sclaroff, \"Deep metric learning to rank\", CVPR 2019, eq. 8",
  .differs = "pytorch-metric-learning holds a B x B x bins tensor; here a pair touches two bins. "
             "normalize and squared are on by default, as there",
  .inputs = inputs, .options = options, .stats = stats, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = cr_batch_backward,
};
