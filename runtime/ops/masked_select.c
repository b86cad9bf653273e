/* masked_select.c - the elements where a mask is not 0, in row-major order
 *
 *   x [...], mask of the same shape, any type  ->  [N], N elements of mask are not 0 */
#include "autograd/op.h"
#include "kernels/index.h"

enum { X, MASK };

static const cr_input inputs[] = {
  [X]    = { "x", "...", CR_TANY, 0 },
  [MASK] = { "mask", "...", CR_TANY, CR_NOGRAD },
  { 0 }
};
static const cr_output outputs[] = { { "out", NULL, CR_TSAME }, { 0 } };

static void *data(const cr_tensor *t) {
  return t->storage->data + (size_t)t->offset * cr_dtype_size(t->dtype);
}

/* Puts down where the mask is set; where may be NULL to count only. */
static int64_t places(const cr_tensor *mask, int64_t *where) {
  int64_t found = 0, n = cr_tensor_numel(mask);
  for (int64_t i = 0; i < n; i++) {
    bool set = mask->dtype == CR_BYTE ? cr_bytes(mask)[i] != 0
             : mask->dtype == CR_INT ? cr_ints(mask)[i] != 0 : cr_reals(mask)[i] != 0;
    if (set && where) where[found] = i;
    found += set;
  }
  return found;
}

static bool check(cr_call *c, cr_error *err) {
  const cr_tensor *x = c->in[X], *mask = c->in[MASK];
  char want[CR_SHAPE_TEXT], got[CR_SHAPE_TEXT];
  if (!cr_tensor_same_shape(x, mask))
    return cr_fail(err, CR_ESHAPE, "mask must have shape %s as x, got %s",
                   cr_shape_text(x->ndim, x->shape, want),
                   cr_shape_text(mask->ndim, mask->shape, got));
  int64_t n = places(mask, NULL);
  cr_out_shape(c, 0, 1, &n);
  c->scratch_bytes = c->backward_scratch_bytes = (size_t)n * sizeof(int64_t);
  return true;
}

static void forward(cr_call *c) {
  const cr_tensor *x = c->in[X];
  int64_t n = places(c->in[MASK], c->scratch);
  cr_index_take(n, c->scratch, cr_dtype_size(x->dtype), data(x), data(c->out[0]));
}

static void backward(cr_call *c) {
  int64_t n = places(c->in[MASK], c->scratch);
  cr_tensor_fill(c->gin[X], 0);
  cr_index_put(n, c->scratch, sizeof(real), cr_reals(c->gout[0]), cr_reals(c->gin[X]));
}

const cr_op cr_op_masked_select = {
  .name = "masked_select", .help = "the elements where a mask is not 0",
  .inputs = inputs, .outputs = outputs, .backward_reads = CR_READS_IN1,
  .check = check, .forward = forward, .backward = backward,
};
