/* hardsigmoid.c - sigmoid in three straight pieces
 *
 *   y = min(max(x/6 + 1/2, 0), 1)        dL/dx = g/6 where 0 < y < 1, else 0
 *
 * The 1/6 of the gradient is the float nearest to it in both builds, 3e-8 off: torch's too, so that numbers agree. */
#include "autograd/op.h"
#include "kernels/elementwise.h"

static const cr_input inputs[] = { { "x", "...", CR_TREAL, CR_STRIDED }, { 0 } };
static const cr_output outputs[] = { { "y", "=0", CR_TREAL }, { 0 } };

static inline real value(cr_point e) {
  real y = (e.x + 3) / 6;
  return y < 0 ? 0 : y > 1 ? 1 : y;
}

static inline real gradient(cr_point e) { return (e.out > 0) & (e.out < 1) ? e.g * (real)(1.0f / 6.0f) : 0; }

CR_LOOP(values, real, value)
CR_LOOP(gradients, real, gradient)

static void forward(cr_call *c) { cr_elementwise_forward(c, values); }
static void backward(cr_call *c) { cr_elementwise_backward(c, (cr_loop_fn[]){ gradients }); }

const cr_op cr_op_hardsigmoid = {
  .name = "hardsigmoid", .help = "sigmoid in three straight pieces",
  .formula = "y = min(max(x/6 + 1/2, 0), 1)",
  .inputs = inputs, .outputs = outputs, .backward_reads = CR_READS_OUT0,
  .forward = forward, .backward = backward,
};
