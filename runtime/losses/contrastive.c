/* contrastive.c - contrastive loss over the pairs of a labelled batch
 *
 * d is the distance of a pair, y = 1 when its labels are equal and 0 when they are not. variant =
 *
 *   "hadsell"     y d^2 / 2 + (1-y) max(0, margin - d)^2 / 2
 *                 Hadsell, Chopra, LeCun 2006, eq. 4
 *   "seed"        y d^2 / 2 + (1-y) max(0, margin - d)
 *                 half on the positive side only; linear hinge
 *   "pml"         y max(0, d - pos_margin) + (1-y) max(0, neg_margin - d)
 *                 as in pytorch-metric-learning
 *   "chopra2005"  y (2/Q) d^2 + (1-y) 2 Q exp(-2.77 d / Q)
 *                 Chopra, Hadsell, LeCun 2005, eq. 8; Q bounds d
 *
 * These are four losses: a margin that is good for one says little about the next. At the margin
 * the push on a negative fades to 0 with "hadsell", and stops from 1 with the linear hinges.
 *
 *   reduction = "mean"      sum over pairs / pairs
 *               "sum"
 *               "sides"     mean over positive pairs + mean over negative pairs
 *               "nonzero"   the same, each mean over the pairs of that side with a loss above 0
 *
 * The default is "nonzero" for "pml" and "mean" for the others. The pairs are i < j of the batch,
 * or, with references [R D] and their labels, every row with every reference. distance = "cosine"
 * is 1 - cos, so pos_margin and neg_margin on similarities are 1 - pos_margin and 1 - neg_margin
 * here; "dot" is minus the inner product. squared = true puts d^2 for d in all of the above.
 *
 * Cost: B^2 D. Memory: a tile of rows by B, and a few times B D. "nonzero" works distances out
 * twice when the batch is larger than a tile, since the divisors come before the weights. A batch
 * without pairs gives 0 with zero gradient. A negative pair at distance 0 has no direction to move
 * in: its gradient is taken as 0. An embedding that is not finite gives nan. */
#include <math.h>
#include <tgmath.h>

#include "autograd/op.h"
#include "kernels/tile_loss.h"

enum { EMBEDDINGS, LABELS, REFERENCES, REFERENCE_LABELS };
enum { VARIANT, MARGIN, POS_MARGIN, NEG_MARGIN, Q_BOUND, DISTANCE, SQUARED, NORMALIZE, REDUCTION };
enum { HADSELL, SEED, PML, CHOPRA };
enum { MEAN, SUM, SIDES, NONZERO };
enum { ACTIVE_SHARE, POSITIVE_DISTANCE, NEGATIVE_DISTANCE, POSITIVE_PAIRS, NEGATIVE_PAIRS };

static const cr_input inputs[] = {
  [EMBEDDINGS]       = { "embeddings",       "B D", CR_TREAL, 0 },
  [LABELS]           = { "labels",           "B",   CR_TINT,  CR_NOGRAD },
  [REFERENCES]       = { "references",       "R D", CR_TREAL, CR_OPTIONAL },
  [REFERENCE_LABELS] = { "reference_labels", "R",   CR_TINT,  CR_OPTIONAL | CR_NOGRAD },
  { 0 }
};

static const cr_option options[] = {
  [VARIANT]    = { "variant", HADSELL, 0, 0, "which formula", CR_CHOICE,
                   "hadsell seed pml chopra2005", false },
  [MARGIN]     = { "margin", 1, -1e30, 1e30,
                   "hadsell, seed: distance past which a negative pair is free",
                   CR_NUMBER, NULL, false },
  [POS_MARGIN] = { "pos_margin", 0, -1e30, 1e30,
                   "pml: distance up to which a positive pair is free", CR_NUMBER, NULL, false },
  [NEG_MARGIN] = { "neg_margin", 1, -1e30, 1e30, "pml: distance past which a negative pair is free",
                   CR_NUMBER, NULL, false },
  [Q_BOUND]    = { "Q", 2, 1e-6, 1e30, "chopra2005: an upper bound of the distance", CR_NUMBER,
                   NULL, false },
  [DISTANCE]   = { "distance", CR_EUCLIDEAN, 0, 0, "", CR_CHOICE, CR_METRIC_NAMES, false },
  [SQUARED]    = { "squared", 0, 0, 1, "squared distances", CR_FLAG, NULL, false },
  [NORMALIZE]  = { "normalize", 0, 0, 1, "divide rows by their norm first", CR_FLAG, NULL, false },
  [REDUCTION]  = { "reduction", NAN, 0, 0, "default: nonzero for pml, else mean", CR_CHOICE,
                   "mean sum sides nonzero", false },
  { 0 }
};

static const char *const stats[] = {
  [ACTIVE_SHARE] = "active",                  /* share of the pairs with a loss above 0 */
  [POSITIVE_DISTANCE] = "positive_distance",  /* means */
  [NEGATIVE_DISTANCE] = "negative_distance",
  [POSITIVE_PAIRS] = "positive_pairs",
  [NEGATIVE_PAIRS] = "negative_pairs",
  NULL
};

static cr_tile_shape shape_of(const cr_call *c) {
  bool references = c->in[REFERENCE_LABELS] != NULL;
  return (cr_tile_shape){
    .rows = c->dim['B'], .width = c->dim['D'], .references = references ? c->dim['R'] : 0,
    .metric = (cr_metric)c->option[DISTANCE], .squared = c->option[SQUARED] != 0,
        .symmetric = !references,
    .normalize = c->option[NORMALIZE] != 0, .gradient = c->wants_grad,
        .reference_gradient = c->want[REFERENCES],
  };
}

static bool check(cr_call *c, cr_error *err) {
  bool references = c->in[REFERENCES] != NULL;
  if (references != (c->in[REFERENCE_LABELS] != NULL))
    return cr_fail(err, CR_EVALUE, "references and reference_labels go together, got only %s",
                   references ? "references" : "reference_labels");
  if (references && c->dim['R'] == 0)
    return cr_fail(err, CR_ESHAPE, "references must have a row or more, got none");
  if (c->option[SQUARED] != 0
      && (c->option[DISTANCE] == CR_COSINE || c->option[DISTANCE] == CR_DOT))
    return cr_fail(err, CR_EVALUE,
                   "squared is for distance = \"euclidean\" or \"manhattan\", got \"%s\"",
                   c->option[DISTANCE] == CR_DOT ? "dot" : "cosine");
  cr_tile_shape shape = shape_of(c);
  return cr_tile_sizes(&shape, &c->saved_bytes, &c->scratch_bytes, err);
}

/* ---- rows ------------------------------------------------------------------------------------ */

enum { POSITIVE_LOSS, NEGATIVE_LOSS, POSITIVE_COUNT, NEGATIVE_COUNT };

typedef struct settings {
  int variant;
  real margin, pos_margin, neg_margin, q;
  real positive_weight, negative_weight;      /* of a pair in the result */
} settings;

/* One side of a row, columns begin .. end-1; adds losses and the number of those above 0. The loops
 * are apart so that each is a plain one over d and w. w may be NULL. */
typedef struct side { double loss, count; } side;

static real positive_term(const settings *s, real d, real *slope) {
  real over = d - s->pos_margin;
  switch (s->variant) {
    case PML:
      *slope = over > 0;
      return over > 0 ? over : 0;
    case CHOPRA:
      *slope = 4 / s->q * d;
      return 2 / s->q * d * d;
    default:
      *slope = d;
      return d * d / 2;
  }
}

static real negative_term(const settings *s, real d, real *slope) {
  real gap = (s->variant == PML ? s->neg_margin : s->margin) - d;
  switch (s->variant) {
    case CHOPRA: {
      real push = 2 * s->q * exp((real)-2.77 * d / s->q);
      *slope = (real)-2.77 / s->q * push;
      return push;
    }
    case HADSELL:
      *slope = gap > 0 ? -gap : 0;
      return gap > 0 ? gap * gap / 2 : 0;
    default:
      *slope = gap > 0 ? -1 : 0;
      return gap > 0 ? gap : 0;
  }
}

static inline side walk(const settings *s, const cr_row *row, int64_t begin, int64_t end,
                        bool positive) {
  side sum = { 0 };
  real weight = positive ? s->positive_weight : s->negative_weight;
  for (int64_t j = begin; j < end; j++) {
    real slope, d = row->d[j];
    real loss = positive ? positive_term(s, d, &slope) : negative_term(s, d, &slope);
    sum.loss += (double)loss;
    sum.count += loss > 0;
    if (row->w != NULL) row->w[j] = weight * slope;
  }
  return sum;
}

static void row_of_pairs(const cr_row *row, void *context) {
  const settings *s = context;
  int64_t before = row->self >= 0 ? row->self : row->end;
  side pieces[] = {
    walk(s, row, row->begin, before, true), walk(s, row, before + 1, row->end, true),
    walk(s, row, 0, row->begin, false), walk(s, row, row->end, row->columns, false),
  };
  row->sum[POSITIVE_LOSS] = pieces[0].loss + pieces[1].loss;
  row->sum[POSITIVE_COUNT] = pieces[0].count + pieces[1].count;
  row->sum[NEGATIVE_LOSS] = pieces[2].loss + pieces[3].loss;
  row->sum[NEGATIVE_COUNT] = pieces[2].count + pieces[3].count;
}

/* ---- loss ------------------------------------------------------------------------------------ */

/* What one positive and one negative pair weigh in the result. In the batch itself every pair comes
 * twice, as (i, j) and as (j, i): a mean does not notice, a sum counts it once. */
static void weigh(settings *s, int reduction, const cr_tile *t, const double *sum) {
  double positives = (double)t->positive_pairs, negatives = (double)t->negative_pairs;
  double by_positive = positives + negatives, by_negative = by_positive;
  if (reduction == SUM) by_positive = by_negative = t->pairs.same ? 2 : 1;
  if (reduction == SIDES) by_positive = positives, by_negative = negatives;
  if (reduction == NONZERO) by_positive = sum[POSITIVE_COUNT], by_negative = sum[NEGATIVE_COUNT];
  s->positive_weight = (real)cr_ratio(1, by_positive);
  s->negative_weight = (real)cr_ratio(1, by_negative);
}

static void forward(cr_call *c) {
  cr_tile_shape shape = shape_of(c);
  bool references = shape.references > 0;
  int variant = (int)c->option[VARIANT];
  int reduction = isnan(c->option[REDUCTION]) ? (variant == PML ? NONZERO : MEAN)
      : (int)c->option[REDUCTION];
  settings s = { .variant = variant, .margin = (real)c->option[MARGIN],
                 .pos_margin = (real)c->option[POS_MARGIN],
                 .neg_margin = (real)c->option[NEG_MARGIN], .q = (real)c->option[Q_BOUND] };
  cr_tile t;
  double sum[CR_ROW_SUMS];
  cr_tile_start(&t, &shape, cr_reals(c->in[EMBEDDINGS]), cr_ints(c->in[LABELS]),
                references ? cr_reals(c->in[REFERENCES]) : NULL,
                references ? cr_ints(c->in[REFERENCE_LABELS]) : NULL, c->scratch);
  if (reduction == NONZERO) cr_tile_pass(&t, row_of_pairs, &s, false, sum);
  weigh(&s, reduction, &t, sum);
  if (reduction != NONZERO || c->wants_grad) cr_tile_pass(&t, row_of_pairs, &s, c->wants_grad, sum);
  /* a symmetric tile gives a pair its weight once, though the sums over rows see it twice */
  cr_tile_gradient(&t, references ? 1 : 2, c->saved);
  double loss = (double)s.positive_weight * sum[POSITIVE_LOSS]
      + (double)s.negative_weight * sum[NEGATIVE_LOSS];
  *cr_reals(c->out[0]) = (real)cr_tile_result(&t, loss);
  double positives = (double)t.positive_pairs, negatives = (double)t.negative_pairs;
  double twice = references ? 1 : 2;
  c->stat[ACTIVE_SHARE] = cr_ratio(sum[POSITIVE_COUNT] + sum[NEGATIVE_COUNT],
                                   positives + negatives);
  c->stat[POSITIVE_DISTANCE] = cr_ratio(t.positive_distance, positives);
  c->stat[NEGATIVE_DISTANCE] = cr_ratio(t.negative_distance, negatives);
  c->stat[POSITIVE_PAIRS] = positives / twice;
  c->stat[NEGATIVE_PAIRS] = negatives / twice;
}

static void backward(cr_call *c) {
  cr_tile_shape shape = shape_of(c);
  shape.references = c->gin[REFERENCES] != NULL ? c->dim['R'] : 0;
  cr_tile_backward(&shape, c->saved, (double)*cr_reals(c->gout[0]),
                   c->gin[EMBEDDINGS] != NULL ? cr_reals(c->gin[EMBEDDINGS]) : NULL,
                   c->gin[REFERENCES] != NULL ? cr_reals(c->gin[REFERENCES]) : NULL);
}

const cr_op cr_loss_contrastive = {
  .name = "contrastive", .help = "pull equal labels together, push others past a margin",
  .formula = "hadsell: mean over pairs of y d^2 / 2 + (1 - y) max(0, margin - d)^2 / 2; "
             "variants: seed, pml, chopra2005",
  .paper = "Hadsell, Chopra, LeCun, \"Dimensionality reduction by learning an invariant mapping\", "
           "CVPR 2006, eq. 4; Chopra, Hadsell, LeCun, "
           "\"Learning a similarity metric discriminatively\", "
           "CVPR 2005, eq. 8",
  .differs = "the gradient of a distance at 0 is taken as 0",
  .inputs = inputs, .options = options, .stats = stats, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = backward,
};
