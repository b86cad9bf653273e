/* pnp.c - PNP: penalise the negatives that come before a positive, whatever its own rank
 *
 * For a query and one of its positives p, R = sum_n G(s_n - s_p) counts the negatives before it,
 * G(x) = 1 / (1 + exp(-x / anneal)). The loss of p is, by variant,
 *
 *   "O"    R                              "Ds"   log(1 + R)
 *   "Iu"   (1 + R) log(1 + R)             "Dq"   1 - 1 / (1 + R)^alpha
 *   "Ib"   (b R - log(1 + b R)) / b^2
 *
 * Its mean over the positives of a query and the query itself (at similarity 1 to itself, as in the
 * reference: a term that is near 0) is the query's loss. The variants I grow the gradient with R,
 * those of D let it fade, so that hopeless positives are given up.
 *
 *   reduction = "mean"      over the queries that have a positive
 *               "nonzero"   over the queries with a loss above 0
 *               "sum"
 *
 * Similarities are cosines. Cost as for smooth_ap (kernels/soft_rank.h); the reference holds B x B
 * x B numbers. With references the query is no positive of its own. */
#include <math.h>

#include "autograd/batch_loss.h"
#include "kernels/soft_rank.h"

enum { VARIANT, ANNEAL, ALPHA, B_OPTION, REDUCTION };
enum { O, DS, DQ, IU, IB };
enum { QUERIES = CR_BATCH_STATS };

static const cr_input inputs[] = { CR_BATCH_INPUTS, { 0 } };

static const cr_option options[] = {
  [VARIANT]   = { "variant", O, 0, 0, "what R costs", CR_CHOICE, "O Ds Dq Iu Ib", false },
  [ANNEAL]    = { "anneal", 0.01, 1e-6, 1e30, "softness of a step", CR_NUMBER, NULL, false },
  [ALPHA]     = { "alpha", 1, 1e-6, 1e6, "Dq: exponent", CR_NUMBER, NULL, false },
  [B_OPTION]  = { "b", 2, 1e-6, 1e6, "Ib: how soon the slope levels off", CR_NUMBER, NULL, false },
  [REDUCTION] = CR_BATCH_REDUCTION(CR_BATCH_MEAN),
  { 0 }
};

/* active: the share of positives with a negative before them */
static const char *const stats[] = { CR_BATCH_STAT_NAMES, [QUERIES] = "queries", NULL };

static cr_tile_shape shape_of(const cr_call *c) {
  cr_tile_shape shape = cr_batch_shape(c, -1);
  shape.metric = CR_COSINE;
  int64_t columns = shape.references > 0 ? shape.references : shape.rows;
  shape.row_scratch_bytes = cr_soft_rank_bytes(columns);
  return shape;
}

static bool check(cr_call *c, cr_error *err) {
  cr_tile_shape shape = shape_of(c);
  return cr_batch_check(c, &shape, 0, 0, err);
}

static double cost(const double *option, double R, double *slope) {
  double b = option[B_OPTION], alpha = option[ALPHA];
  switch ((int)option[VARIANT]) {
    case DS:
      *slope = 1 / (1 + R);
      return log1p(R);
    case DQ:
      *slope = alpha * pow(1 + R, -alpha - 1);
      return -expm1(-alpha * log1p(R));
    case IU:
      *slope = 1 + log1p(R);
      return (1 + R) * log1p(R);
    case IB:
      *slope = R / (1 + b * R);
      return (b * R - log1p(b * R)) / (b * b);
    default:
      *slope = 1;
      return R;
  }
}

static double term(const cr_row *row, cr_soft_counts before, cr_soft_counts *slope,
                   const void *context) {
  double by = 1 / (double)(row->positives + (row->self >= 0));
  double loss = cost(context, before.negatives, &slope->negatives);
  slope->negatives *= by;
  return by * loss;
}

static void forward(cr_call *c) {
  cr_tile_shape shape = shape_of(c);
  cr_soft_rank_job job = { .tau = c->option[ANNEAL], .self_too = shape.references == 0, .fn = term,
                           .context = c->option };
  double sum[CR_ROW_SUMS];
  cr_tile t;
  cr_batch_start(&t, c, &shape);
  cr_tile_pass(&t, cr_soft_rank_row, &job, c->wants_grad, sum);
  double scale = cr_batch_scale(c->option[REDUCTION], sum[CR_SOFT_ROWS], sum[CR_SOFT_ACTIVE_ROWS]);
  cr_batch_end(c, &t, scale, scale * sum[CR_SOFT_LOSS],
               cr_ratio(sum[CR_SOFT_PRECEDED], sum[CR_SOFT_POSITIVES]));
  c->stat[QUERIES] = sum[CR_SOFT_ROWS];
}

const cr_op cr_loss_pnp = {
  .name = "pnp", .help = "penalise negatives that come before a positive",
  .formula = "query mean of the mean over positives of f(sum_n sigmoid((s_n - s_p) / anneal))",
  .paper = "Li, Min, Song and others, \"Rethinking the optimization of average precision: only "
           "penalizing negative instances before positive ones is enough\", AAAI 2022, eqs. 8-12",
  .differs = "pytorch-metric-learning holds a B x B x B tensor",
  .inputs = inputs, .options = options, .stats = stats, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = cr_batch_backward,
};
