/* recall_surrogate.c - smooth recall at k, or precision at k
 *
 * The rank of a positive p of a query is counted by sigmoids, and so is whether it is within the
 * first k:
 *
 *   r_p = 1 + sum_{j != p} G((s_j - s_p) / t2),      hit_p = G((k - r_p) / t1),
 *   L = 1 - mean over k of  sum_p hit_p / divisor
 *
 *   measure = "recall"      divisor = the number of positives
 *             "precision"   divisor = min(k, the number of positives)
 *
 * averaged over the queries that have a positive. s is minus the distance, cosine by default; j
 * runs over the other positives and the negatives. `k` is a number or a list of up to 8; (1, 2, 4,
 * 8) when not given. r_p is a count from 1, so at t1 -> 0 an item ranked exactly k counts one half.
 * Cost as for smooth_ap (kernels/soft_rank.h). */
#include <math.h>

#include "autograd/batch_loss.h"
#include "kernels/soft_rank.h"

enum { K, T1, T2, MEASURE, DISTANCE, SQUARED, NORMALIZE, REDUCTION };
enum { RECALL, PRECISION };
enum { QUERIES = CR_BATCH_STATS };

static const cr_input inputs[] = { CR_BATCH_INPUTS, { 0 } };

static const cr_option options[] = {
  [K]         = { "k", NAN, 1, 1e9, "first how many; a list is averaged", CR_COUNTS, NULL, false },
  [T1]        = { "t1", 1, 1e-6, 1e30, "softness of the cut at k", CR_NUMBER, NULL, false },
  [T2]        = { "t2", 0.01, 1e-6, 1e30, "softness of ranks", CR_NUMBER, NULL, false },
  [MEASURE]   = { "measure", RECALL, 0, 0, "what hits are divided by", CR_CHOICE,
                  "recall precision", false },
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

typedef struct settings { int n; double k[CR_MAX_DIMS], t1; bool precision; } settings;

static double term(const cr_row *row, cr_soft_counts before, cr_soft_counts *slope,
                   const void *context) {
  const settings *s = context;
  double P = (double)row->positives, rank = 1 + before.positives + before.negatives;
  double loss = 1 / P, by_rank = 0;
  for (int i = 0; i < s->n; i++) {
    double x = (s->k[i] - rank) / s->t1, e = exp(-fabs(x)), hit = (x > 0 ? 1 : e) / (1 + e);
    double divisor = (double)s->n * (s->precision && s->k[i] < P ? s->k[i] : P);
    loss -= hit / divisor;
    by_rank += e / ((1 + e) * (1 + e) * s->t1 * divisor);
  }
  slope->positives = slope->negatives = by_rank;
  return loss;
}

static void forward(cr_call *c) {
  static const double usual[] = { 1, 2, 4, 8 };
  cr_tile_shape shape = shape_of(c);
  settings s = { .n = c->list[K].n > 0 ? c->list[K].n : 4, .t1 = c->option[T1],
                 .precision = c->option[MEASURE] == PRECISION };
  for (int i = 0; i < s.n; i++) s.k[i] = c->list[K].n > 0 ? (double)c->list[K].at[i] : usual[i];
  cr_soft_rank_job job = { .tau = c->option[T2], .among_positives = true, .fn = term,
                           .context = &s };
  double sum[CR_ROW_SUMS];
  cr_tile t;
  cr_batch_start(&t, c, &shape);
  cr_tile_pass(&t, cr_soft_rank_row, &job, c->wants_grad, sum);
  double scale = cr_batch_scale(c->option[REDUCTION], sum[CR_SOFT_ROWS], sum[CR_SOFT_ACTIVE_ROWS]);
  cr_batch_end(c, &t, scale, scale * sum[CR_SOFT_LOSS],
               cr_ratio(sum[CR_SOFT_PRECEDED], sum[CR_SOFT_POSITIVES]));
  c->stat[QUERIES] = sum[CR_SOFT_ROWS];
}

const cr_op cr_loss_recall_surrogate = {
  .name = "recall_surrogate", .help = "one minus smooth recall (or precision) at k",
  .formula = "query mean of 1 - mean_k sum_p sigmoid((k - r_p) / t1) / divisor, r_p a rank by "
             "sigmoids",
  .paper = "Patel, Tolias, Matas, \"Recall@k surrogate loss with large batches and similarity "
           "mixup\", CVPR 2022, eqs. 5 to 7",
  .differs = "open-metric-learning has measure = \"precision\" with one k; it counts an item "
             "against itself too, so its ranks lie half a step lower",
  .inputs = inputs, .options = options, .stats = stats, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = cr_batch_backward,
};
