/* cat.c - tensors joined along a dimension they already have
 *
 *   crun.cat({ [2 3], [4 3] }, 1)  ->  [6 3]
 *
 * All other sizes must agree. The result is int64 (uint8) when every tensor is, otherwise real. */
#include <math.h>
#include "autograd/op.h"
#include "kernels/index.h"

enum { DIM };

static const cr_input inputs[] = { { "tensors", "...", CR_TSAME, CR_LIST }, { 0 } };
static const cr_output outputs[] = { { "out", NULL, CR_TSAME }, { 0 } };

static const cr_option options[] = {
  [DIM] = { "dim", 0, -CR_MAX_DIMS, CR_MAX_DIMS, "dimension to join along", CR_DIM },
  { 0 }
};

/* A list of pieces seen as rows: piece i has `rows` rows of bytes[i], the result rows of `total`.
 * saved holds bytes[]. */
typedef struct layout { int64_t rows; size_t total; size_t bytes[]; } layout;

static void *data(const cr_tensor *t) {
  return t->storage->data + (size_t)t->offset * cr_dtype_size(t->dtype);
}

static bool check(cr_call *c, cr_error *err) {
  int dim;
  if (c->n_in == 0) return cr_fail(err, CR_EVALUE, "tensors is empty, there is nothing to join");
  const cr_tensor *first = c->in[0];
  if (!cr_option_dim(c, DIM, first->ndim, &dim, err)) return false;
  int64_t shape[CR_MAX_DIMS];
  for (int d = 0; d < first->ndim; d++) shape[d] = first->shape[d];
  for (int i = 1; i < c->n_in; i++) {
    const cr_tensor *t = c->in[i];
    bool fits = t->ndim == first->ndim;
    for (int d = 0; fits && d < t->ndim; d++) fits = d == dim || t->shape[d] == shape[d];
    char a[CR_SHAPE_TEXT], b[CR_SHAPE_TEXT];
    if (!fits)
      return cr_fail(err, CR_ESHAPE,
                     "tensors[%d] of shape %s does not fit tensors[1] of shape %s along %d", i + 1,
                     cr_shape_text(t->ndim, t->shape, b),
                     cr_shape_text(first->ndim, first->shape, a), dim + 1);
    shape[dim] += t->shape[dim];
  }
  cr_out_shape(c, 0, first->ndim, shape);
  c->saved_bytes = sizeof(layout) + (size_t)c->n_in * sizeof(size_t);
  return true;
}

static void forward(cr_call *c) {
  layout *l = c->saved;
  const cr_tensor *out = c->out[0];
  int dim;
  cr_option_dim(c, DIM, out->ndim, &dim, NULL);
  l->rows = 1, l->total = 0;
  for (int d = 0; d < dim; d++) l->rows *= out->shape[d];
  for (int i = 0; i < c->n_in; i++) {
    size_t bytes = (size_t)cr_tensor_numel(c->in[i]) * cr_dtype_size(out->dtype);
    l->total += l->bytes[i] = l->rows > 0 ? bytes / (size_t)l->rows : 0;
  }
  unsigned char *at = data(out);
  for (int i = 0; i < c->n_in; at += l->bytes[i++])
    cr_index_rows(l->rows, l->bytes[i], at, l->total, data(c->in[i]), l->bytes[i]);
}

static void backward(cr_call *c) {
  const layout *l = c->saved;
  const unsigned char *at = (const unsigned char *)cr_reals(c->gout[0]);
  for (int i = 0; i < c->n_in; at += l->bytes[i++])
    if (c->gin[i])
      cr_index_rows(l->rows, l->bytes[i], cr_reals(c->gin[i]), l->bytes[i], at, l->total);
}

const cr_op cr_op_cat = {
  .name = "cat", .help = "tensors joined along a dimension they already have",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = backward,
};
