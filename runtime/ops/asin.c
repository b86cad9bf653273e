/* asin.c - arc sine
 *
 *   y = asin x        dL/dx = g / sqrt(1 - x^2)
 *
 * nan outside [-1, 1]; the slope at -1 and 1 is infinite. */
#include "autograd/op.h"
#include "kernels/elementwise.h"

static const cr_input inputs[] = { { "x", "...", CR_TREAL, CR_STRIDED }, { 0 } };
static const cr_output outputs[] = { { "y", "=0", CR_TREAL }, { 0 } };

static inline real value(cr_point e) { return asin(e.x); }
static inline real gradient(cr_point e) { return e.g / sqrt((1 - e.x) * (1 + e.x)); }

CR_LOOP(values, real, value)
CR_LOOP(gradients, real, gradient)

static void forward(cr_call *c) { cr_elementwise_forward(c, values); }
static void backward(cr_call *c) { cr_elementwise_backward(c, (cr_loop_fn[]){ gradients }); }

const cr_op cr_op_asin = {
  .name = "asin", .help = "arc sine",
  .formula = "y = asin x",
  .inputs = inputs, .outputs = outputs, .backward_reads = CR_READS_IN0,
  .forward = forward, .backward = backward,
};
