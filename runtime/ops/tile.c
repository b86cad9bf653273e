/* tile.c - the whole tensor repeated along each dimension (torch's repeat; `repeat` is a word of
 * Lua)
 *
 *   [2 3]:tile(2, 3)  ->  [4 9]          [3]:tile(2, 1)  ->  [2 3]  new ones in front */
#include <math.h>
#include "autograd/op.h"
#include "kernels/index.h"

enum { REPEATS };

static const cr_input inputs[] = { { "x", "...", CR_TANY, 0 }, { 0 } };
static const cr_output outputs[] = { { "out", NULL, CR_TSAME }, { 0 } };

static const cr_option options[] = {
  [REPEATS] = { "repeats", NAN, 0, 9e15, "how often along each dimension", CR_COUNTS, NULL, true },
  { 0 }
};

static void *data(const cr_tensor *t) {
  return t->storage->data + (size_t)t->offset * cr_dtype_size(t->dtype);
}

static int64_t source(const void *context, int d, int64_t i, int64_t n_in) {
  (void)context, (void)d;
  return i % n_in;
}

/* The shape of x with ones in front, as long as the result. */
static const int64_t *padded(const cr_tensor *x, int ndim, int64_t shape[CR_MAX_DIMS]) {
  for (int d = 0; d < ndim; d++)
    shape[d] = d < ndim - x->ndim ? 1 : x->shape[d - ndim + x->ndim];
  return shape;
}

static bool check(cr_call *c, cr_error *err) {
  const cr_list *repeats = &c->list[REPEATS];
  int64_t in[CR_MAX_DIMS], out[CR_MAX_DIMS], numel;
  if (repeats->n < c->in[0]->ndim)
    return cr_fail(err, CR_EVALUE, "repeats must name all %d dimensions, got %d", c->in[0]->ndim,
                   repeats->n);
  padded(c->in[0], repeats->n, in);
  for (int d = 0; d < repeats->n; d++)
    if (__builtin_mul_overflow(in[d], repeats->at[d], &out[d])) out[d] = -1;
  if (!cr_shape_numel(repeats->n, out, &numel))
    return cr_fail(err, CR_ESHAPE, "the result would have too many elements");
  cr_out_shape(c, 0, repeats->n, out);
  c->scratch_bytes = cr_index_rule_bytes(repeats->n, in, out, false);
  c->backward_scratch_bytes = cr_index_rule_bytes(repeats->n, in, out, true);
  return true;
}

static void forward(cr_call *c) {
  const cr_tensor *x = c->in[0], *out = c->out[0];
  int64_t in[CR_MAX_DIMS];
  cr_index_rule(out->ndim, padded(x, out->ndim, in), out->shape, source, NULL, c->scratch,
                cr_dtype_size(x->dtype), data(x), NULL, data(out));
}

static void backward(cr_call *c) {
  const cr_tensor *g = c->gout[0];
  int64_t in[CR_MAX_DIMS];
  cr_index_rule_sum(g->ndim, padded(c->gin[0], g->ndim, in), g->shape, source, NULL, c->scratch,
                    cr_reals(g), cr_reals(c->gin[0]));
}

const cr_op cr_op_tile = {
  .name = "tile", .help = "the whole tensor repeated along each dimension",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = backward,
};
