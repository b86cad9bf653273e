/* flip.c - the order along some dimensions turned round
 *
 *   images:flip(4)       [B C H W] mirrored left to right; without dimensions, all of them */
#include <math.h>
#include "autograd/op.h"
#include "kernels/index.h"

enum { DIMS };

static const cr_input inputs[] = { { "x", "...", CR_TANY, 0 }, { 0 } };
static const cr_output outputs[] = { { "out", "=0", CR_TSAME }, { 0 } };

static const cr_option options[] = {
  [DIMS] = { "dims", NAN, -CR_MAX_DIMS, CR_MAX_DIMS, "dimensions to turn; left out: all", CR_DIMS },
  { 0 }
};

static void *data(const cr_tensor *t) {
  return t->storage->data + (size_t)t->offset * cr_dtype_size(t->dtype);
}

static int64_t source(const void *turned, int d, int64_t i, int64_t n) {
  return ((const bool *)turned)[d] ? n - 1 - i : i;
}

static bool check(cr_call *c, cr_error *err) {
  const cr_tensor *x = c->in[0];
  bool turned[CR_MAX_DIMS];
  c->scratch_bytes = cr_index_rule_bytes(x->ndim, x->shape, x->shape, false);
  c->backward_scratch_bytes = cr_index_rule_bytes(x->ndim, x->shape, x->shape, true);
  return cr_option_dims(c, DIMS, x->ndim, turned, err);
}

static void forward(cr_call *c) {
  const cr_tensor *x = c->in[0], *out = c->out[0];
  bool turned[CR_MAX_DIMS];
  size_t element = cr_dtype_size(x->dtype);
  cr_option_dims(c, DIMS, x->ndim, turned, NULL);
  cr_index_rule(x->ndim, x->shape, x->shape, source, turned, c->scratch, element,
                data(x), NULL, data(out));
}

static void backward(cr_call *c) {
  const cr_tensor *g = c->gout[0];
  bool turned[CR_MAX_DIMS];
  cr_option_dims(c, DIMS, g->ndim, turned, NULL);
  cr_index_rule_sum(g->ndim, g->shape, g->shape, source, turned, c->scratch, cr_reals(g),
                    cr_reals(c->gin[0]));
}

const cr_op cr_op_flip = {
  .name = "flip", .help = "the order along some dimensions turned round",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = backward,
};
