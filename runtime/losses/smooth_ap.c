/* smooth_ap.c - Smooth-AP: one minus average precision, with sigmoids for the steps of ranks
 *
 * For a query with positives P and negatives N, and G(x) = 1 / (1 + exp(-x / tau)),
 *
 *   L = 1 - 1/|P| sum_{p in P} a_p / (a_p + sum_{n in N} G(s_n - s_p)),
 *
 *   a_p = 1 + sum_{j in P, j != p} G(s_j - s_p),
 *
 * averaged over the queries that have a positive; s is minus the distance, cosine by default. The
 * query itself is in no list. reduction = "mean", "sum", or "nonzero" (queries with a loss above
 * 0).
 *
 * Sigmoids are worked out within 20 tau of a positive (38 in the float64 build), beyond they are 0
 * or 1 (kernels/soft_rank.h). Time B^2 D + B^2 + the window: at most B^2 K sigmoids for K positives
 * a row, a quarter of them at tau = 0.01. Memory a tile of rows by B. With references the queries
 * are ranked against those. */
#include "autograd/batch_loss.h"
#include "kernels/soft_rank.h"

enum { TAU, DISTANCE, SQUARED, NORMALIZE, REDUCTION };
enum { PRECEDED = CR_BATCH_ACTIVE, QUERIES = CR_BATCH_STATS };

static const cr_input inputs[] = { CR_BATCH_INPUTS, { 0 } };

static const cr_option options[] = {
  [TAU]       = { "tau", 0.01, 1e-6, 1e30, "softness of a step", CR_NUMBER, NULL, false },
  [DISTANCE]  = CR_BATCH_OPTIONS(CR_COSINE, 0, 0),
  [REDUCTION] = CR_BATCH_REDUCTION(CR_BATCH_MEAN),
  { 0 }
};

/* active: the share of positives with a negative before them */
static const char *const stats[] = { CR_BATCH_STAT_NAMES, [QUERIES] = "queries", NULL };

static cr_tile_shape shape_of(const cr_call *c) {
  cr_tile_shape shape = cr_batch_shape(c, DISTANCE);
  int64_t columns = shape.references > 0 ? shape.references : shape.rows;
  shape.row_scratch_bytes = cr_soft_rank_bytes(columns);
  return shape;
}

static bool check(cr_call *c, cr_error *err) {
  cr_tile_shape shape = shape_of(c);
  return cr_batch_check(c, &shape, 0, 0, err);
}

/* 1 - a / (a + n), by |P| */
static double term(const cr_row *row, cr_soft_counts before, cr_soft_counts *slope,
                   const void *context) {
  (void)context;
  double a = 1 + before.positives, n = before.negatives, all = a + n, P = (double)row->positives;
  slope->positives = -n / (all * all * P);
  slope->negatives = a / (all * all * P);
  return n / (all * P);
}

static void forward(cr_call *c) {
  cr_tile_shape shape = shape_of(c);
  cr_soft_rank_job job = { .tau = c->option[TAU], .among_positives = true, .fn = term };
  double sum[CR_ROW_SUMS];
  cr_tile t;
  cr_batch_start(&t, c, &shape);
  cr_tile_pass(&t, cr_soft_rank_row, &job, c->wants_grad, sum);
  double scale = cr_batch_scale(c->option[REDUCTION], sum[CR_SOFT_ROWS], sum[CR_SOFT_ACTIVE_ROWS]);
  cr_batch_end(c, &t, scale, scale * sum[CR_SOFT_LOSS],
               cr_ratio(sum[CR_SOFT_PRECEDED], sum[CR_SOFT_POSITIVES]));
  c->stat[QUERIES] = sum[CR_SOFT_ROWS];
}

const cr_op cr_loss_smooth_ap = {
  .name = "smooth_ap", .help = "one minus average precision, ranks by sigmoids",
  .formula = "query mean of 1 - 1/P sum_p (1 + positives before p) / (1 + all before p), counted "
             "by sigmoids of similarity / tau",
  .paper = "Brown, Xie, Kalogeiton, Zisserman, \"Smooth-AP\", ECCV 2020, eqs. 6 and 7",
  .differs = "no other library has it; the authors' code holds a B x B x B tensor",
  .inputs = inputs, .options = options, .stats = stats, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = cr_batch_backward,
};
