/* lerp.c - a place on the line from x to y
 *
 *   out = x + w (y - x)        dL/dx = g (1 - w)        dL/dy = g w        dL/dw = g (y - x)
 *
 * The weight w is a tensor or a number, inside [0, 1] or not. Shapes broadcast. */
#include "autograd/op.h"
#include "kernels/elementwise.h"

static const cr_input inputs[] = {
  { "x", "...", CR_TREAL, CR_STRIDED },
  { "y", "...", CR_TREAL, CR_STRIDED },
  { "weight", "...", CR_TREAL, CR_STRIDED },
  { 0 }
};
static const cr_output outputs[] = { { "out", NULL, CR_TREAL }, { 0 } };

static inline real value(cr_point e) { return e.x + e.z * (e.y - e.x); }
static inline real gradient_x(cr_point e) { return e.g * (1 - e.z); }
static inline real gradient_y(cr_point e) { return e.g * e.z; }
static inline real gradient_weight(cr_point e) { return e.g * (e.y - e.x); }

CR_LOOP(values, real, value)
CR_LOOP(gradients_x, real, gradient_x)
CR_LOOP(gradients_y, real, gradient_y)
CR_LOOP(gradients_weight, real, gradient_weight)

static void forward(cr_call *c) { cr_elementwise_forward(c, values); }

static void backward(cr_call *c) {
  cr_elementwise_backward(c, (cr_loop_fn[]){ gradients_x, gradients_y, gradients_weight });
}

const cr_op cr_op_lerp = {
  .name = "lerp", .help = "a place on the line from x to y",
  .formula = "out = x + weight (y - x)",
  .inputs = inputs, .outputs = outputs, .backward_reads = CR_READS_IN0 | CR_READS_IN1 | CR_READS_IN2,
  .check = cr_elementwise_check, .forward = forward, .backward = backward,
};
