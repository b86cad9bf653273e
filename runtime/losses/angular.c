/* angular.c - angular loss
 *
 *   l_ip = log(1 + sum_n e^f_ipn),
 *   f_ipn = 4 tan^2(alpha) <x_i + x_p, x_n> - 2 (1 + tan^2(alpha)) <x_i, x_p>
 *
 * for every pair of a row i and a positive p of it; n runs over the rows of other labels. alpha, in
 * degrees, bounds the angle at the negative in the triangle of the three. Wang and others 2017, eq.
 * 6 and 8. With references p and n come from those.
 *
 * <x_i + x_p, x_n> is the sum of two inner products, so the width D is in those alone: B^2 D for
 * them and B^2 K for the exponentials of K rows a class. The rows of a class lie in one tile:
 * memory a tile of rows by B, or K by B where a class is larger. With references the tiles hold
 * both sides' rows, since <x_p, x_n> is wanted too: (B + R) R D. Terms are pairs, (i, p) and (p, i)
 * both. */
#include <string.h>
#include <tgmath.h>

#include "autograd/pair_loss.h"
#include "kernels/label_order.h"
#include "kernels/row_stream.h"

enum { ALPHA, NORMALIZE, REDUCTION };

static const cr_option options[] = {
  [ALPHA] = { "alpha", 40, 0.1, 89, "bound of the angle at the negative, in degrees", CR_NUMBER,
              NULL, false },
  [NORMALIZE] = { "normalize", 0, 0, 1, "divide rows by their norm first", CR_FLAG, NULL, false },
  [REDUCTION] = { "reduction", CR_PAIR_MEAN, 0, 0,
                  "mean: by the number of pairs; nonzero: by those above 0", CR_CHOICE,
                  "mean sum nonzero", false },
  { 0 }
};

/* ---- memory ---------------------------------------------------------------------------------- */

/* With references all rows are put one under the other, embeddings first, and held against the
 * references. */
typedef struct work {
  int64_t B, R, D, N;               /* N = B + R rows in all */
  int64_t *label;                   /* [N] */
  real *rows, *gradient;            /* [N D]; [N D] and, with references, [R D] */
  unsigned char *tile;
  size_t bytes;
} work;

static void lay_out(work *k, const cr_call *c, unsigned char *base) {
  *k = (work){ .B = c->dim['B'], .D = c->dim['D'] };
  if (c->in[CR_PAIR_REFERENCE_LABELS] != NULL) k->R = c->dim['R'];
  k->N = k->B + k->R;
  if (k->R > 0) {
    k->label = cr_stream_take(base, &k->bytes, k->N, sizeof(int64_t));
    k->rows = cr_stream_take(base, &k->bytes, k->N * k->D, sizeof(real));
    k->gradient = cr_stream_take(base, &k->bytes, (k->N + k->R) * k->D, sizeof(real));
  }
  k->tile = cr_stream_take(base, &k->bytes, 0, 1);
}

static cr_tile_shape shape_of(const cr_call *c, const work *k) {
  return (cr_tile_shape){
    .rows = k->N, .references = k->R, .width = k->D, .metric = CR_DOT,
    .normalize = c->option[NORMALIZE] != 0,
    .gradient = c->wants_grad, .reference_gradient = true,
    .whole_classes = c->dim['a'], .row_scratch_bytes = (size_t)(k->R > 0 ? k->R : k->B)
                                                       * sizeof(real),
  };
}

static void fill_labels(const cr_call *c, const work *k, int64_t *label) {
  memcpy(label, cr_ints(c->in[CR_PAIR_LABELS]), (size_t)k->B * sizeof *label);
  if (k->R > 0)
    memcpy(label + k->B, cr_ints(c->in[CR_PAIR_REFERENCE_LABELS]), (size_t)k->R * sizeof *label);
}

static bool check(cr_call *c, cr_error *err) {
  bool references = c->in[CR_PAIR_REFERENCES] != NULL;
  work k;
  if (references != (c->in[CR_PAIR_REFERENCE_LABELS] != NULL))
    return cr_fail(err, CR_EVALUE, "references and reference_labels go together, got only %s",
                   references ? "references" : "reference_labels");
  if (references && c->dim['R'] == 0)
    return cr_fail(err, CR_ESHAPE, "references must have a row or more, got none");
  lay_out(&k, c, NULL);
  int64_t *label = cr_alloc(3 * (size_t)k.N * sizeof *label, err);
  if (label == NULL) return false;
  fill_labels(c, &k, label);
  cr_label_order(k.N, label, label + k.N, label + 2 * k.N);
  c->dim['a'] = cr_label_largest(k.N, label, label + k.N);
  cr_free(label);
  cr_tile_shape shape = shape_of(c, &k);
  size_t unused;
  if (!cr_tile_sizes(&shape, &unused, &c->scratch_bytes, err)) return false;
  c->saved_bytes = c->wants_grad ? (size_t)(k.N * k.D) * sizeof(real) : 0;
  return cr_size_add(c->scratch_bytes, k.bytes, &c->scratch_bytes)
      || cr_fail(err, CR_EMEMORY, "a batch of %lld rows is too large", (long long)k.N);
}

/* ---- rows ------------------------------------------------------------------------------------ */

typedef struct settings { double f, g; const work *k; } settings;

CR_VECTOR static void add(int64_t n, const real *restrict a, const real *restrict b,
                          real *restrict sum) {
  for (int64_t j = 0; j < n; j++) sum[j] = a[j] + b[j];
}

CR_VECTOR static void add_scaled(int64_t n, real by, const real *restrict e, real *restrict w) {
  for (int64_t j = 0; j < n; j++) w[j] += by * e[j];
}

/* The pair of rows i and p, `own` their inner product with a minus sign; d is that of all. Returns
 * the loss; adds `times` its slopes by what row i holds of the negatives to w. */
static double pair_loss(const cr_row *row, const settings *s, const real *other, double own,
                        double times, double *slope) {
  cr_span span = cr_span_negatives(row);
  real *e = row->scratch;
  for (int k = 0; k < 2; k++)
    add(span.end[k] - span.begin[k], row->d + span.begin[k], other + span.begin[k],
        e + span.begin[k]);
  cr_lse lse = cr_span_lse(e, span, -s->f, e);
  double loss = cr_log_one_plus(lse.log + s->g * own, slope);
  if (row->w == NULL || !(lse.sum > 0)) return loss;
  for (int k = 0; k < 2; k++)
    add_scaled(span.end[k] - span.begin[k], (real)(-s->f * times * *slope / lse.sum),
               e + span.begin[k], row->w + span.begin[k]);
  return loss;
}

static bool is_reference(const cr_row *row, const settings *s, int64_t i) {
  return s->k->R > 0 && row->tile->order[i] >= s->k->B;
}

/* Row i goes through its partners: all other rows of its class, or those of the other side. What
 * the negatives give to i and what they give to p are two rows' affairs, so each pair is met from
 * both ends. Without references (i, p) and (p, i) have one loss, hence twice. */
static void row_loss(const cr_row *row, void *context) {
  const settings *s = context;
  const cr_tile *t = row->tile;
  bool sides = s->k->R > 0, reference = is_reference(row, s, row->i);
  int64_t first = row->i, last = row->i + 1, column = row->begin;
  if (row->w != NULL) memset(row->w, 0, (size_t)row->columns * sizeof *row->w);
  if (row->end == row->begin) return;                     /* no reference is of this class */
  while (first > 0 && t->begin[first - 1] == row->begin && t->end[first - 1] == row->end) first--;
  while (last < s->k->N && t->begin[last] == row->begin && t->end[last] == row->end) last++;
  /* a reference's own column comes after those before it in its class */
  for (int64_t i = first; reference && i < row->i; i++) column += is_reference(row, s, i);
  for (int64_t p = first; p < last; p++) {
    if (sides ? reference == is_reference(row, s, p) : p == row->i) continue;
    const real *other = cr_tile_row(t, p);
    int64_t at = sides ? column : p;                      /* where <x_i, x_p> stands */
    double slope, loss = pair_loss(row, s, other, (double)(reference ? other : row->d)[at],
                                   sides ? 1 : 2, &slope);
    if (reference) continue;
    cr_pair_term(row, loss);
    if (row->w != NULL) row->w[at] += (real)(s->g * slope);
    column++;                                             /* references come in column order */
  }
}

/* ---- loss ------------------------------------------------------------------------------------ */

static void forward(cr_call *c) {
  work k;
  double tangent = tan(c->option[ALPHA] * (3.14159265358979323846 / 180)), sum[CR_ROW_SUMS];
  settings s = { 4 * tangent * tangent, 2 * (1 + tangent * tangent), &k };
  const real *x = cr_reals(c->in[CR_PAIR_EMBEDDINGS]), *y = NULL;
  const int64_t *label = cr_ints(c->in[CR_PAIR_LABELS]), *reference_label = NULL;
  cr_tile t;
  lay_out(&k, c, c->scratch);
  cr_tile_shape shape = shape_of(c, &k);
  size_t own = (size_t)(k.B * k.D), others = (size_t)(k.R * k.D);
  if (k.R > 0) {
    y = cr_reals(c->in[CR_PAIR_REFERENCES]);
    reference_label = cr_ints(c->in[CR_PAIR_REFERENCE_LABELS]);
    memcpy(k.rows, x, own * sizeof *x);
    memcpy(k.rows + own, y, others * sizeof *y);
    fill_labels(c, &k, k.label);
  }
  cr_tile_start(&t, &shape, k.R > 0 ? k.rows : x, k.R > 0 ? k.label : label, y, reference_label,
                k.tile);
  cr_tile_pass(&t, row_loss, &s, c->wants_grad, sum);
  double scale = cr_pair_scale(c, sum);
  real *saved = c->saved;
  cr_pair_finish_into(c, &t, k.R > 0 ? k.gradient : saved, scale, scale * sum[CR_PAIR_LOSS], sum);
  if (k.R == 0 || !c->wants_grad) return;
  memcpy(saved, k.gradient, (own + others) * sizeof *saved);
  add_scaled((int64_t)others, 1, k.gradient + own + others, saved + own);
}

const cr_op cr_loss_angular = {
  .name = "angular", .help = "bounds the angle at the negative of anchor, positive and negative",
  .formula = "mean over pairs of log(1 + sum_n e^(4 tan^2 alpha <a + p, n> "
             "- 2 (1 + tan^2 alpha) <a, p>))",
  .paper = "Wang, Zhou, Wen, Liu, Lin, \"Deep metric learning with angular loss\", ICCV 2017, eq. "
           "6 and 8",
  .differs = "pytorch-metric-learning normalises anchors and positives and leaves the negatives as "
             "they are; normalize = true treats all alike, false leaves all as they are",
  .inputs = cr_pair_loss_inputs, .options = options, .stats = cr_pair_loss_stats,
  .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = cr_pair_backward,
};
