/* snr_contrastive.c - contrastive loss on the signal-to-noise distance
 *
 *   d_ij = var(x_i - x_j) / var(x_i)           var over the D coordinates of one vector
 *   L = max(0, d - pos_margin) over positive pairs,  max(0, neg_margin - d) over negative ones
 *
 * i is the anchor, so d_ij and d_ji differ and both count. With c_i = x_i minus its own mean, d_ij
 * = |c_i - c_j|^2 / |c_i|^2: a squared Euclidean distance of rows centred each by itself, which
 * needs no difference of vectors for each pair.
 *
 *   reduction = "nonzero"   mean over positive pairs with a loss + the same of negative pairs
 *               "sides"     mean over positive pairs + mean over negative pairs
 *               "mean"      sum over pairs / pairs
 *               "sum"
 *
 * Time B^2 D; memory a tile of rows by B, and a few times B D. A constant vector has no variance
 * and no distance as an anchor: its pairs are left out (the reference gives inf or nan). No pairs:
 * 0 with zero gradient. */
#include <math.h>
#include <string.h>

#include "autograd/batch_loss.h"
#include "kernels/hinge_row.h"

enum { POS_MARGIN, NEG_MARGIN, NORMALIZE, REDUCTION };
enum { MEAN, SUM, SIDES, NONZERO };
enum { POSITIVE_PAIRS = CR_BATCH_STATS, NEGATIVE_PAIRS };

static const cr_input inputs[] = { CR_BATCH_INPUTS, { 0 } };

static const cr_option options[] = {
  [POS_MARGIN] = { "pos_margin", 0, -1e30, 1e30, "distance up to which a positive pair is free",
                   CR_NUMBER, NULL, false },
  [NEG_MARGIN] = { "neg_margin", 1, -1e30, 1e30, "distance past which a negative pair is free",
                   CR_NUMBER, NULL, false },
  [NORMALIZE]  = { "normalize", 0, 0, 1, "divide rows by their norm first", CR_FLAG, NULL, false },
  [REDUCTION]  = { "reduction", NONZERO, 0, 0, "what becomes of the pairs", CR_CHOICE,
                   "mean sum sides nonzero", false },
  { 0 }
};

static const char *const stats[] = {
  CR_BATCH_STAT_NAMES,
  [POSITIVE_PAIRS] = "positive_pairs",      /* ordered, but for those of constant anchors */
  [NEGATIVE_PAIRS] = "negative_pairs",
  NULL
};

static cr_tile_shape shape_of(const cr_call *c) {
  cr_tile_shape shape = cr_batch_shape(c, -1);
  shape.squared = true;
  return shape;
}

/* Rows centred each by itself, and what undoes it. */
typedef struct centred {
  real *x;                    /* [rows, width] */
  double *inverse;            /* [rows]: 1 / norm before centring */
  double *by_variance;        /* [rows]: 1 / |c|^2, or 0 */
  double *push;               /* [rows]: sum of slope times squared distance */
} centred;

static size_t centred_bytes(int64_t rows, int64_t width) {
  return cr_batch_aligned((size_t)(rows * width) * sizeof(real)) +
         3 * cr_batch_aligned((size_t)rows * sizeof(double));
}

static size_t own_bytes(const cr_call *c, const cr_tile_shape *s) {
  return centred_bytes(s->rows, c->dim['D']) + centred_bytes(s->references, c->dim['D']);
}

static bool check(cr_call *c, cr_error *err) {
  cr_tile_shape shape = shape_of(c);
  return cr_batch_check(c, &shape, own_bytes(c, &shape), 0, err);
}

static centred centre(int64_t rows, int64_t width, const real *x, bool normalize, void *memory) {
  size_t each = cr_batch_aligned((size_t)rows * sizeof(double));
  unsigned char *rest = (unsigned char *)memory +
                        cr_batch_aligned((size_t)(rows * width) * sizeof(real));
  centred c = { memory, (double *)(void *)rest, (double *)(void *)(rest + each),
                (double *)(void *)(rest + 2 * each) };
  for (int64_t i = 0; i < rows; i++) {
    const real *from = x + i * width;
    double square = 0, mean = 0, variance = 0, most = 0;
    for (int64_t k = 0; k < width; k++) square += (double)from[k] * (double)from[k];
    c.inverse[i] = normalize ? 1 / fmax(sqrt(square), 1e-12) : 1;
    for (int64_t k = 0; k < width; k++) mean += (double)from[k] / (double)width;
    for (int64_t k = 0; k < width; k++) {
      double v = ((double)from[k] - mean) * c.inverse[i];
      c.x[i * width + k] = (real)v;
      variance += v * v;
      most = fmax(most, fabs((double)from[k]) * c.inverse[i]);
    }
    /* what rounding the mean leaves of a constant vector is no variance, nor is what underflows */
    bool varies = sqrt(variance) > 1e-12 * most && variance > 4 / (double)CR_REAL_MAX;
    c.by_variance[i] = varies ? 1 / variance : 0;
    c.push[i] = 0;
  }
  return c;
}

/* ---- rows ------------------------------------------------------------------------------------ */

enum { POSITIVE_LOSS, NEGATIVE_LOSS, POSITIVE_COUNT, NEGATIVE_COUNT, POSITIVE_SUM, NEGATIVE_SUM };

typedef struct settings {
  real margin[2], weight[2];  /* of positive and negative pairs */
  const centred *anchors;
  double pairs[2];
} settings;

static void snr_row(const cr_row *row, void *context) {
  const settings *s = context;
  int64_t i = row->tile->order[row->i], self = row->self >= 0 ? row->self : row->end;
  double by = s->anchors->by_variance[i], push = 0;
  struct { int64_t begin, end; } run[] = {
    { row->begin, self }, { self + 1, row->end }, { 0, row->begin }, { row->end, row->columns },
  };
  if (row->w != NULL) memset(row->w, 0, (size_t)row->columns * sizeof *row->w);
  for (int k = 0; k < 4 && by > 0; k++) {
    int side = k / 2;
    int64_t n = run[k].end - run[k].begin;
    const real *d = row->d + run[k].begin;
    real sign = side == 0 ? 1 : -1;
    if (n <= 0) continue;
    cr_hinge h = cr_hinge_row(n, d, sign * (real)by, -sign * s->margin[side], s->weight[side],
                              row->w != NULL ? row->w + run[k].begin : NULL);
    row->sum[POSITIVE_LOSS + side] += h.loss;
    row->sum[POSITIVE_COUNT + side] += h.count;
    row->sum[POSITIVE_SUM + side] += by * cr_pairs_sum(n, d);
    /* slope times distance of the active pairs */
    push += (double)s->weight[side] * (h.loss + (double)(sign * s->margin[side]) * h.count);
  }
  s->anchors->push[i] = push;
}

/* ---- gradient -------------------------------------------------------------------------------- */

/* From the gradient by centred rows to that by rows as given, in place. */
static void undo(const centred *c, int64_t rows, int64_t width, const real *x, bool normalize,
                 real *g) {
  for (int64_t i = 0; i < rows; i++) {
    real *gi = g + i * width;
    const real *xi = x + i * width;
    double mean = 0, along = 0, inverse = c->inverse[i];
    double by = -2 * c->push[i] * c->by_variance[i];    /* what the anchor's own variance does */
    for (int64_t k = 0; k < width; k++) {
      gi[k] += (real)(by * (double)c->x[i * width + k]);
      mean += (double)gi[k] / (double)width;
    }
    for (int64_t k = 0; k < width; k++) along += ((double)gi[k] - mean) * (double)xi[k];
    along *= normalize && inverse < 0.99e12 ? inverse * inverse : 0;
    for (int64_t k = 0; k < width; k++)
      gi[k] = (real)(inverse * ((double)gi[k] - mean - along * (double)xi[k]));
  }
}

static void weigh(settings *s, int reduction, const double *sum) {
  for (int side = 0; side < 2; side++) {
    double by = s->pairs[0] + s->pairs[1];
    if (reduction == SUM) by = 1;
    if (reduction == SIDES) by = s->pairs[side];
    if (reduction == NONZERO) by = sum[POSITIVE_COUNT + side];
    s->weight[side] = (real)cr_ratio(1, by);
  }
}

/* pairs whose anchor has a variance */
static void count_pairs(settings *s, const cr_tile *t) {
  for (int64_t r = 0; r < t->shape.rows; r++) {
    int64_t same = t->end[r] - t->begin[r];
    if (s->anchors->by_variance[t->order[r]] == 0) continue;
    s->pairs[0] += (double)(same - (t->pairs.same ? 1 : 0));
    s->pairs[1] += (double)(t->pairs.columns - same);
  }
}

static void forward(cr_call *c) {
  cr_tile_shape shape = shape_of(c);
  int64_t B = shape.rows, R = shape.references, D = shape.width;
  bool normalize = c->option[NORMALIZE] != 0;
  int reduction = (int)c->option[REDUCTION];
  unsigned char *memory = cr_batch_scratch(c, own_bytes(c, &shape));
  const real *x = cr_reals(c->in[CR_BATCH_X]);
  const real *y = R > 0 ? cr_reals(c->in[CR_BATCH_REFERENCES]) : NULL;
  centred anchors = centre(B, D, x, normalize, memory), others = { 0 };
  if (R > 0) others = centre(R, D, y, normalize, memory + centred_bytes(B, D));
  settings s = { { (real)c->option[POS_MARGIN], (real)c->option[NEG_MARGIN] }, { 0 }, &anchors,
                 { 0 } };
  double sum[CR_ROW_SUMS];
  cr_tile t;
  cr_tile_start(&t, &shape, anchors.x, cr_ints(c->in[CR_BATCH_LABELS]), others.x,
                R > 0 ? cr_ints(c->in[CR_BATCH_REFERENCE_LABELS]) : NULL, c->scratch);
  count_pairs(&s, &t);
  if (reduction == NONZERO) cr_tile_pass(&t, snr_row, &s, false, sum);
  weigh(&s, reduction, sum);
  cr_tile_pass(&t, snr_row, &s, c->wants_grad, sum);
  double active = sum[POSITIVE_COUNT] + sum[NEGATIVE_COUNT];
  cr_batch_end(c, &t, 1, (double)s.weight[0] * sum[POSITIVE_LOSS] +
                         (double)s.weight[1] * sum[NEGATIVE_LOSS],
               cr_ratio(active, s.pairs[0] + s.pairs[1]));
  if (c->wants_grad) undo(&anchors, B, D, x, normalize, c->saved);
  if (c->wants_grad && shape.reference_gradient)
    undo(&others, R, D, y, normalize, (real *)c->saved + B * D);
  c->stat[CR_BATCH_POSITIVE] = cr_ratio(sum[POSITIVE_SUM], s.pairs[0]);
  c->stat[CR_BATCH_NEGATIVE] = cr_ratio(sum[NEGATIVE_SUM], s.pairs[1]);
  c->stat[POSITIVE_PAIRS] = s.pairs[0];
  c->stat[NEGATIVE_PAIRS] = s.pairs[1];
}

const cr_op cr_loss_snr_contrastive = {
  .name = "snr_contrastive", .help = "contrastive loss on the ratio of noise to signal variance",
  .formula = "d = var(x_i - x_j) / var(x_i): mean_p max(0, d - pos_margin) + mean_n max(0, "
             "neg_margin - d)",
  .paper = "Yuan and others, \"Signal-to-noise ratio: a robust distance metric for deep metric "
           "learning\", CVPR 2019, eqs. 6 and 9",
  .differs = "pytorch-metric-learning normalises rows (normalize = true), holds a B x B x D "
             "tensor, and gives inf or nan for a constant vector",
  .inputs = inputs, .options = options, .stats = stats, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = cr_batch_backward,
};
