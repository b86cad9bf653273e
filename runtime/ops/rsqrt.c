/* rsqrt.c - one over the square root
 *
 *   y = 1 / sqrt x        dL/dx = -g y^3 / 2
 *
 * inf at 0, nan below it. */
#include "autograd/op.h"
#include "kernels/elementwise.h"

static const cr_input inputs[] = { { "x", "...", CR_TREAL, CR_STRIDED }, { 0 } };
static const cr_output outputs[] = { { "y", "=0", CR_TREAL }, { 0 } };

static inline real value(cr_point e) { return 1 / sqrt(e.x); }
static inline real gradient(cr_point e) { return e.g * (real)-0.5 * e.out * e.out * e.out; }

CR_LOOP(values, real, value)
CR_LOOP(gradients, real, gradient)

static void forward(cr_call *c) { cr_elementwise_forward(c, values); }
static void backward(cr_call *c) { cr_elementwise_backward(c, (cr_loop_fn[]){ gradients }); }

const cr_op cr_op_rsqrt = {
  .name = "rsqrt", .help = "one over the square root",
  .formula = "y = x^(-1/2)",
  .inputs = inputs, .outputs = outputs, .backward_reads = CR_READS_OUT0,
  .forward = forward, .backward = backward,
};
