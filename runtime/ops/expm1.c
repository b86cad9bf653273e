/* expm1.c - e to the x, less 1, exact for small x
 *
 *   y = e^x - 1        dL/dx = g (y + 1) */
#include "autograd/op.h"
#include "kernels/elementwise.h"

static const cr_input inputs[] = { { "x", "...", CR_TREAL, CR_STRIDED }, { 0 } };
static const cr_output outputs[] = { { "y", "=0", CR_TREAL }, { 0 } };

static inline real value(cr_point e) { return cr_expm1(e.x); }
static inline real gradient(cr_point e) { return e.g * (e.out + 1); }

CR_LOOP(values, real, value)
CR_LOOP(gradients, real, gradient)

static void forward(cr_call *c) { cr_elementwise_forward(c, values); }
static void backward(cr_call *c) { cr_elementwise_backward(c, (cr_loop_fn[]){ gradients }); }

const cr_op cr_op_expm1 = {
  .name = "expm1", .help = "e to the x, less 1, exact for small x",
  .formula = "y = e^x - 1",
  .inputs = inputs, .outputs = outputs, .backward_reads = CR_READS_OUT0,
  .forward = forward, .backward = backward,
};
