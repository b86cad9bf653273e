/* margin.c - margin loss: positives inside a boundary, negatives outside it
 *
 *   l_apn = max(0, d_ap - beta + margin) + max(0, beta - d_an + margin)
 *
 * over the triplets of a labelled batch. beta is the radius that divides "same" from "different": a
 * tensor of one number, or of one number for each class (then labels run from 1 to C, and the
 * anchor's class counts). It may want a gradient. Without the tensor, the option beta = 1.2 stands
 * for it.
 *
 *   reduction = "divisor"   the sum by the number of hinges above 0, each counted once for every
 *                           triplet it is part of
 *               "mean"      by the number of triplets
 *               "nonzero"   by the number of triplets with a loss above 0
 *               "sum"
 *   nu > 0                  adds nu beta (one number), or nu times the beta of each triplet's
 *                           anchor, summed and divided like the loss (one for each class)
 *
 * The two hinges of a triplet have nothing to do with each other, so an anchor with K - 1 positives
 * and B - K negatives gives each of its positive pairs the weight B - K and each of its negative
 * pairs the weight K - 1: all triplets in B^2, counts included. Time B^2 D; memory a tile of rows
 * by B. distance = "cosine" is 1 - cos, so a beta for similarities is 1 - beta here; "dot" is minus
 * the inner product, with -beta. No triplet: 0, also for the nu term, with zero gradient. */
#include <math.h>
#include <string.h>

#include "autograd/batch_loss.h"
#include "kernels/hinge_row.h"

enum { BETA = CR_BATCH_MORE };
enum { MARGIN, BETA_OPTION, NU, DISTANCE, SQUARED, NORMALIZE, REDUCTION };
enum { DIVISOR, MEAN, NONZERO, SUM };
enum { TRIPLETS = CR_BATCH_STATS, HINGES };

static const cr_input inputs[] = {
  CR_BATCH_INPUTS,
  [BETA] = { "beta", "...", CR_TREAL, CR_OPTIONAL },
  { 0 }
};

static const cr_option options[] = {
  [MARGIN]      = { "margin", 0.2, -1e30, 1e30, "half the width of the gap around beta", CR_NUMBER,
                    NULL, false },
  [BETA_OPTION] = { "beta", 1.2, -1e30, 1e30, "the boundary when no tensor is given", CR_NUMBER,
                    NULL, false },
  [NU]          = { "nu", 0, 0, 1e30, "weight of beta itself in the loss", CR_NUMBER, NULL, false },
  [DISTANCE]    = CR_BATCH_OPTIONS(CR_EUCLIDEAN, 0, 0),
  [REDUCTION]   = { "reduction", DIVISOR, 0, 0, "what the sum is divided by", CR_CHOICE,
                    "divisor mean nonzero sum", false },
  { 0 }
};

static const char *const stats[] = {
  CR_BATCH_STAT_NAMES,
  [TRIPLETS] = "triplets",
  [HINGES] = "active_hinges",               /* the divisor */
  NULL
};

static int64_t numbers_of_beta(const cr_call *c) {
  return c->in[BETA] != NULL ? cr_tensor_numel(c->in[BETA]) : 1;
}

/* slopes by beta, and what a row does to its negatives: its bound and its weight */
static size_t rows_bytes(const cr_call *c) {
  return (size_t)c->dim['B'] * (sizeof(double) + 2 * sizeof(real));
}

static cr_tile_shape shape_of(const cr_call *c) {
  cr_tile_shape shape = cr_batch_shape(c, DISTANCE);
  shape.symmetric = shape.references == 0;
  return shape;
}

static bool check(cr_call *c, cr_error *err) {
  const cr_tensor *beta = c->in[BETA];
  if (beta != NULL && (beta->ndim > 1 || cr_tensor_numel(beta) == 0)) {
    char text[CR_SHAPE_TEXT];
    return cr_fail(err, CR_ESHAPE, "beta must be one number or have shape [C], got %s",
                   cr_shape_text(beta->ndim, beta->shape, text));
  }
  int64_t C = numbers_of_beta(c);
  const int64_t *label = cr_ints(c->in[CR_BATCH_LABELS]);
  for (int64_t i = 0; C > 1 && i < c->dim['B']; i++)
    if (label[i] < 1 || label[i] > C)
      return cr_fail(err, CR_EVALUE, "labels must run from 1 to %lld, as beta does; label %lld is "
                     "%lld", (long long)C, (long long)i + 1, (long long)label[i]);
  cr_tile_shape shape = shape_of(c);
  c->dim['a'] = C;
  return cr_batch_check(c, &shape, rows_bytes(c), (size_t)C * sizeof(real), err);
}

enum { LOSS, ACTIVE_HINGES, ACTIVE_TRIPLETS, BETAS };

typedef struct settings {
  real margin;
  const real *beta;
  int64_t numbers;
  double *slope;              /* [B]: of the sum by the row's beta */
  real *bound, *weight;       /* [B]: beta + margin and positives of each row, in sorted order */
} settings;

static int64_t class_of(const settings *s, const cr_tile *t, int64_t i) {
  return s->numbers > 1 ? t->label[t->order[i]] - 1 : 0;
}

/* In the batch itself a pair is weighed once, by what both of its rows do to it. */
CR_VECTOR static void push_both(int64_t n, const real *restrict d, real bound, real weight,
                                const real *restrict bounds, const real *restrict weights,
                                real *restrict w) {
  for (int64_t j = 0; j < n; j++)
    w[j] = (d[j] < bound ? -weight : 0) - (d[j] < bounds[j] ? weights[j] : 0);
}

static void margin_row(const cr_row *row, void *context) {
  const settings *s = context;
  double P = (double)row->positives, N = (double)row->negatives;
  real *w = row->w, beta = s->beta[class_of(s, row->tile, row->i)];
  s->slope[row->i] = 0;
  bool both = row->self >= 0;
  if (w != NULL) memset(w, 0, (size_t)row->columns * sizeof *w);
  if (w != NULL && both) {
    push_both(row->begin, row->d, s->bound[row->i], s->weight[row->i], s->bound, s->weight, w);
    push_both(row->columns - row->end, row->d + row->end, s->bound[row->i], s->weight[row->i],
              s->bound + row->end, s->weight + row->end, w + row->end);
  }
  if (row->positives == 0 || row->negatives == 0) return;
  int64_t self = row->self >= 0 ? row->self : row->end;
  struct { int64_t begin, end; real sign; } runs[] = {
    { row->begin, self, 1 }, { self + 1, row->end, 1 },
    { 0, row->begin, -1 }, { row->end, row->columns, -1 },
  };
  double count[2] = { 0 };
  for (int k = 0; k < 4; k++) {
    int64_t begin = runs[k].begin;
    double times = k < 2 ? N : P;
    cr_hinge h = cr_hinge_row(runs[k].end - begin, row->d + begin, runs[k].sign,
                              s->margin - runs[k].sign * beta, (real)(both ? 2 * times : times),
                              w != NULL && (k < 2 || !both) ? w + begin : NULL);
    row->sum[LOSS] += times * h.loss;
    count[k / 2] += h.count;
  }
  row->sum[ACTIVE_HINGES] = N * count[0] + P * count[1];
  row->sum[ACTIVE_TRIPLETS] = N * count[0] + P * count[1] - count[0] * count[1];
  row->sum[BETAS] = P * N * (double)beta;
  s->slope[row->i] = P * count[1] - N * count[0];
}

/* The gradient by beta, by class, into what backward reads. */
static void beta_gradient(const settings *s, const cr_tile *t, double scale, double nu, real *out) {
  for (int64_t k = 0; k < s->numbers; k++) out[k] = 0;
  for (int64_t i = 0; i < t->shape.rows; i++) {
    int64_t n = t->pairs.columns - (t->end[i] - t->begin[i]);
    int64_t p = t->end[i] - t->begin[i] - (t->pairs.same ? 1 : 0);
    double reg = s->numbers > 1 ? nu * (double)p * (double)n : 0;
    out[class_of(s, t, i)] += (real)(scale * (s->slope[i] + reg));
  }
  if (s->numbers == 1 && t->triplets > 0) out[0] += (real)nu;
}

static void forward(cr_call *c) {
  cr_tile_shape shape = shape_of(c);
  real beta = (real)c->option[BETA_OPTION];
  double nu = c->option[NU], sum[CR_ROW_SUMS];
  settings s = { (real)c->option[MARGIN], c->in[BETA] != NULL ? cr_reals(c->in[BETA]) : &beta,
                 numbers_of_beta(c), cr_batch_scratch(c, rows_bytes(c)), NULL, NULL };
  s.bound = (real *)(s.slope + shape.rows);
  s.weight = s.bound + shape.rows;
  cr_tile t;
  memset(s.slope, 0, rows_bytes(c));
  cr_batch_start(&t, c, &shape);
  for (int64_t r = 0; shape.symmetric && r < shape.rows; r++) {
    s.bound[r] = s.beta[class_of(&s, &t, r)] + s.margin;
    s.weight[r] = (real)(t.end[r] - t.begin[r] - 1);
  }
  cr_tile_pass(&t, margin_row, &s, c->wants_grad, sum);
  double by[] = { [DIVISOR] = sum[ACTIVE_HINGES], [MEAN] = t.triplets,
                  [NONZERO] = sum[ACTIVE_TRIPLETS], [SUM] = 1 };
  double scale = cr_ratio(1, by[(int)c->option[REDUCTION]]);
  double own = s.numbers > 1 ? scale * sum[BETAS] : t.triplets > 0 ? (double)s.beta[0] : 0;
  if (c->wants_grad)
    beta_gradient(&s, &t, t.healthy ? scale : NAN, nu,
                  cr_batch_saved(c, (size_t)s.numbers * sizeof(real)));
  cr_batch_end(c, &t, scale, scale * sum[LOSS] + nu * own,
               cr_ratio(sum[ACTIVE_HINGES], 2 * t.triplets));
  c->stat[TRIPLETS] = t.triplets;
  c->stat[HINGES] = sum[ACTIVE_HINGES];
}

static void backward(cr_call *c) {
  cr_batch_backward(c);
  if (c->gin[BETA] == NULL) return;
  const real *saved = cr_batch_saved(c, (size_t)c->dim['a'] * sizeof(real));
  real *out = cr_reals(c->gin[BETA]), upstream = *cr_reals(c->gout[0]);
  for (int64_t k = 0; k < c->dim['a']; k++) out[k] = upstream * saved[k];
}

const cr_op cr_loss_margin = {
  .name = "margin",
  .help = "positives inside a (learnable) boundary, negatives outside, by a margin",
  .formula = "sum over triplets of max(0, d(a,p) - beta + margin) + max(0, beta - d(a,n) + "
             "margin), by the number of hinges above 0; + nu beta",
  .paper = "Wu, Manmatha, Smola, Kraehenbuehl, \"Sampling matters in deep embedding learning\", "
           "ICCV 2017, eq. 6",
  .differs = "pytorch-metric-learning normalises rows (normalize = true) and adds nu beta only "
             "when beta is learnt; for similarities its beta is 1 - beta here",
  .inputs = inputs, .options = options, .stats = stats, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = backward,
};
