/* nonzero.c - where a tensor is not 0
 *
 *   x of n dimensions  ->  [N n]: a row of coordinates, from 1, for each of its N
 *   elements that are not 0, in row-major order */
#include "autograd/op.h"

static const cr_input inputs[] = { { "x", "...", CR_TANY, CR_NOGRAD }, { 0 } };
static const cr_output outputs[] = { { "index", NULL, CR_TINT }, { 0 } };

static bool is_set(const cr_tensor *x, int64_t i) {
  return x->dtype == CR_BYTE ? cr_bytes(x)[i] != 0
       : x->dtype == CR_INT ? cr_ints(x)[i] != 0 : cr_reals(x)[i] != 0;
}

static bool check(cr_call *c, cr_error *err) {
  const cr_tensor *x = c->in[0];
  int64_t shape[2] = { 0, x->ndim };
  (void)err;
  for (int64_t i = 0, n = cr_tensor_numel(x); i < n; i++) shape[0] += is_set(x, i);
  cr_out_shape(c, 0, 2, shape);
  return true;
}

static void forward(cr_call *c) {
  const cr_tensor *x = c->in[0];
  int64_t *row = cr_ints(c->out[0]);
  for (int64_t i = 0, n = cr_tensor_numel(x); i < n; i++) {
    if (!is_set(x, i)) continue;
    int64_t rest = i;
    for (int d = x->ndim - 1; d >= 0; d--) {
      row[d] = rest % x->shape[d] + 1;
      rest /= x->shape[d];
    }
    row += x->ndim;
  }
}

const cr_op cr_op_nonzero = {
  .name = "nonzero", .help = "where a tensor is not 0, a row of coordinates each",
  .inputs = inputs, .outputs = outputs, .check = check, .forward = forward,
};
