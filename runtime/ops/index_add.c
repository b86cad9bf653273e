/* index_add.c - x, with scaled slices of another tensor added to the places that are named
 *
 *   out = x;  out[index[k], :] += alpha src[k, :]           and likewise along any other dim
 *
 * index holds row numbers from 1; one named several times receives all. */
#include <math.h>
#include <string.h>
#include "autograd/op.h"
#include "kernels/index.h"

enum { X, INDEX, SRC };
enum { DIM, ALPHA };

static const cr_input inputs[] = {
  [X]     = { "x", "...", CR_TREAL, 0 },
  [INDEX] = { "index", "N", CR_TINT, CR_NOGRAD },
  [SRC]   = { "src", "...", CR_TREAL, 0 },
  { 0 }
};
static const cr_output outputs[] = { { "out", "=0", CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [DIM]   = { "dim", 0, -CR_MAX_DIMS, CR_MAX_DIMS, "dimension the index counts along", CR_DIM },
  [ALPHA] = { "alpha", 1, -INFINITY, INFINITY, "factor of src", CR_NUMBER },
  { 0 }
};

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

static void src_shape(const cr_tensor *x, int dim, int64_t n, int64_t shape[CR_MAX_DIMS]) {
  for (int d = 0; d < x->ndim; d++) shape[d] = d == dim ? n : x->shape[d];
}

static bool check(cr_call *c, cr_error *err) {
  const cr_tensor *x = c->in[X], *src = c->in[SRC];
  int64_t shape[CR_MAX_DIMS];
  int dim;
  if (!cr_option_dim(c, DIM, x->ndim, &dim, err)) return false;
  if (!in_range(c->in[INDEX], x->shape[dim], err)) return false;
  src_shape(x, dim, c->dim['N'], shape);
  char want[CR_SHAPE_TEXT], got[CR_SHAPE_TEXT];
  if (src->ndim != x->ndim || memcmp(shape, src->shape, (size_t)x->ndim * sizeof *shape) != 0)
    return cr_fail(err, CR_ESHAPE, "src must have shape %s, got %s",
                   cr_shape_text(x->ndim, shape, want), cr_shape_text(src->ndim, src->shape, got));
  c->scratch_bytes = cr_index_rule_bytes(x->ndim, x->shape, shape, true);
  c->backward_scratch_bytes = c->scratch_bytes;
  return true;
}

static void forward(cr_call *c) {
  const cr_tensor *x = c->in[X], *src = c->in[SRC];
  rule r = rule_of(c, x->ndim);
  real *out = cr_reals(c->out[0]), alpha = (real)c->option[ALPHA];
  cr_index_rule_sum(x->ndim, x->shape, src->shape, source, &r, c->scratch, cr_reals(src), out);
  for (int64_t i = 0, n = cr_tensor_numel(x); i < n; i++) out[i] = cr_reals(x)[i] + alpha * out[i];
}

static void backward(cr_call *c) {
  const cr_tensor *g = c->gout[0];
  if (c->gin[X]) cr_tensor_copy(c->gin[X], g);
  if (!c->gin[SRC]) return;
  rule r = rule_of(c, g->ndim);
  real *gsrc = cr_reals(c->gin[SRC]), alpha = (real)c->option[ALPHA];
  cr_index_rule(g->ndim, g->shape, c->gin[SRC]->shape, source, &r, c->scratch, sizeof(real),
                cr_reals(g), NULL, gsrc);
  for (int64_t i = 0, n = cr_tensor_numel(c->gin[SRC]); i < n; i++) gsrc[i] *= alpha;
}

const cr_op cr_op_index_add = {
  .name = "index_add", .help = "x with slices of another tensor added to places that are named",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_IN1,
  .check = check, .forward = forward, .backward = backward,
};
