/* gather.c - one element of x for each element of index, picked along a dimension
 *
 *   out[i, j] = x[i, index[i, j]]        dim = 2           out[i, j] = x[index[i, j], j]   dim = 1
 *
 * index holds row numbers from 1. The gradient of an element picked several times is summed. */
#include <math.h>
#include "autograd/op.h"
#include "kernels/index.h"

enum { X, INDEX };
enum { DIM };

static const cr_input inputs[] = {
  [X]     = { "x", "...", CR_TANY, 0 },
  [INDEX] = { "index", "...", CR_TINT, CR_NOGRAD },
  { 0 }
};
static const cr_output outputs[] = { { "out", "=1", CR_TSAME }, { 0 } };

static const cr_option options[] = {
  [DIM] = { "dim", -1, -CR_MAX_DIMS, CR_MAX_DIMS, "dimension to pick along", CR_DIM },
  { 0 }
};

static void *data(const cr_tensor *t) {
  return t->storage->data + (size_t)t->offset * cr_dtype_size(t->dtype);
}

/* index may be smaller than x except along dim, where it may have any size. */
static bool index_fits(const cr_tensor *index, const cr_tensor *x, int dim, cr_error *err) {
  bool fits = index->ndim == x->ndim;
  for (int d = 0; fits && d < x->ndim; d++) fits = d == dim || index->shape[d] <= x->shape[d];
  char got[CR_SHAPE_TEXT], room[CR_SHAPE_TEXT];
  if (!fits)
    return cr_fail(err, CR_ESHAPE, "index of shape %s does not fit into x of shape %s",
                   cr_shape_text(index->ndim, index->shape, got),
                   cr_shape_text(x->ndim, x->shape, room));
  int64_t at = cr_index_outside(cr_tensor_numel(index), cr_ints(index), x->shape[dim]);
  if (at < 0) return true;
  return cr_fail(err, CR_EVALUE, "index %lld is out of range 1..%lld",
                 (long long)cr_ints(index)[at], (long long)x->shape[dim]);
}

static int64_t *places(cr_call *c, const cr_tensor *x) {
  const cr_tensor *index = c->in[INDEX];
  int dim;
  cr_option_dim(c, DIM, x->ndim, &dim, NULL);
  cr_index_places(x->ndim, index->shape, x->shape, dim, cr_ints(index), c->scratch);
  return c->scratch;
}

static bool check(cr_call *c, cr_error *err) {
  const cr_tensor *x = c->in[X], *index = c->in[INDEX];
  int dim;
  if (!cr_option_dim(c, DIM, x->ndim, &dim, err) || !index_fits(index, x, dim, err)) return false;
  c->scratch_bytes = (size_t)cr_tensor_numel(index) * sizeof(int64_t);
  c->backward_scratch_bytes = c->scratch_bytes + (size_t)cr_tensor_numel(x) * sizeof(double);
  return true;
}

static void forward(cr_call *c) {
  const cr_tensor *x = c->in[X];
  cr_index_take(cr_tensor_numel(c->in[INDEX]), places(c, x), cr_dtype_size(x->dtype), data(x),
                data(c->out[0]));
}

static void backward(cr_call *c) {
  int64_t n = cr_tensor_numel(c->gout[0]), *where = places(c, c->gin[X]);
  cr_index_put_sum(n, where, 1, cr_reals(c->gout[0]), cr_tensor_numel(c->gin[X]), NULL,
                   (double *)(where + n), cr_reals(c->gin[X]));
}

const cr_op cr_op_gather = {
  .name = "gather", .help = "one element for each element of index, picked along a dimension",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_IN1,
  .check = check, .forward = forward, .backward = backward,
};
