/* sqrt.c - square root
 *
 *   y = sqrt x        dL/dx = g / (2 y)
 *
 * nan below 0. The slope at 0 is infinite: add a small number before the root where x may be 0. */
#include "autograd/op.h"
#include "kernels/elementwise.h"

static const cr_input inputs[] = { { "x", "...", CR_TREAL, CR_STRIDED }, { 0 } };
static const cr_output outputs[] = { { "y", "=0", CR_TREAL }, { 0 } };

static inline real value(cr_point e) { return sqrt(e.x); }
static inline real gradient(cr_point e) { return e.g / (2 * e.out); }

CR_LOOP(values, real, value)
CR_LOOP(gradients, real, gradient)

static void forward(cr_call *c) { cr_elementwise_forward(c, values); }
static void backward(cr_call *c) { cr_elementwise_backward(c, (cr_loop_fn[]){ gradients }); }

const cr_op cr_op_sqrt = {
  .name = "sqrt", .help = "square root",
  .formula = "y = sqrt x",
  .inputs = inputs, .outputs = outputs, .backward_reads = CR_READS_OUT0,
  .forward = forward, .backward = backward,
};
