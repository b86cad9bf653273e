/* sin.c - sine
 *
 *   y = sin x        dL/dx = g cos x */
#include "autograd/op.h"
#include "kernels/elementwise.h"

static const cr_input inputs[] = { { "x", "...", CR_TREAL, CR_STRIDED }, { 0 } };
static const cr_output outputs[] = { { "y", "=0", CR_TREAL }, { 0 } };

static inline real value(cr_point e) { return sin(e.x); }
static inline real gradient(cr_point e) { return e.g * cos(e.x); }

CR_LOOP(values, real, value)
CR_LOOP(gradients, real, gradient)

static void forward(cr_call *c) { cr_elementwise_forward(c, values); }
static void backward(cr_call *c) { cr_elementwise_backward(c, (cr_loop_fn[]){ gradients }); }

const cr_op cr_op_sin = {
  .name = "sin", .help = "sine",
  .formula = "y = sin x",
  .inputs = inputs, .outputs = outputs, .backward_reads = CR_READS_IN0,
  .forward = forward, .backward = backward,
};
