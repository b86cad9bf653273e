/* mega_batch_margin.c - margins on the similarity of a pair and of its hardest negative
 *
 *   l_ip = max(0, positive_margin - s_ip) + max(0, max_n s_in - negative_margin)
 *
 * for each row i and each of its positives p; n runs over its negatives. s is the cosine. In the
 * form it comes from, rows have one positive each in a second batch: give that as references, with
 * labels 1 .. B for both. A row without negatives has the first part only; a tie for the hardest
 * goes to the first of the batch sorted by label.
 *
 *   reduction = "mean"      over the pairs (i, p)
 *               "nonzero"   over pairs with a loss above 0
 *               "sum"
 *
 * Time B^2 D, memory a tile of rows by B: the batch is streamed, so the mini batch of the original
 * is not needed. */
#include <string.h>

#include "autograd/batch_loss.h"

enum { POSITIVE_MARGIN, NEGATIVE_MARGIN, REDUCTION };

static const cr_input inputs[] = { CR_BATCH_INPUTS, { 0 } };

static const cr_option options[] = {
  [POSITIVE_MARGIN] = { "positive_margin", 0.8, -1e30, 1e30, "similarity a positive shall have",
                        CR_NUMBER, NULL, false },
  [NEGATIVE_MARGIN] = { "negative_margin", 0.3, -1e30, 1e30,
                        "similarity the hardest negative shall not have", CR_NUMBER, NULL, false },
  [REDUCTION]       = CR_BATCH_REDUCTION(CR_BATCH_MEAN),
  { 0 }
};

/* active: the share of pairs with a loss above 0 */
static const char *const stats[] = { CR_BATCH_STAT_NAMES, NULL };

static cr_tile_shape shape_of(const cr_call *c) {
  cr_tile_shape shape = cr_batch_shape(c, -1);
  shape.metric = CR_COSINE;
  return shape;
}

static bool check(cr_call *c, cr_error *err) {
  cr_tile_shape shape = shape_of(c);
  return cr_batch_check(c, &shape, 0, 0, err);
}

enum { LOSS, ACTIVE_PAIRS };

/* as distances: 1 - margin */
typedef struct settings { real near, far; } settings;

static void mega_row(const cr_row *row, void *context) {
  const settings *s = context;
  int64_t hard = -1;
  if (row->w != NULL) memset(row->w, 0, (size_t)row->columns * sizeof *row->w);
  if (row->positives == 0) return;
  for (int64_t j = 0; j < row->columns; j++) {
    if (j == row->begin) j = row->end;
    if (j < row->columns && (hard < 0 || row->d[j] < row->d[hard])) hard = j;
  }
  real push = hard >= 0 ? s->far - row->d[hard] : 0;
  push = push > 0 ? push : 0;
  for (int64_t p = row->begin; p < row->end; p++) {
    if (p == row->self) continue;
    real pull = row->d[p] - s->near;
    row->sum[LOSS] += (double)(pull > 0 ? pull : 0) + (double)push;
    row->sum[ACTIVE_PAIRS] += pull > 0 || push > 0;
    if (row->w != NULL) row->w[p] = pull > 0;
  }
  if (row->w != NULL && push > 0) row->w[hard] = (real)-row->positives;
}

static void forward(cr_call *c) {
  cr_tile_shape shape = shape_of(c);
  settings s = { (real)(1 - c->option[POSITIVE_MARGIN]), (real)(1 - c->option[NEGATIVE_MARGIN]) };
  double sum[CR_ROW_SUMS];
  cr_tile t;
  cr_batch_start(&t, c, &shape);
  cr_tile_pass(&t, mega_row, &s, c->wants_grad, sum);
  double scale = cr_batch_scale(c->option[REDUCTION], (double)t.positive_pairs, sum[ACTIVE_PAIRS]);
  cr_batch_end(c, &t, scale, scale * sum[LOSS],
               cr_ratio(sum[ACTIVE_PAIRS], (double)t.positive_pairs));
}

const cr_op cr_loss_mega_batch_margin = {
  .name = "mega_batch_margin",
  .help = "margins on a pair's similarity and on its hardest negative's",
  .formula = "mean over (i, p) of max(0, positive_margin - s_ip) + max(0, max_n s_in - "
             "negative_margin)",
  .paper = "Wieting, Gimpel, \"ParaNMT-50M\", ACL 2018; as in sentence-transformers' "
           "MegaBatchMarginLoss",
  .differs = "sentence-transformers takes two batches of pairs: give the second as references",
  .inputs = inputs, .options = options, .stats = stats, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = cr_batch_backward,
};
