/* online_contrastive.c - contrastive loss over the hard pairs of a batch only
 *
 *   L = sum d_p^2  over positive pairs with d_p > min d_n
 *     + sum max(0, margin - d_n)^2  over negative pairs with d_n < max d_p
 *
 * where min and max run over the whole batch. With fewer than two pairs on a side, the other side's
 * threshold is its own mean, as in the library it comes from. d is the cosine distance by default.
 * Pairs are i < j of the batch, or, with references, every row with every reference. The choice of
 * pairs takes no part in the gradient.
 *
 *   reduction = "sum"       the default, as there
 *               "mean"      over all pairs
 *               "nonzero"   over pairs with a loss above 0
 *
 * Two passes over the distances: time B^2 D, memory a tile of rows by B. No hard pair: 0 with zero
 * gradient. */
#include <tgmath.h>
#include <string.h>

#include "autograd/batch_loss.h"

enum { MARGIN, DISTANCE, SQUARED, NORMALIZE, REDUCTION };
enum { POSITIVE_PAIRS = CR_BATCH_STATS, NEGATIVE_PAIRS };

static const cr_input inputs[] = { CR_BATCH_INPUTS, { 0 } };

static const cr_option options[] = {
  [MARGIN]    = { "margin", 0.5, -1e30, 1e30, "distance past which a negative pair is free",
                  CR_NUMBER, NULL, false },
  [DISTANCE]  = CR_BATCH_OPTIONS(CR_COSINE, 0, 0),
  [REDUCTION] = CR_BATCH_REDUCTION(CR_BATCH_SUM),
  { 0 }
};

static const char *const stats[] = {
  CR_BATCH_STAT_NAMES,
  [POSITIVE_PAIRS] = "hard_positive_pairs",
  [NEGATIVE_PAIRS] = "hard_negative_pairs",
  NULL
};

typedef struct extremes { real farthest, nearest; } extremes;

static size_t extremes_bytes(const cr_call *c) { return (size_t)c->dim['B'] * sizeof(extremes); }

static cr_tile_shape shape_of(const cr_call *c) {
  cr_tile_shape shape = cr_batch_shape(c, DISTANCE);
  shape.symmetric = shape.references == 0;
  return shape;
}

static bool check(cr_call *c, cr_error *err) {
  cr_tile_shape shape = shape_of(c);
  return cr_batch_check(c, &shape, extremes_bytes(c), 0, err);
}

enum { LOSS, HARD_POSITIVES, HARD_NEGATIVES, NONZERO };

typedef struct settings {
  real margin, nearest, farthest;           /* of the batch */
  extremes *row;                            /* [B]: of each row's positives and negatives */
} settings;

static void find_extremes(const cr_row *row, void *context) {
  extremes *e = &((settings *)context)->row[row->i];
  for (int64_t j = 0; j < row->begin; j++) e->nearest = fmin(e->nearest, row->d[j]);
  for (int64_t j = row->end; j < row->columns; j++) e->nearest = fmin(e->nearest, row->d[j]);
  for (int64_t j = row->begin; j < row->end; j++)
    if (j != row->self) e->farthest = fmax(e->farthest, row->d[j]);
}

static void hard_row(const cr_row *row, void *context) {
  const settings *s = context;
  if (row->w != NULL) memset(row->w, 0, (size_t)row->columns * sizeof *row->w);
  for (int64_t j = row->begin; j < row->end; j++) {
    real d = row->d[j];
    if (j == row->self || !(d > s->nearest)) continue;
    row->sum[LOSS] += (double)d * (double)d;
    row->sum[HARD_POSITIVES]++;
    row->sum[NONZERO] += d != 0;
    if (row->w != NULL) row->w[j] = 2 * d;
  }
  for (int64_t j = 0; j < row->columns; j++) {
    if (j == row->begin) j = row->end;
    if (j >= row->columns || !(row->d[j] < s->farthest)) continue;
    real gap = s->margin - row->d[j];
    gap = gap > 0 ? gap : 0;
    row->sum[LOSS] += (double)gap * (double)gap;
    row->sum[HARD_NEGATIVES]++;
    row->sum[NONZERO] += gap > 0;
    if (row->w != NULL) row->w[j] = -2 * gap;
  }
}

static void choose(settings *s, const cr_tile *t) {
  int64_t once = t->pairs.same ? 2 : 1;
  s->nearest = (real)INFINITY;
  s->farthest = (real)-INFINITY;
  for (int64_t i = 0; i < t->shape.rows; i++) {
    s->nearest = fmin(s->nearest, s->row[i].nearest);
    s->farthest = fmax(s->farthest, s->row[i].farthest);
  }
  if (t->negative_pairs / once < 2)
    s->nearest = (real)cr_ratio(t->positive_distance, (double)t->positive_pairs);
  if (t->positive_pairs / once < 2)
    s->farthest = (real)cr_ratio(t->negative_distance, (double)t->negative_pairs);
}

static void forward(cr_call *c) {
  cr_tile_shape shape = shape_of(c);
  settings s = { .margin = (real)c->option[MARGIN],
                 .row = cr_batch_scratch(c, extremes_bytes(c)) };
  double sum[CR_ROW_SUMS], twice = shape.references > 0 ? 1 : 2;
  for (int64_t i = 0; i < shape.rows; i++)
    s.row[i] = (extremes){ (real)-INFINITY, (real)INFINITY };
  cr_tile t;
  cr_batch_start(&t, c, &shape);
  cr_tile_pass(&t, find_extremes, &s, false, sum);
  choose(&s, &t);
  cr_tile_pass(&t, hard_row, &s, c->wants_grad, sum);
  double pairs = (double)(t.positive_pairs + t.negative_pairs);
  double hard = sum[HARD_POSITIVES] + sum[HARD_NEGATIVES];
  double scale = cr_batch_scale(c->option[REDUCTION], pairs, sum[NONZERO]);
  if (c->option[REDUCTION] == CR_BATCH_SUM) scale = 1 / twice;
  cr_batch_end(c, &t, twice * scale, scale * sum[LOSS], cr_ratio(hard, pairs));
  c->stat[POSITIVE_PAIRS] = sum[HARD_POSITIVES] / twice;
  c->stat[NEGATIVE_PAIRS] = sum[HARD_NEGATIVES] / twice;
}

const cr_op cr_loss_online_contrastive = {
  .name = "online_contrastive", .help = "contrastive loss over the hard pairs of a batch only",
  .formula = "sum over d_p > min d_n of d_p^2 + sum over d_n < max d_p of max(0, margin - d_n)^2",
  .paper = "as in sentence-transformers' OnlineContrastiveLoss, after Hadsell, Chopra, LeCun 2006",
  .differs = "sentence-transformers takes a list of labelled pairs; here they are the pairs of the "
             "batch, or of rows with references",
  .inputs = inputs, .options = options, .stats = stats, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = cr_batch_backward,
};
