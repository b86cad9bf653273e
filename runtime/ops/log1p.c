/* log1p.c - logarithm of 1 + x, exact for small x
 *
 *   y = log(1 + x)        dL/dx = g / (1 + x)
 *
 * -inf at -1, nan below it. */
#include "autograd/op.h"
#include "kernels/elementwise.h"

static const cr_input inputs[] = { { "x", "...", CR_TREAL, CR_STRIDED }, { 0 } };
static const cr_output outputs[] = { { "y", "=0", CR_TREAL }, { 0 } };

static inline real value(cr_point e) { return cr_log1p(e.x); }
static inline real gradient(cr_point e) { return e.g / (1 + e.x); }

CR_LOOP(values, real, value)
CR_LOOP(gradients, real, gradient)

static void forward(cr_call *c) { cr_elementwise_forward(c, values); }
static void backward(cr_call *c) { cr_elementwise_backward(c, (cr_loop_fn[]){ gradients }); }

const cr_op cr_op_log1p = {
  .name = "log1p", .help = "logarithm of 1 + x, exact for small x",
  .formula = "y = log(1 + x)",
  .inputs = inputs, .outputs = outputs, .backward_reads = CR_READS_IN0,
  .forward = forward, .backward = backward,
};
