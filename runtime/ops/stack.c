/* stack.c - tensors of one shape joined along a new dimension
 *
 *   crun.stack({ [2 3], [2 3] }, 1)  ->  [2 2 3], dimension 1 counts the tensors */
#include <math.h>
#include "autograd/op.h"
#include "kernels/index.h"

enum { DIM };

static const cr_input inputs[] = { { "tensors", "...", CR_TSAME, CR_LIST }, { 0 } };
static const cr_output outputs[] = { { "out", NULL, CR_TSAME }, { 0 } };

static const cr_option options[] = {
  [DIM] = { "dim", 0, -CR_MAX_DIMS, CR_MAX_DIMS, "where the new dimension stands in the result",
            CR_DIM },
  { 0 }
};

static void *data(const cr_tensor *t) {
  return t->storage->data + (size_t)t->offset * cr_dtype_size(t->dtype);
}

static bool check(cr_call *c, cr_error *err) {
  int dim;
  int64_t shape[CR_MAX_DIMS];
  if (c->n_in == 0) return cr_fail(err, CR_EVALUE, "tensors is empty, there is nothing to stack");
  const cr_tensor *first = c->in[0];
  if (first->ndim == CR_MAX_DIMS)
    return cr_fail(err, CR_ESHAPE, "a tensor has at most %d dimensions", CR_MAX_DIMS);
  if (!cr_option_dim(c, DIM, first->ndim + 1, &dim, err)) return false;
  for (int i = 1; i < c->n_in; i++) {
    char a[CR_SHAPE_TEXT], b[CR_SHAPE_TEXT];
    if (!cr_tensor_same_shape(first, c->in[i]))
      return cr_fail(err, CR_ESHAPE, "tensors[%d] must have shape %s as tensors[1], got %s", i + 1,
                     cr_shape_text(first->ndim, first->shape, a),
                     cr_shape_text(c->in[i]->ndim, c->in[i]->shape, b));
  }
  for (int d = 0; d < first->ndim; d++) shape[d < dim ? d : d + 1] = first->shape[d];
  shape[dim] = c->n_in;
  cr_out_shape(c, 0, first->ndim + 1, shape);
  return true;
}

/* rows of `bytes` in each of the tensors that make up t (out or its gradient) */
static size_t row_bytes(cr_call *c, const cr_tensor *t, int64_t *rows) {
  int dim;
  size_t bytes = cr_dtype_size(t->dtype);
  cr_option_dim(c, DIM, t->ndim, &dim, NULL);
  *rows = 1;
  for (int d = 0; d < dim; d++) *rows *= t->shape[d];
  for (int d = dim + 1; d < t->ndim; d++) bytes *= (size_t)t->shape[d];
  return bytes;
}

static void forward(cr_call *c) {
  int64_t rows;
  size_t bytes = row_bytes(c, c->out[0], &rows);
  unsigned char *to = data(c->out[0]);
  for (int i = 0; i < c->n_in; i++)
    cr_index_rows(rows, bytes, to + (size_t)i * bytes, (size_t)c->n_in * bytes, data(c->in[i]),
                  bytes);
}

static void backward(cr_call *c) {
  int64_t rows;
  size_t bytes = row_bytes(c, c->gout[0], &rows);
  const unsigned char *g = (const unsigned char *)cr_reals(c->gout[0]);
  for (int i = 0; i < c->n_in; i++)
    if (c->gin[i])
      cr_index_rows(rows, bytes, cr_reals(c->gin[i]), bytes, g + (size_t)i * bytes,
                    (size_t)c->n_in * bytes);
}

const cr_op cr_op_stack = {
  .name = "stack", .help = "tensors of one shape joined along a new dimension",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = backward,
};
