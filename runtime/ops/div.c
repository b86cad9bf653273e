/* div.c - quotient of two tensors, element by element
 *
 *   out = x / y        dL/dx = g / y        dL/dy = -g x / y^2
 *
 * Shapes broadcast. The result is real, whatever the types. */
#include "autograd/op.h"
#include "kernels/elementwise.h"

static const cr_input inputs[] = {
  { "x", "...", CR_TREAL, CR_STRIDED },
  { "y", "...", CR_TREAL, CR_STRIDED },
  { 0 }
};
static const cr_output outputs[] = { { "out", NULL, CR_TREAL }, { 0 } };

static inline real value(cr_point e) { return e.x / e.y; }
static inline real gradient_x(cr_point e) { return e.g / e.y; }
static inline real gradient_y(cr_point e) { return -e.g * (e.x / e.y) / e.y; }

CR_LOOP(values, real, value)
CR_LOOP(gradients_x, real, gradient_x)
CR_LOOP(gradients_y, real, gradient_y)

static void forward(cr_call *c) { cr_elementwise_forward(c, values); }

static void backward(cr_call *c) {
  cr_elementwise_backward(c, (cr_loop_fn[]){ gradients_x, gradients_y });
}

const cr_op cr_op_div = {
  .name = "div", .help = "x over y",
  .formula = "out = x / y",
  .inputs = inputs, .outputs = outputs, .backward_reads = CR_READS_IN0 | CR_READS_IN1,
  .check = cr_elementwise_check, .forward = forward, .backward = backward,
};
