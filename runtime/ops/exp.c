/* exp.c - e to the x
 *
 *   y = e^x        dL/dx = g y
 *
 * Overflows to inf above 88.7 (709.7 with --double). */
#include "autograd/op.h"
#include "kernels/elementwise.h"

static const cr_input inputs[] = { { "x", "...", CR_TREAL, CR_STRIDED }, { 0 } };
static const cr_output outputs[] = { { "y", "=0", CR_TREAL }, { 0 } };

static inline real value(cr_point e) { return cr_exp(e.x); }
static inline real gradient(cr_point e) { return e.g * e.out; }

CR_LOOP(values, real, value)
CR_LOOP(gradients, real, gradient)

static void forward(cr_call *c) { cr_elementwise_forward(c, values); }
static void backward(cr_call *c) { cr_elementwise_backward(c, (cr_loop_fn[]){ gradients }); }

const cr_op cr_op_exp = {
  .name = "exp", .help = "e to the x",
  .formula = "y = e^x",
  .inputs = inputs, .outputs = outputs, .backward_reads = CR_READS_OUT0,
  .forward = forward, .backward = backward,
};
