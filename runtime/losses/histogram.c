/* histogram.c - histogram loss: how likely a negative pair is more similar than a positive one
 *
 * The similarities of all positive and of all negative pairs are counted in two soft histograms on
 * the edges -1, -1 + delta, ..., 1 (a pair gives each of its two neighbouring edges a share by
 * nearness, and each histogram sums to 1):
 *
 *   L = sum_r negative_r sum_{q <= r} positive_q
 *
 * delta = 2 / bins, and bins = 100, or give delta itself. Similarities are cosines. The pairs are
 * those that occur in a triplet: a row that is alone in its class takes part as the negative of
 * others only. A similarity at 1 counts in the last bin (the reference fails there).
 *
 * Time B^2 D, and two gathers a pair; memory a tile of rows by B, and a histogram for each row of
 * a tile: rows add to their own, which are added up in order. No triplet: 0 with zero gradient. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "autograd/batch_loss.h"

enum { BINS, DELTA };
enum { MOST_BINS = 4096, SLOTS = 512 };     /* SLOTS: no tile has more rows */

static const cr_input inputs[] = {
  [CR_BATCH_X]      = { "embeddings", "B D", CR_TREAL, 0 },
  [CR_BATCH_LABELS] = { "labels",     "B",   CR_TINT,  CR_NOGRAD },
  { 0 }
};

static const cr_option options[] = {
  [BINS]  = { "bins", NAN, 1, MOST_BINS, "bins from -1 to 1; default 100", CR_COUNT, NULL, false },
  [DELTA] = { "delta", NAN, 2.0 / MOST_BINS, 2, "width of a bin", CR_NUMBER, NULL, false },
  { 0 }
};

/* active: 1 when there are pairs of both kinds, else 0 */
static const char *const stats[] = { CR_BATCH_STAT_NAMES, NULL };

static int edges_of(const cr_call *c) {
  if (!isnan(c->option[BINS])) return (int)c->option[BINS] + 1;
  return isnan(c->option[DELTA]) ? 101 : (int)lround(2 / c->option[DELTA]) + 1;
}

static cr_tile_shape shape_of(const cr_call *c) {
  cr_tile_shape shape = cr_batch_shape(c, -1);
  shape.metric = CR_COSINE;
  shape.symmetric = true;
  return shape;
}

/* two histograms for each slot, and what a pair in each bin is worth */
static size_t histogram_bytes(const cr_call *c) {
  return (size_t)((SLOTS + 1) * 2 * edges_of(c)) * sizeof(double);
}

static bool check(cr_call *c, cr_error *err) {
  cr_tile_shape shape = shape_of(c);
  double bins = c->option[BINS], delta = c->option[DELTA];
  if (!isnan(bins) && !isnan(delta) && fabs(delta * bins - 2) > 1e-9)
    return cr_fail(err, CR_EVALUE, "delta must be 2 / bins = %g, got %g", 2 / bins, delta);
  return cr_batch_check(c, &shape, histogram_bytes(c), 0, err);
}

typedef struct settings {
  int edges;
  real per_unit;              /* bins per similarity */
  bool counting;
  double *histogram;          /* [SLOTS][2][edges] */
  double *worth;              /* [2][edges]: slope of the loss by the similarity, by bin */
} settings;

enum { POSITIVES, NEGATIVES };

static inline int bin_of(const settings *s, real d, real *into) {
  real x = (2 - d) * s->per_unit, most = (real)(s->edges - 1);
  x = x < 0 ? 0 : x < most ? x : most;
  int k = (int)x;
  k = k < s->edges - 1 ? k : s->edges - 2;
  *into = x - (real)k;
  return k;
}

static void run(const settings *s, const cr_row *row, int64_t begin, int64_t end, int side) {
  double *h = s->histogram + ((row->i - row->tile->first) * 2 + side) * s->edges;
  const double *worth = s->worth + side * s->edges;
  const cr_tile *t = row->tile;
  bool own = row->positives > 0;
  for (int64_t j = begin; j < end; j++) {
    real into;
    int k = bin_of(s, row->d[j], &into);
    if (j == row->self) continue;
    bool counts = own || t->end[j] - t->begin[j] > 1;
    if (s->counting && counts) {
      h[k] += 1 - (double)into;
      h[k + 1] += (double)into;
      row->sum[side]++;
    }
    if (row->w != NULL) row->w[j] = counts ? (real)-worth[k] : 0;
  }
}

static void histogram_row(const cr_row *row, void *context) {
  run(context, row, 0, row->begin, NEGATIVES);
  run(context, row, row->begin, row->end, POSITIVES);
  run(context, row, row->end, row->columns, NEGATIVES);
}

/* The sum over slots, divided by the number of pairs, into slot 0. */
static void add_up(settings *s, int64_t slots, const double *pairs) {
  for (int64_t k = 1; k < slots; k++)
    for (int e = 0; e < 2 * s->edges; e++) s->histogram[e] += s->histogram[k * 2 * s->edges + e];
  for (int e = 0; e < 2 * s->edges; e++) s->histogram[e] *= cr_ratio(1, pairs[e / s->edges]);
}

static double loss_and_worth(settings *s, const double *pairs) {
  const double *positive = s->histogram, *negative = positive + s->edges;
  double *worth = s->worth, so_far = 0, loss = 0;
  for (int e = 0; e < s->edges; e++) loss += negative[e] * (so_far += positive[e]);
  for (int k = 0; k + 1 < s->edges; k++) {
    worth[k] = -negative[k] * (double)s->per_unit / pairs[POSITIVES];
    worth[s->edges + k] = positive[k + 1] * (double)s->per_unit / pairs[NEGATIVES];
  }
  return loss;
}

static void forward(cr_call *c) {
  cr_tile_shape shape = shape_of(c);
  double *memory = cr_batch_scratch(c, histogram_bytes(c)), pairs[CR_ROW_SUMS], rest[CR_ROW_SUMS];
  int edges = edges_of(c);
  double delta = isnan(c->option[DELTA]) ? 2.0 / (edges - 1) : c->option[DELTA];
  settings s = { edges, (real)(1 / delta), true, memory + 2 * edges, memory };
  memset(memory, 0, histogram_bytes(c));
  cr_tile t;
  cr_batch_start(&t, c, &shape);
  assert(t.tile_rows <= SLOTS);
  cr_tile_pass(&t, histogram_row, &s, false, pairs);
  double loss = 0;
  bool any = pairs[POSITIVES] > 0 && pairs[NEGATIVES] > 0;
  if (any) {
    add_up(&s, t.tile_rows, pairs);
    loss = loss_and_worth(&s, pairs);
    s.counting = false;
    if (c->wants_grad) cr_tile_pass(&t, histogram_row, &s, true, rest);
  }
  /* a symmetric tile gives a pair its weight once, though the histograms hold it twice */
  cr_batch_end(c, &t, 2, loss, any);
}

const cr_op cr_loss_histogram = {
  .name = "histogram", .help = "probability that a negative pair is more similar than a positive "
                               "one, from soft histograms",
  .formula = "sum_r negative_r sum_{q <= r} positive_q",
  .paper = "Ustinova, Lempitsky, \"Learning deep embeddings with histogram loss\", NIPS 2016",
  .differs = "pytorch-metric-learning fails when a cosine is exactly 1, and lists all triplets "
             "first",
  .inputs = inputs, .options = options, .stats = stats, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = cr_batch_backward,
};
