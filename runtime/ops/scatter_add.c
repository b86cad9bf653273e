/* scatter_add.c - x, with each element of src added to the place along dim that index names
 *
 *   out = x;  out[i, index[i, j]] += src[i, j]        dim = 2
 *
 * index holds row numbers from 1 and has the shape of src; a place named several times receives
 * all. */
#include <math.h>
#include "autograd/op.h"
#include "kernels/index.h"

enum { X, INDEX, SRC };
enum { DIM };

static const cr_input inputs[] = {
  [X]     = { "x", "...", CR_TREAL, 0 },
  [INDEX] = { "index", "...", CR_TINT, CR_NOGRAD },
  [SRC]   = { "src", "...", CR_TREAL, 0 },
  { 0 }
};
static const cr_output outputs[] = { { "out", "=0", CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [DIM] = { "dim", -1, -CR_MAX_DIMS, CR_MAX_DIMS, "dimension to spread along", CR_DIM },
  { 0 }
};

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

static bool src_fits(const cr_tensor *src, const cr_tensor *index, cr_error *err) {
  char want[CR_SHAPE_TEXT], got[CR_SHAPE_TEXT];
  if (cr_tensor_same_shape(src, index)) return true;
  return cr_fail(err, CR_ESHAPE, "src must have shape %s as index, got %s",
                 cr_shape_text(index->ndim, index->shape, want),
                 cr_shape_text(src->ndim, src->shape, got));
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
  if (!src_fits(c->in[SRC], index, err)) return false;
  c->backward_scratch_bytes = (size_t)cr_tensor_numel(index) * sizeof(int64_t);
  c->scratch_bytes = c->backward_scratch_bytes + (size_t)cr_tensor_numel(x) * sizeof(double);
  return true;
}

static void forward(cr_call *c) {
  const cr_tensor *x = c->in[X];
  int64_t n = cr_tensor_numel(c->in[INDEX]), *where = places(c, x);
  cr_index_put_sum(n, where, 1, cr_reals(c->in[SRC]), cr_tensor_numel(x), cr_reals(x),
                   (double *)(where + n), cr_reals(c->out[0]));
}

static void backward(cr_call *c) {
  const cr_tensor *g = c->gout[0];
  if (c->gin[X]) cr_tensor_copy(c->gin[X], g);
  if (c->gin[SRC])
    cr_index_take(cr_tensor_numel(c->gin[SRC]), places(c, g), sizeof(real), cr_reals(g),
                  cr_reals(c->gin[SRC]));
}

const cr_op cr_op_scatter_add = {
  .name = "scatter_add", .help = "x with elements of another tensor added where index says",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_IN1,
  .check = check, .forward = forward, .backward = backward,
};
