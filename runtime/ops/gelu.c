/* gelu.c - Gaussian error linear unit
 *
 *   y = x P(x)          P(x) = (1 + erf(x / sqrt 2)) / 2        dL/dx = g (P(x) + x p(x))
 *                       p(x) = e^(-x^2/2) / sqrt(2 pi)
 *   approximate = "tanh":
 *   y = x s(2u)         u = sqrt(2/pi) (x + 0.044715 x^3)       dL/dx = g s (1 + 2 x (1 - s) u')
 *                       s = sigmoid, so that s(2u) = (1 + tanh u) / 2
 *
 * Hendrycks, Gimpel, "Gaussian error linear units", 2016; the second form is the one BERT and GPT-2 were trained with. */
#include "autograd/op.h"
#include "kernels/elementwise.h"

enum { APPROXIMATE };

static const cr_input inputs[] = { { "x", "...", CR_TREAL, CR_STRIDED }, { 0 } };
static const cr_output outputs[] = { { "y", "=0", CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [APPROXIMATE] = { "approximate", 0, 0, 1, "formula: the error function (none) or tanh", CR_CHOICE, "none tanh" },
  { 0 }
};

static const real bend = (real)0.044715;

static inline real below(real x) { return (real)0.5 * (1 + cr_erf(x * (real)M_SQRT1_2)); }
static inline real value(cr_point e) { return e.x * below(e.x); }
static inline real gradient(cr_point e) {
  real density = (real)(0.5 * M_2_SQRTPI * M_SQRT1_2) * cr_exp((real)-0.5 * e.x * e.x);
  return e.g * (below(e.x) + e.x * density);
}

static inline real gate(real x) {
  return cr_sigmoid((real)(2 * M_2_SQRTPI * M_SQRT1_2) * (x + bend * x * x * x));
}
static inline real tanh_value(cr_point e) { return e.x * gate(e.x); }
static inline real tanh_gradient(cr_point e) {
  real s = gate(e.x), slope = (real)(2 * M_2_SQRTPI * M_SQRT1_2) * (1 + 3 * bend * e.x * e.x);
  return e.g * s * (1 + e.x * (1 - s) * slope);
}

CR_LOOP(values, real, value)
CR_LOOP(gradients, real, gradient)
CR_LOOP(tanh_values, real, tanh_value)
CR_LOOP(tanh_gradients, real, tanh_gradient)

static void forward(cr_call *c) {
  cr_elementwise_forward(c, c->option[APPROXIMATE] != 0 ? tanh_values : values);
}

static void backward(cr_call *c) {
  cr_elementwise_backward(c, (cr_loop_fn[]){ c->option[APPROXIMATE] != 0 ? tanh_gradients : gradients });
}

const cr_op cr_op_gelu = {
  .name = "gelu", .help = "Gaussian error linear unit",
  .formula = "y = x (1 + erf(x / sqrt 2)) / 2",
  .paper = "Hendrycks, Gimpel, Gaussian error linear units, 2016",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_IN0,
  .forward = forward, .backward = backward,
};
