/* repeat_interleave.c - every place along a dimension repeated on the spot
 *
 *   crun.int{1, 2}:repeat_interleave(3, 1)  ->  1 1 1 2 2 2 */
#include <math.h>
#include "autograd/op.h"
#include "kernels/index.h"

enum { REPEATS, DIM };

static const cr_input inputs[] = { { "x", "...", CR_TANY, 0 }, { 0 } };
static const cr_output outputs[] = { { "out", NULL, CR_TSAME }, { 0 } };

static const cr_option options[] = {
  [REPEATS] = { "repeats", NAN, 0, 1e12, "how often each place", CR_COUNT, NULL, true },
  [DIM]     = { "dim", 0, -CR_MAX_DIMS, CR_MAX_DIMS, "dimension to repeat along", CR_DIM },
  { 0 }
};

static void *data(const cr_tensor *t) {
  return t->storage->data + (size_t)t->offset * cr_dtype_size(t->dtype);
}

static int64_t source(const void *context, int d, int64_t i, int64_t n_in) {
  const int64_t *repeats = context;
  (void)n_in;
  return i / repeats[d];
}

static void repeats_of(cr_call *c, int ndim, int64_t repeats[CR_MAX_DIMS]) {
  int dim;
  cr_option_dim(c, DIM, ndim, &dim, NULL);
  for (int d = 0; d < ndim; d++) repeats[d] = d == dim ? (int64_t)c->option[REPEATS] : 1;
}

static bool check(cr_call *c, cr_error *err) {
  const cr_tensor *x = c->in[0];
  int64_t out[CR_MAX_DIMS], repeats[CR_MAX_DIMS], numel;
  int dim;
  if (!cr_option_dim(c, DIM, x->ndim, &dim, err)) return false;
  repeats_of(c, x->ndim, repeats);
  for (int d = 0; d < x->ndim; d++)
    if (__builtin_mul_overflow(x->shape[d], repeats[d], &out[d])) out[d] = -1;
  if (!cr_shape_numel(x->ndim, out, &numel))
    return cr_fail(err, CR_ESHAPE, "the result would have too many elements");
  cr_out_shape(c, 0, x->ndim, out);
  c->scratch_bytes = cr_index_rule_bytes(x->ndim, x->shape, out, false);
  c->backward_scratch_bytes = cr_index_rule_bytes(x->ndim, x->shape, out, true);
  return true;
}

static void forward(cr_call *c) {
  const cr_tensor *x = c->in[0], *out = c->out[0];
  int64_t repeats[CR_MAX_DIMS];
  repeats_of(c, x->ndim, repeats);
  cr_index_rule(x->ndim, x->shape, out->shape, source, repeats, c->scratch, cr_dtype_size(x->dtype),
                data(x), NULL, data(out));
}

static void backward(cr_call *c) {
  const cr_tensor *g = c->gout[0];
  int64_t repeats[CR_MAX_DIMS];
  repeats_of(c, g->ndim, repeats);
  cr_index_rule_sum(g->ndim, c->gin[0]->shape, g->shape, source, repeats, c->scratch, cr_reals(g),
                    cr_reals(c->gin[0]));
}

const cr_op cr_op_repeat_interleave = {
  .name = "repeat_interleave", .help = "every place along a dimension repeated on the spot",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = backward,
};
