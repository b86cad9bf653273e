/* instance.c - instance loss: cross-entropy over the similarities of a row to the whole batch
 *
 *   L_i = log sum_j exp(gamma s_ij) - gamma s_i,t(i)
 *
 * over all rows j of the batch, i itself included; s is the cosine. Which column is a row's target:
 *
 *   target = "rank"   the rank of its label among the distinct labels of the batch, taken as a
 *                     column number. This is what the reference does: it reads the B x B
 *                     similarities as if they were scores for classes, so the value changes when
 *                     labels are renamed or rows change places. Kept for comparison.
 *            "self"   its own column: every row a class of its own, as in the paper when no labels
 *                     are given; rows are driven apart, labels play no part
 *
 *   reduction = "mean", "sum", "nonzero" (rows with a loss above 0)
 *
 * Time B^2 D and B^2 exponentials; memory a tile of rows by B. The largest logit is subtracted
 * first. One row has loss 0. */
#include <math.h>

#include "autograd/batch_loss.h"
#include "kernels/vmath.h"

enum { GAMMA, TARGET, REDUCTION };
enum { RANK, SELF };

static const cr_input inputs[] = {
  [CR_BATCH_X]      = { "embeddings", "B D", CR_TREAL, 0 },
  [CR_BATCH_LABELS] = { "labels",     "B",   CR_TINT,  CR_NOGRAD },
  { 0 }
};

static const cr_option options[] = {
  [GAMMA]     = { "gamma", 64, 0, 1e30, "factor of the similarities", CR_NUMBER, NULL, false },
  [TARGET]    = { "target", RANK, 0, 0, "which column is right for a row", CR_CHOICE, "rank self",
                  false },
  [REDUCTION] = CR_BATCH_REDUCTION(CR_BATCH_MEAN),
  { 0 }
};

static const char *const stats[] = { CR_BATCH_STAT_NAMES, NULL };

static cr_tile_shape shape_of(const cr_call *c) {
  cr_tile_shape shape = cr_batch_shape(c, -1);
  shape.metric = CR_COSINE;
  return shape;
}

/* twice a row number for each row */
static size_t places_bytes(const cr_call *c) { return 2 * (size_t)c->dim['B'] * sizeof(int64_t); }

static bool check(cr_call *c, cr_error *err) {
  cr_tile_shape shape = shape_of(c);
  return cr_batch_check(c, &shape, places_bytes(c), 0, err);
}

enum { LOSS, ACTIVE_ROWS };

typedef struct settings { real gamma; const int64_t *target; } settings;

static void instance_row(const cr_row *row, void *context) {
  const settings *s = context;
  int64_t n = row->columns, right = s->target[row->i];
  real near = row->d[0];
  for (int64_t j = 1; j < n; j++) near = row->d[j] < near ? row->d[j] : near;
  double sum = 0;
  for (int64_t j = 0; j < n; j++) {
    real e = cr_exp(s->gamma * (near - row->d[j]));
    sum += (double)e;
    if (row->w != NULL) row->w[j] = e;
  }
  double loss = log(sum) + (double)s->gamma * ((double)row->d[right] - (double)near);
  row->sum[LOSS] = loss;
  row->sum[ACTIVE_ROWS] = loss > 0;
  if (row->w == NULL) return;
  real scale = (real)(-(double)s->gamma / sum);
  for (int64_t j = 0; j < n; j++) row->w[j] *= scale;
  row->w[right] += s->gamma;
}

/* target[place in the sorted batch] = place of the target. Labels of the batch are sorted, so the
 * ranks of labels count up along the places. */
static void find_targets(const cr_tile *t, bool self, int64_t *target, int64_t *place) {
  int64_t n = t->shape.rows, rank = 0;
  for (int64_t r = 0; r < n; r++) place[t->order[r]] = r;
  for (int64_t r = 0; r < n; r++) {
    rank += r > 0 && t->begin[r] == r;
    target[r] = self ? r : place[rank];
  }
}

static void forward(cr_call *c) {
  cr_tile_shape shape = shape_of(c);
  int64_t *target = cr_batch_scratch(c, places_bytes(c));
  settings s = { (real)c->option[GAMMA], target };
  double sum[CR_ROW_SUMS];
  cr_tile t;
  cr_batch_start(&t, c, &shape);
  find_targets(&t, c->option[TARGET] == SELF, target, target + shape.rows);
  cr_tile_pass(&t, instance_row, &s, c->wants_grad, sum);
  double rows = (double)shape.rows;
  double scale = cr_batch_scale(c->option[REDUCTION], rows, sum[ACTIVE_ROWS]);
  cr_batch_end(c, &t, scale, scale * sum[LOSS], cr_ratio(sum[ACTIVE_ROWS], rows));
}

const cr_op cr_loss_instance = {
  .name = "instance", .help = "cross-entropy over the similarities of a row to the whole batch",
  .formula = "row mean of logsumexp_j(gamma s_ij) - gamma s_i,target",
  .paper = "Zheng and others, \"Dual-path convolutional image-text embeddings with instance "
           "loss\", TOMM 2020",
  .differs = "target = \"rank\" is pytorch-metric-learning's use of label ranks as column "
             "numbers; its value depends on label names. target = \"self\" does not",
  .inputs = inputs, .options = options, .stats = stats, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = cr_batch_backward,
};
