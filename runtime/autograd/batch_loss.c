/* batch_loss.c - see batch_loss.h */
#include "autograd/batch_loss.h"

#include "kernels/label_order.h"

size_t cr_batch_aligned(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

static bool with_references(const cr_call *c) {
  return c->n_in > CR_BATCH_REFERENCE_LABELS && c->in[CR_BATCH_REFERENCE_LABELS] != NULL;
}

cr_tile_shape cr_batch_shape(const cr_call *c, int distance) {
  bool references = with_references(c);
  cr_tile_shape shape = {
    .rows = c->dim['B'], .width = c->dim['D'], .references = references ? c->dim['R'] : 0,
    .metric = CR_EUCLIDEAN, .gradient = c->wants_grad,
    .reference_gradient = references && c->want[CR_BATCH_REFERENCES],
  };
  if (distance < 0) return shape;
  shape.metric = (cr_metric)c->option[distance];
  shape.squared = c->option[distance + 1] != 0;
  shape.normalize = c->option[distance + 2] != 0;
  return shape;
}

bool cr_batch_check(cr_call *c, const cr_tile_shape *shape, size_t more_scratch, size_t more_saved,
                    cr_error *err) {
  bool references = c->n_in > CR_BATCH_REFERENCES && c->in[CR_BATCH_REFERENCES] != NULL;
  if (references != with_references(c))
    return cr_fail(err, CR_EVALUE, "references and reference_labels go together, got only %s",
                   references ? "references" : "reference_labels");
  if (references && c->dim['R'] == 0)
    return cr_fail(err, CR_ESHAPE, "references must have a row or more, got none");
  if (shape->squared && (shape->metric == CR_COSINE || shape->metric == CR_DOT))
    return cr_fail(err, CR_EVALUE,
                   "squared is for distance = \"euclidean\" or \"manhattan\", got \"%s\"",
                   shape->metric == CR_DOT ? "dot" : "cosine");
  if (!cr_tile_sizes(shape, &c->saved_bytes, &c->scratch_bytes, err)) return false;
  c->scratch_bytes = cr_batch_aligned(c->scratch_bytes) + cr_batch_aligned(more_scratch);
  c->saved_bytes = cr_batch_aligned(c->saved_bytes) + cr_batch_aligned(more_saved);
  return true;
}

bool cr_batch_largest(const cr_call *c, int64_t *largest, cr_error *err) {
  const cr_tensor *labels = c->in[with_references(c) ? CR_BATCH_REFERENCE_LABELS : CR_BATCH_LABELS];
  int64_t n = labels->shape[0];
  int64_t *order = cr_alloc(2 * (size_t)n * sizeof *order, err);
  if (order == NULL) return false;
  cr_label_order(n, cr_ints(labels), order, order + n);
  *largest = cr_label_largest(n, cr_ints(labels), order);
  cr_free(order);
  return true;
}

void cr_batch_start(cr_tile *t, const cr_call *c, const cr_tile_shape *shape) {
  bool references = shape->references > 0;
  cr_tile_start(t, shape, cr_reals(c->in[CR_BATCH_X]), cr_ints(c->in[CR_BATCH_LABELS]),
                references ? cr_reals(c->in[CR_BATCH_REFERENCES]) : NULL,
                references ? cr_ints(c->in[CR_BATCH_REFERENCE_LABELS]) : NULL, c->scratch);
}

void *cr_batch_scratch(const cr_call *c, size_t more) {
  return (unsigned char *)c->scratch + c->scratch_bytes - cr_batch_aligned(more);
}

void *cr_batch_saved(const cr_call *c, size_t more) {
  return (unsigned char *)c->saved + c->saved_bytes - cr_batch_aligned(more);
}

double cr_batch_scale(double reduction, double considered, double active) {
  double by[] = { [CR_BATCH_MEAN] = considered, [CR_BATCH_SUM] = 1, [CR_BATCH_NONZERO] = active };
  return cr_ratio(1, by[(int)reduction]);
}

void cr_batch_end(cr_call *c, cr_tile *t, double scale, double loss, double active) {
  cr_tile_gradient(t, scale, c->saved);
  *cr_reals(c->out[0]) = (real)cr_tile_result(t, loss);
  c->stat[CR_BATCH_ACTIVE] = active;
  c->stat[CR_BATCH_POSITIVE] = cr_ratio(t->positive_distance, (double)t->positive_pairs);
  c->stat[CR_BATCH_NEGATIVE] = cr_ratio(t->negative_distance, (double)t->negative_pairs);
}

void cr_batch_backward(cr_call *c) {
  cr_tensor *gx = c->gin[CR_BATCH_X];
  cr_tensor *gy = c->n_in > CR_BATCH_REFERENCES ? c->gin[CR_BATCH_REFERENCES] : NULL;
  cr_tile_shape shape = { .rows = c->dim['B'], .width = c->dim['D'],
                          .references = gy != NULL ? c->dim['R'] : 0 };
  cr_tile_backward(&shape, c->saved, (double)*cr_reals(c->gout[0]),
                   gx != NULL ? cr_reals(gx) : NULL, gy != NULL ? cr_reals(gy) : NULL);
}
