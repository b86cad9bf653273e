/* roll.c - places moved along one dimension, what falls off one end comes back at the other
 *
 *   crun.int{1, 2, 3, 4}:roll(1, 1)  ->  4 1 2 3         shift may be negative */
#include <math.h>
#include "autograd/op.h"
#include "kernels/index.h"

enum { SHIFT, DIM };

static const cr_input inputs[] = { { "x", "...", CR_TANY, 0 }, { 0 } };
static const cr_output outputs[] = { { "out", "=0", CR_TSAME }, { 0 } };

static const cr_option options[] = {
  [SHIFT] = { "shift", NAN, -9e15, 9e15, "how many places onward", CR_COUNT, NULL, true },
  [DIM]   = { "dim", NAN, -CR_MAX_DIMS, CR_MAX_DIMS, "dimension to move along", CR_DIM, NULL,
              true },
  { 0 }
};

static void *data(const cr_tensor *t) {
  return t->storage->data + (size_t)t->offset * cr_dtype_size(t->dtype);
}

typedef struct rule { int dim; int64_t shift; } rule;

static int64_t source(const void *context, int d, int64_t i, int64_t n) {
  const rule *r = context;
  return d == r->dim ? ((i - r->shift) % n + n) % n : i;
}

static rule rule_of(cr_call *c, const cr_tensor *x) {
  rule r = { 0, (int64_t)c->option[SHIFT] };
  cr_option_dim(c, DIM, x->ndim, &r.dim, NULL);
  return r;
}

static bool check(cr_call *c, cr_error *err) {
  const cr_tensor *x = c->in[0];
  int dim;
  c->scratch_bytes = cr_index_rule_bytes(x->ndim, x->shape, x->shape, false);
  c->backward_scratch_bytes = cr_index_rule_bytes(x->ndim, x->shape, x->shape, true);
  return cr_option_dim(c, DIM, x->ndim, &dim, err);
}

static void forward(cr_call *c) {
  const cr_tensor *x = c->in[0];
  rule r = rule_of(c, x);
  cr_index_rule(x->ndim, x->shape, x->shape, source, &r, c->scratch, cr_dtype_size(x->dtype),
                data(x), NULL, data(c->out[0]));
}

static void backward(cr_call *c) {
  const cr_tensor *g = c->gout[0];
  rule r = rule_of(c, g);
  cr_index_rule_sum(g->ndim, g->shape, g->shape, source, &r, c->scratch, cr_reals(g),
                    cr_reals(c->gin[0]));
}

const cr_op cr_op_roll = {
  .name = "roll", .help = "places moved along one dimension, round and round",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = backward,
};
