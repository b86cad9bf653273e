/* index_select.c - some places of one dimension, in the order and as often as they are named
 *
 *   x:index_select(crun.int{3, 1, 3}, 1)  ->  rows 3, 1 and 3 of x
 *
 * index holds row numbers from 1. The gradient of a row named several times is summed. */
#include <math.h>
#include "autograd/op.h"
#include "kernels/index.h"

enum { X, INDEX };
enum { DIM };

static const cr_input inputs[] = {
  [X]     = { "x", "...", CR_TANY, 0 },
  [INDEX] = { "index", "N", CR_TINT, CR_NOGRAD },
  { 0 }
};
static const cr_output outputs[] = { { "out", NULL, CR_TSAME }, { 0 } };

static const cr_option options[] = {
  [DIM] = { "dim", 0, -CR_MAX_DIMS, CR_MAX_DIMS, "dimension to pick from", CR_DIM },
  { 0 }
};

static void *data(const cr_tensor *t) {
  return t->storage->data + (size_t)t->offset * cr_dtype_size(t->dtype);
}

typedef struct rule { int dim; const int64_t *index; } rule;

static int64_t source(const void *context, int d, int64_t i, int64_t n_in) {
  const rule *r = context;
  (void)n_in;
  return d == r->dim ? r->index[i] - 1 : i;
}

static rule rule_of(cr_call *c, int ndim) {
  rule r = { 0, cr_ints(c->in[INDEX]) };
  cr_option_dim(c, DIM, ndim, &r.dim, NULL);
  return r;
}

static bool in_range(const cr_tensor *index, int64_t limit, cr_error *err) {
  int64_t n = cr_tensor_numel(index), at = cr_index_outside(n, cr_ints(index), limit);
  if (at < 0) return true;
  return cr_fail(err, CR_EVALUE, "index %lld is out of range 1..%lld",
                 (long long)cr_ints(index)[at], (long long)limit);
}

static bool check(cr_call *c, cr_error *err) {
  const cr_tensor *x = c->in[X];
  int64_t out[CR_MAX_DIMS];
  int dim;
  if (!cr_option_dim(c, DIM, x->ndim, &dim, err)) return false;
  if (!in_range(c->in[INDEX], x->shape[dim], err)) return false;
  for (int d = 0; d < x->ndim; d++) out[d] = d == dim ? c->dim['N'] : x->shape[d];
  cr_out_shape(c, 0, x->ndim, out);
  c->scratch_bytes = cr_index_rule_bytes(x->ndim, x->shape, out, false);
  c->backward_scratch_bytes = cr_index_rule_bytes(x->ndim, x->shape, out, true);
  return true;
}

static void forward(cr_call *c) {
  const cr_tensor *x = c->in[X], *out = c->out[0];
  rule r = rule_of(c, x->ndim);
  cr_index_rule(x->ndim, x->shape, out->shape, source, &r, c->scratch, cr_dtype_size(x->dtype),
                data(x), NULL, data(out));
}

static void backward(cr_call *c) {
  const cr_tensor *g = c->gout[0];
  rule r = rule_of(c, g->ndim);
  cr_index_rule_sum(g->ndim, c->gin[X]->shape, g->shape, source, &r, c->scratch, cr_reals(g),
                    cr_reals(c->gin[X]));
}

const cr_op cr_op_index_select = {
  .name = "index_select", .help = "some places of one dimension, in the order they are named",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_IN1,
  .check = check, .forward = forward, .backward = backward,
};
