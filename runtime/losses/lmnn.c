/* lmnn.c - large margin nearest neighbour loss, on given target neighbours
 *
 *   L = (1 - mu) sum_{i, j~>i} d_ij^2
 *       + mu sum_{i, j~>i} sum_{l: y_l != y_i} max(0, margin + d_ij^2 - d_il^2)
 *
 * j ~> i: j is one of the target neighbours of i, rows of its own class that shall stay its nearest
 * (crun.target_neighbours finds them, once, before training or every few epochs). target_neighbours
 * is an int tensor [B K] of row numbers from 1; 0 marks a place that is not used. d is the
 * Euclidean distance. A linear map L is had by passing the embeddings x L^T.
 *
 *   reduction = "sum"    the default, as in the paper
 *               "mean"   by the number of rows
 *
 * Impostors are counted, not listed (kernels/triplet_rows.h): time B^2 D + B^2, memory a tile of
 * rows by B. No target neighbour: 0 with zero gradient. */
#include <string.h>

#include "autograd/batch_loss.h"
#include "kernels/triplet_rows.h"

enum { TARGETS = 2 };
enum { MARGIN, MU, NORMALIZE, REDUCTION };
enum { SUM, MEAN };
enum { PULL = CR_BATCH_STATS, PUSH, IMPOSTORS };

static const cr_input inputs[] = {
  [CR_BATCH_X]      = { "embeddings",        "B D", CR_TREAL, 0 },
  [CR_BATCH_LABELS] = { "labels",            "B",   CR_TINT,  CR_NOGRAD },
  [TARGETS]         = { "target_neighbours", "B K", CR_TINT,  CR_NOGRAD },
  { 0 }
};

static const cr_option options[] = {
  [MARGIN]    = { "margin", 1, -1e30, 1e30, "how much farther an impostor shall be, squared",
                  CR_NUMBER, NULL, false },
  [MU]        = { "mu", 0.5, 0, 1, "weight of the push; 1 - mu of the pull", CR_NUMBER, NULL,
                  false },
  [NORMALIZE] = { "normalize", 0, 0, 1, "divide rows by their norm first", CR_FLAG, NULL, false },
  [REDUCTION] = { "reduction", SUM, 0, 0, "what becomes of the terms", CR_CHOICE, "sum mean",
                  false },
  { 0 }
};

/* active: the share of (i, j, l) with a push above 0. pull and push: the two sums, reduced */
static const char *const stats[] = {
  CR_BATCH_STAT_NAMES, [PULL] = "pull", [PUSH] = "push", [IMPOSTORS] = "impostors", NULL
};

/* for K targets: thresholds, counts and the work space of triplet_rows */
static size_t row_bytes(int64_t k) {
  return cr_batch_aligned((size_t)k * sizeof(real)) +
         cr_batch_aligned((size_t)k * sizeof(double)) + cr_triplet_bytes(k);
}

static cr_tile_shape shape_of(const cr_call *c) {
  cr_tile_shape shape = { .rows = c->dim['B'], .width = c->dim['D'], .metric = CR_EUCLIDEAN,
                          .squared = true, .normalize = c->option[NORMALIZE] != 0,
                          .gradient = c->wants_grad };
  shape.row_scratch_bytes = row_bytes(c->dim['K']);
  return shape;
}

static size_t places_bytes(const cr_call *c) { return (size_t)c->dim['B'] * sizeof(int64_t); }

static bool check(cr_call *c, cr_error *err) {
  int64_t B = c->dim['B'], K = c->dim['K'];
  const int64_t *label = cr_ints(c->in[CR_BATCH_LABELS]), *target = cr_ints(c->in[TARGETS]);
  for (int64_t i = 0; i < B * K; i++) {
    int64_t j = target[i], row = i / K + 1;
    if (j < 0 || j > B)
      return cr_fail(err, CR_EVALUE, "target_neighbours are rows 1..%lld, or 0 for none, got %lld "
                     "for row %lld", (long long)B, (long long)j, (long long)row);
    if (j == row || (j > 0 && label[j - 1] != label[row - 1]))
      return cr_fail(err, CR_EVALUE, "target_neighbours of row %lld must be other rows of its "
                     "class, got row %lld", (long long)row, (long long)j);
  }
  cr_tile_shape shape = shape_of(c);
  if (!cr_tile_sizes(&shape, &c->saved_bytes, &c->scratch_bytes, err)) return false;
  c->scratch_bytes = cr_batch_aligned(c->scratch_bytes) + cr_batch_aligned(places_bytes(c));
  return true;
}

enum { PULLS, PUSHES, ACTIVE, CONSIDERED };

typedef struct settings {
  int64_t k;
  real margin, pull, push;    /* the weights of both sums */
  const int64_t *target, *place;
} settings;

static CR_VECTOR void multiply(int64_t n, real by, real *w) {
  for (int64_t j = 0; j < n; j++) w[j] *= by;
}

static void lmnn_row(const cr_row *row, void *context) {
  const settings *s = context;
  const int64_t *target = s->target + row->tile->order[row->i] * s->k;
  real *u = row->scratch;
  double *count = (double *)(void *)((unsigned char *)u +
                                     cr_batch_aligned((size_t)s->k * sizeof(real)));
  void *work = (unsigned char *)count + cr_batch_aligned((size_t)s->k * sizeof(double));
  int64_t k = 0;
  if (row->w != NULL) memset(row->w, 0, (size_t)row->columns * sizeof *row->w);
  for (int64_t i = 0; i < s->k; i++)
    if (target[i] > 0) {
      real d = row->d[s->place[target[i] - 1]];
      row->sum[PULLS] += (double)d;
      u[k++] = d + s->margin;
    }
  if (k == 0) return;
  cr_triplet_hinge(k, u, row->d, row->begin, row->end - row->begin, row->columns - row->end, row->w,
                   count, &row->sum[PUSHES], work);
  row->sum[CONSIDERED] = (double)k * (double)row->negatives;
  for (int64_t i = 0; i < k; i++) row->sum[ACTIVE] += count[i];
  if (row->w == NULL) return;
  multiply(row->columns, s->push, row->w);
  for (int64_t i = 0, n = 0; i < s->k; i++)
    if (target[i] > 0)
      row->w[s->place[target[i] - 1]] += s->pull + s->push * (real)count[n++];
}

static void forward(cr_call *c) {
  cr_tile_shape shape = shape_of(c);
  int64_t *place = cr_batch_scratch(c, places_bytes(c));
  double mu = c->option[MU], sum[CR_ROW_SUMS];
  double scale = c->option[REDUCTION] == MEAN ? cr_ratio(1, (double)shape.rows) : 1;
  settings s = { c->dim['K'], (real)c->option[MARGIN], (real)(1 - mu), (real)mu,
                 cr_ints(c->in[TARGETS]), place };
  cr_tile t;
  cr_tile_start(&t, &shape, cr_reals(c->in[CR_BATCH_X]), cr_ints(c->in[CR_BATCH_LABELS]), NULL,
                NULL, c->scratch);
  for (int64_t r = 0; r < shape.rows; r++) place[t.order[r]] = r;
  cr_tile_pass(&t, lmnn_row, &s, c->wants_grad, sum);
  cr_batch_end(c, &t, scale, scale * ((1 - mu) * sum[PULLS] + mu * sum[PUSHES]),
               cr_ratio(sum[ACTIVE], sum[CONSIDERED]));
  c->stat[PULL] = scale * sum[PULLS];
  c->stat[PUSH] = scale * sum[PUSHES];
  c->stat[IMPOSTORS] = sum[ACTIVE];
}

const cr_op cr_loss_lmnn = {
  .name = "lmnn", .help = "large margin nearest neighbour: pull target neighbours, push impostors",
  .formula = "(1 - mu) sum d_ij^2 + mu sum max(0, margin + d_ij^2 - d_il^2), j a target neighbour "
             "of i, l of another class",
  .paper = "Weinberger, Saul, \"Distance metric learning for large margin nearest neighbor "
           "classification\", JMLR 2009, eqs. 11 to 13",
  .differs = "metric-learn finds the target neighbours itself and keeps impostors in lists",
  .inputs = inputs, .options = options, .stats = stats, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = cr_batch_backward,
};
