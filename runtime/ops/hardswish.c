/* hardswish.c - x times hardsigmoid
 *
 *   y = x min(max(x + 3, 0), 6) / 6        dL/dx = g times 0 below -3, (2x + 3)/6, 1 from 3 on
 *
 * Howard et al., "Searching for MobileNetV3", ICCV 2019. */
#include "autograd/op.h"
#include "kernels/elementwise.h"

static const cr_input inputs[] = { { "x", "...", CR_TREAL, CR_STRIDED }, { 0 } };
static const cr_output outputs[] = { { "y", "=0", CR_TREAL }, { 0 } };

static inline real value(cr_point e) {
  real up = e.x + 3;
  return e.x * (up < 0 ? 0 : up > 6 ? 6 : up) / 6;
}

static inline real gradient(cr_point e) { return e.x <= -3 ? 0 : e.x >= 3 ? e.g : e.g * (2 * e.x + 3) / 6; }

CR_LOOP(values, real, value)
CR_LOOP(gradients, real, gradient)

static void forward(cr_call *c) { cr_elementwise_forward(c, values); }
static void backward(cr_call *c) { cr_elementwise_backward(c, (cr_loop_fn[]){ gradients }); }

const cr_op cr_op_hardswish = {
  .name = "hardswish", .help = "x hardsigmoid(x)",
  .formula = "y = x min(max(x + 3, 0), 6) / 6",
  .inputs = inputs, .outputs = outputs, .backward_reads = CR_READS_IN0,
  .forward = forward, .backward = backward,
};
