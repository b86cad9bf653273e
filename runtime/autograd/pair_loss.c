/* pair_loss.c - see pair_loss.h */
#include "autograd/pair_loss.h"

#include <math.h>

enum { ACTIVE_SHARE, POSITIVE_DISTANCE, NEGATIVE_DISTANCE, POSITIVE_PAIRS, NEGATIVE_PAIRS };
enum { DISTANCE, SQUARED, NORMALIZE, REDUCTION, SHARED_OPTIONS };
enum { OWN_BYTES = 'g', ROW_BYTES = 'h' };      /* places in c->dim */

const cr_input cr_pair_loss_inputs[] = {
  [CR_PAIR_EMBEDDINGS]       = { "embeddings",       "B D", CR_TREAL, 0 },
  [CR_PAIR_LABELS]           = { "labels",           "B",   CR_TINT,  CR_NOGRAD },
  [CR_PAIR_REFERENCES]       = { "references",       "R D", CR_TREAL, CR_OPTIONAL },
  [CR_PAIR_REFERENCE_LABELS] = { "reference_labels", "R",   CR_TINT,  CR_OPTIONAL | CR_NOGRAD },
  { 0 }
};

const char *const cr_pair_loss_stats[] = {
  [ACTIVE_SHARE] = "active",                  /* share of the terms above 0 */
  [POSITIVE_DISTANCE] = "positive_distance",  /* means over all pairs */
  [NEGATIVE_DISTANCE] = "negative_distance",
  [POSITIVE_PAIRS] = "positive_pairs",        /* within a batch (i, j) and (j, i) are one */
  [NEGATIVE_PAIRS] = "negative_pairs",
  NULL
};

/* One of the options that all share; they come last. */
static double shared(const cr_call *c, int which) {
  int n = 0;
  while (c->op->options[n].name != NULL) n++;
  return c->option[n - SHARED_OPTIONS + which];
}

cr_metric cr_pair_metric(const cr_call *c) { return (cr_metric)shared(c, DISTANCE); }

static bool has_square(const cr_call *c) {
  cr_metric metric = cr_pair_metric(c);
  return metric == CR_EUCLIDEAN || metric == CR_MANHATTAN;
}

static bool squared(const cr_call *c) {
  double given = shared(c, SQUARED);
  return isnan(given) ? has_square(c) : given != 0;
}

double cr_pair_threshold(const cr_call *c, double value) {
  cr_metric metric = cr_pair_metric(c);
  return metric == CR_COSINE ? 1 - value : metric == CR_DOT ? -value : value;
}

void cr_pair_term(const cr_row *row, double loss) {
  row->sum[CR_PAIR_LOSS] += loss;
  row->sum[CR_PAIR_TERMS]++;
  row->sum[CR_PAIR_ACTIVE] += loss > 0;
}

/* ---- check ----------------------------------------------------------------------------------- */

static bool has_towers(const cr_call *c) { return c->op->inputs[1].type == CR_TREAL; }

static int references_input(const cr_call *c) {
  return has_towers(c) ? CR_TOWER_REFERENCES : CR_PAIR_REFERENCES;
}

static cr_tile_shape shape_of(const cr_call *c) {
  const cr_tensor *references = c->in[references_input(c)];
  return (cr_tile_shape){
    .rows = c->dim['B'], .width = c->dim['D'], .references = references != NULL ? c->dim['R'] : 0,
    .metric = cr_pair_metric(c), .squared = squared(c), .normalize = shared(c, NORMALIZE) != 0,
    .gradient = c->wants_grad, .reference_gradient = c->want[references_input(c)],
    .row_scratch_bytes = (size_t)c->dim[ROW_BYTES],
  };
}

static cr_tile_shape shape_of_columns(const cr_call *c) {
  cr_tile_shape shape = shape_of(c);
  shape.rows = c->dim['R'];
  shape.references = c->dim['B'];
  shape.gradient = shape.reference_gradient = false;
  return shape;
}

static bool check_references(const cr_call *c, cr_error *err) {
  bool references = c->in[references_input(c)] != NULL;
  int64_t B = c->dim['B'], R = c->dim['R'];
  if (has_towers(c)) {
    if (R >= B) return true;
    return cr_fail(err, CR_ESHAPE, "references must have a row for each of embeddings, B = %lld, "
                   "or more, got %lld", (long long)B, (long long)R);
  }
  if (references != (c->in[CR_PAIR_REFERENCE_LABELS] != NULL))
    return cr_fail(err, CR_EVALUE, "references and reference_labels go together, got only %s",
                   references ? "references" : "reference_labels");
  if (references && R == 0)
    return cr_fail(err, CR_ESHAPE, "references must have a row or more, got none");
  return true;
}

static size_t aligned(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

/* Scratch: what the loss keeps, the labels of towers, the tile. */
static size_t label_bytes(const cr_call *c) {
  return has_towers(c) ? aligned((size_t)c->dim['R'] * sizeof(int64_t)) : 0;
}

bool cr_pair_check_with(cr_call *c, size_t own_bytes, size_t row_bytes, cr_error *err) {
  if (!check_references(c, err)) return false;
  if (squared(c) && !has_square(c))
    return cr_fail(err, CR_EVALUE,
                   "squared is for distance = \"euclidean\" or \"manhattan\", got \"%s\"",
                   cr_pair_metric(c) == CR_DOT ? "dot" : "cosine");
  c->dim[OWN_BYTES] = (int64_t)aligned(own_bytes);
  c->dim[ROW_BYTES] = (int64_t)row_bytes;
  cr_tile_shape shape = shape_of(c);
  if (!cr_tile_sizes(&shape, &c->saved_bytes, &c->scratch_bytes, err)) return false;
  if (has_towers(c)) {
    cr_tile_shape columns = shape_of_columns(c);
    size_t saved, scratch;
    if (!cr_tile_sizes(&columns, &saved, &scratch, err)) return false;
    if (scratch > c->scratch_bytes) c->scratch_bytes = scratch;
  }
  c->scratch_bytes += (size_t)c->dim[OWN_BYTES] + label_bytes(c);
  c->saved_bytes = aligned(c->saved_bytes) + CR_PAIR_KEPT * sizeof(double);
  return true;
}

bool cr_pair_check(cr_call *c, cr_error *err) { return cr_pair_check_with(c, 0, 0, err); }

/* ---- forward --------------------------------------------------------------------------------- */

void cr_pair_start_as(cr_call *c, cr_tile *t, bool symmetric, double least_norm) {
  cr_tile_shape shape = shape_of(c);
  unsigned char *scratch = (unsigned char *)c->scratch + c->dim[OWN_BYTES];
  const cr_tensor *references = c->in[references_input(c)];
  const real *x = cr_reals(c->in[CR_PAIR_EMBEDDINGS]);
  const real *y = references != NULL ? cr_reals(references) : NULL;
  const int64_t *x_label, *y_label = NULL;
  shape.symmetric = symmetric && references == NULL;
  shape.least_norm = least_norm;
  if (has_towers(c)) {
    int64_t *number = (int64_t *)(void *)scratch;
    for (int64_t i = 0; i < c->dim['R']; i++) number[i] = i;
    x_label = y_label = number;
  } else {
    x_label = cr_ints(c->in[CR_PAIR_LABELS]);
    if (references != NULL) y_label = cr_ints(c->in[CR_PAIR_REFERENCE_LABELS]);
  }
  cr_tile_start(t, &shape, x, x_label, y, y_label, scratch + label_bytes(c));
}

void cr_pair_start(cr_call *c, cr_tile *t) { cr_pair_start_as(c, t, false, 0); }

void cr_pair_start_columns(cr_call *c, cr_tile *t) {
  cr_tile_shape shape = shape_of_columns(c);
  unsigned char *scratch = (unsigned char *)c->scratch + c->dim[OWN_BYTES];
  int64_t *number = (int64_t *)(void *)scratch;
  for (int64_t i = 0; i < c->dim['R']; i++) number[i] = i;
  cr_tile_start(t, &shape, cr_reals(c->in[CR_TOWER_REFERENCES]), number,
                cr_reals(c->in[CR_TOWER_EMBEDDINGS]), number, scratch + label_bytes(c));
}

double cr_pair_scale(const cr_call *c, const double sum[CR_ROW_SUMS]) {
  switch ((int)shared(c, REDUCTION)) {
    case CR_PAIR_MEAN: return cr_ratio(1, sum[CR_PAIR_TERMS]);
    case CR_PAIR_NONZERO: return cr_ratio(1, sum[CR_PAIR_ACTIVE]);
    default: return 1;
  }
}

void cr_pair_finish_into(cr_call *c, cr_tile *t, real *gradient, double scale, double loss,
                         const double sum[CR_ROW_SUMS]) {
  double positives = (double)t->positive_pairs, negatives = (double)t->negative_pairs;
  double twice = t->pairs.same ? 2 : 1;
  /* a symmetric tile gives a pair's weight to a row once, though it is there twice */
  cr_tile_gradient(t, t->sums.symmetric ? 2 * scale : scale, gradient);
  *cr_reals(c->out[0]) = (real)cr_tile_result(t, loss);
  c->stat[ACTIVE_SHARE] = cr_ratio(sum[CR_PAIR_ACTIVE], sum[CR_PAIR_TERMS]);
  c->stat[POSITIVE_DISTANCE] = cr_ratio(t->positive_distance, positives);
  c->stat[NEGATIVE_DISTANCE] = cr_ratio(t->negative_distance, negatives);
  c->stat[POSITIVE_PAIRS] = positives / twice;
  c->stat[NEGATIVE_PAIRS] = negatives / twice;
}

void cr_pair_finish(cr_call *c, cr_tile *t, double scale, double loss,
                    const double sum[CR_ROW_SUMS]) {
  cr_pair_finish_into(c, t, c->saved, scale, loss, sum);
}

void cr_pair_forward(cr_call *c, cr_row_fn row, void *context) {
  cr_tile t;
  double sum[CR_ROW_SUMS];
  cr_pair_start(c, &t);
  cr_tile_pass(&t, row, context, c->wants_grad, sum);
  double scale = cr_pair_scale(c, sum);
  cr_pair_finish(c, &t, scale, scale * sum[CR_PAIR_LOSS], sum);
}

void cr_pair_backward(cr_call *c) {
  cr_tensor *gx = c->gin[CR_PAIR_EMBEDDINGS], *gy = c->gin[references_input(c)];
  cr_tile_shape shape = { .rows = c->dim['B'], .width = c->dim['D'],
                          .references = gy != NULL ? c->dim['R'] : 0 };
  cr_tile_backward(&shape, c->saved, (double)*cr_reals(c->gout[0]),
                   gx != NULL ? cr_reals(gx) : NULL, gy != NULL ? cr_reals(gy) : NULL);
}

static double *kept(const cr_call *c, int k) {
  unsigned char *end = (unsigned char *)c->saved + c->saved_bytes;
  return (double *)(void *)end - CR_PAIR_KEPT + k;
}

void cr_pair_keep(cr_call *c, int k, double value) { *kept(c, k) = value; }
double cr_pair_kept(const cr_call *c, int k) { return *kept(c, k); }
