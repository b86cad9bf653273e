/* scatter.c - x, with the places along dim that index names overwritten by src, or by one value
 *
 *   out = x;  out[i, index[i, j]] = src[i, j]         dim = 2
 *
 *   x:scatter(index, src, 2)             x:scatter(index, nil, { dim = 2, value = 0.5 })
 *
 * index holds row numbers from 1. Of several elements for one place the last (in row-major order of
 * index) stays, and it alone gets the gradient; x gets none there. */
#include <math.h>
#include "autograd/op.h"
#include "kernels/index.h"

enum { X, INDEX, SRC };
enum { DIM, VALUE };

static const cr_input inputs[] = {
  [X]     = { "x", "...", CR_TREAL, 0 },
  [INDEX] = { "index", "...", CR_TINT, CR_NOGRAD },
  [SRC]   = { "src", "...", CR_TREAL, CR_OPTIONAL },
  { 0 }
};
static const cr_output outputs[] = { { "out", "=0", CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [DIM]   = { "dim", -1, -CR_MAX_DIMS, CR_MAX_DIMS, "dimension to spread along", CR_DIM },
  [VALUE] = { "value", NAN, -INFINITY, INFINITY, "written everywhere when there is no src",
              CR_NUMBER },
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
  if ((c->in[SRC] != NULL) == !isnan(c->option[VALUE]))
    return cr_fail(err, CR_EVALUE, "give either src or value");
  if (c->in[SRC] && !src_fits(c->in[SRC], index, err)) return false;
  c->scratch_bytes = (size_t)cr_tensor_numel(index) * sizeof(int64_t);
  c->backward_scratch_bytes = c->scratch_bytes + (size_t)cr_tensor_numel(x) * sizeof(int64_t);
  return true;
}

static void forward(cr_call *c) {
  const cr_tensor *x = c->in[X];
  int64_t n = cr_tensor_numel(c->in[INDEX]), *where = places(c, x);
  real *out = cr_reals(c->out[0]), value = (real)c->option[VALUE];
  cr_tensor_copy(c->out[0], x);
  if (c->in[SRC]) cr_index_put(n, where, sizeof(real), cr_reals(c->in[SRC]), out);
  else for (int64_t e = 0; e < n; e++) out[where[e]] = value;
}

static void backward(cr_call *c) {
  const cr_tensor *g = c->gout[0];
  int64_t n = cr_tensor_numel(c->in[INDEX]), *where = places(c, g), *writer = where + n;
  for (int64_t e = 0; e < n; e++) writer[where[e]] = e;
  if (c->gin[SRC]) {
    real *gsrc = cr_reals(c->gin[SRC]);
    for (int64_t e = 0; e < n; e++) gsrc[e] = writer[where[e]] == e ? cr_reals(g)[where[e]] : 0;
  }
  if (c->gin[X]) {
    cr_tensor_copy(c->gin[X], g);
    for (int64_t e = 0; e < n; e++) cr_reals(c->gin[X])[where[e]] = 0;
  }
}

const cr_op cr_op_scatter = {
  .name = "scatter", .help = "x with places along a dimension overwritten where index says",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_IN1,
  .check = check, .forward = forward, .backward = backward,
};
