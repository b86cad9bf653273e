/* silu.c - sigmoid linear unit (swish)
 *
 *   y = x s        s = 1 / (1 + e^-x)        dL/dx = g s (1 + x (1 - s))
 *
 * Elfwing, Uchibe, Doya, "Sigmoid-weighted linear units...", Neural Networks 107, 2018. */
#include "autograd/op.h"
#include "kernels/elementwise.h"

static const cr_input inputs[] = { { "x", "...", CR_TREAL, CR_STRIDED }, { 0 } };
static const cr_output outputs[] = { { "y", "=0", CR_TREAL }, { 0 } };

static inline real value(cr_point e) { return e.x * cr_sigmoid(e.x); }
static inline real gradient(cr_point e) {
  real s = cr_sigmoid(e.x);
  return e.g * s * (1 + e.x * (1 - s));
}

CR_LOOP(values, real, value)
CR_LOOP(gradients, real, gradient)

static void forward(cr_call *c) { cr_elementwise_forward(c, values); }
static void backward(cr_call *c) { cr_elementwise_backward(c, (cr_loop_fn[]){ gradients }); }

const cr_op cr_op_silu = {
  .name = "silu", .help = "x sigmoid(x)",
  .formula = "y = x / (1 + e^-x)",
  .inputs = inputs, .outputs = outputs, .backward_reads = CR_READS_IN0,
  .forward = forward, .backward = backward,
};
