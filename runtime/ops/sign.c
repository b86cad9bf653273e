/* sign.c - sign
 *
 *   y = -1, 0, 1        dL/dx = 0
 *
 * nan stays nan. */
#include "autograd/op.h"
#include "kernels/elementwise.h"

static const cr_input inputs[] = { { "x", "...", CR_TREAL, CR_STRIDED }, { 0 } };
static const cr_output outputs[] = { { "y", "=0", CR_TREAL }, { 0 } };

static inline real value(cr_point e) { return e.x > 0 ? 1 : e.x < 0 ? -1 : e.x; }
static inline real gradient(cr_point e) { (void)e; return 0; }

CR_LOOP(values, real, value)
CR_LOOP(gradients, real, gradient)

static void forward(cr_call *c) { cr_elementwise_forward(c, values); }
static void backward(cr_call *c) { cr_elementwise_backward(c, (cr_loop_fn[]){ gradients }); }

const cr_op cr_op_sign = {
  .name = "sign", .help = "-1, 0 or 1",
  .formula = "y = x / |x|",
  .inputs = inputs, .outputs = outputs, .backward_reads = CR_READS_NOTHING,
  .forward = forward, .backward = backward,
};
