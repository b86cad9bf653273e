/* mish.c - mish
 *
 *   y = x t        t = tanh(log(1 + e^x)) = n / (n + 2)        n = e^x (e^x + 2)
 *   dL/dx = g (t + x (1 - t^2) sigmoid(x))        1 - t^2 = 4 (n + 1) / (n + 2)^2
 *
 * Misra, "Mish: a self regularized non-monotonic activation function", BMVC 2020. Past x = 20, t is 1. */
#include "autograd/op.h"
#include "kernels/elementwise.h"

static const cr_input inputs[] = { { "x", "...", CR_TREAL, CR_STRIDED }, { 0 } };
static const cr_output outputs[] = { { "y", "=0", CR_TREAL }, { 0 } };

static inline real growth(real x) {
  real u = cr_exp(x > 20 ? 20 : x);
  return u * (u + 2);
}

static inline real value(cr_point e) {
  real n = growth(e.x);
  return e.x * (n / (n + 2));
}

static inline real gradient(cr_point e) {
  real n = growth(e.x), t = n / (n + 2);
  return e.g * (t + e.x * (4 * (n + 1) / ((n + 2) * (n + 2))) * cr_sigmoid(e.x));
}

CR_LOOP(values, real, value)
CR_LOOP(gradients, real, gradient)

static void forward(cr_call *c) { cr_elementwise_forward(c, values); }
static void backward(cr_call *c) { cr_elementwise_backward(c, (cr_loop_fn[]){ gradients }); }

const cr_op cr_op_mish = {
  .name = "mish", .help = "x tanh(softplus(x))",
  .formula = "y = x tanh(log(1 + e^x))",
  .inputs = inputs, .outputs = outputs, .backward_reads = CR_READS_IN0,
  .forward = forward, .backward = backward,
};
