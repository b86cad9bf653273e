/* where.c - x or y, by a condition
 *
 *   out = x where condition != 0, else y        dL/dx = g there, else 0        dL/dy = 0 there, else g
 *
 * The condition is uint8, as comparisons give it. All three broadcast. x and y both int64 (uint8) give int64 (uint8). What is not
 * chosen does not matter: a nan there reaches neither the result nor a gradient. */
#include "autograd/op.h"
#include "kernels/elementwise.h"

enum { CONDITION, X, Y };

static const cr_input inputs[] = {
  [CONDITION] = { "condition", "...", CR_TBYTE, CR_STRIDED | CR_NOGRAD },
  [X] = { "x", "...", CR_TSAME, CR_STRIDED },
  [Y] = { "y", "...", CR_TSAME, CR_STRIDED },
  { 0 }
};
static const cr_output outputs[] = { { "out", NULL, CR_TREAL }, { 0 } };

/* The common loop has one type for all its operands; here the condition is uint8. */
#define CHOOSE(name, type)                                                                       \
  CR_VECTOR static void name(int64_t n, void *restrict to, const void *const in[CR_SLOTS],      \
                             const double option[2]) {                                          \
    type *restrict out = to;                                                                    \
    const uint8_t *restrict condition = in[CONDITION];                                          \
    const type *restrict x = in[X], *restrict y = in[Y];                                        \
    (void)option;                                                                               \
    for (int64_t i = 0; i < n; i++) out[i] = condition[i] ? x[i] : y[i];                        \
  }

CHOOSE(reals, real)
CHOOSE(ints, int64_t)
CHOOSE(bytes, uint8_t)

CR_VECTOR static void gradients_x(int64_t n, void *restrict to, const void *const in[CR_SLOTS],
                                  const double option[2]) {
  real *restrict gx = to;
  const uint8_t *restrict condition = in[CONDITION];
  const real *restrict g = in[CR_SLOT_G];
  (void)option;
  for (int64_t i = 0; i < n; i++) gx[i] = condition[i] ? g[i] : 0;
}

CR_VECTOR static void gradients_y(int64_t n, void *restrict to, const void *const in[CR_SLOTS],
                                  const double option[2]) {
  real *restrict gy = to;
  const uint8_t *restrict condition = in[CONDITION];
  const real *restrict g = in[CR_SLOT_G];
  (void)option;
  for (int64_t i = 0; i < n; i++) gy[i] = condition[i] ? 0 : g[i];
}

/* The type of the result follows x, which is not the first input, so the tensor is made here. */
static bool check(cr_call *c, cr_error *err) {
  if (!cr_elementwise_check(c, err)) return false;
  cr_dtype dtype = c->in[X]->dtype;
  if (dtype == CR_REAL || c->out[0] == NULL) return true;
  cr_tensor *out = cr_tensor_new(dtype, c->out[0]->ndim, c->out[0]->shape, err);
  cr_tensor_release(c->out[0]);
  c->out[0] = out;
  return out != NULL;
}

static void forward(cr_call *c) {
  cr_elementwise_forward_typed(c, X, (cr_typed_loops){ reals, ints, bytes });
}

static void backward(cr_call *c) {
  cr_elementwise_backward(c, (cr_loop_fn[]){ NULL, gradients_x, gradients_y });
}

const cr_op cr_op_where = {
  .name = "where", .help = "x where the condition holds, else y",
  .formula = "out = condition ? x : y",
  .inputs = inputs, .outputs = outputs, .backward_reads = CR_READS_IN0,
  .check = check, .forward = forward, .backward = backward,
};
