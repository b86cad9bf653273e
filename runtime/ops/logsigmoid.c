/* logsigmoid.c - logarithm of the logistic function
 *
 *   y = -log(1 + e^-x)        dL/dx = g (1 - e^y)
 *
 * Neither overflows nor loses the left tail. */
#include "autograd/op.h"
#include "kernels/elementwise.h"

static const cr_input inputs[] = { { "x", "...", CR_TREAL, CR_STRIDED }, { 0 } };
static const cr_output outputs[] = { { "y", "=0", CR_TREAL }, { 0 } };

static inline real value(cr_point e) { return -cr_softplus(-e.x); }
static inline real gradient(cr_point e) { return -e.g * cr_expm1(e.out); }

CR_LOOP(values, real, value)
CR_LOOP(gradients, real, gradient)

static void forward(cr_call *c) { cr_elementwise_forward(c, values); }
static void backward(cr_call *c) { cr_elementwise_backward(c, (cr_loop_fn[]){ gradients }); }

const cr_op cr_op_logsigmoid = {
  .name = "logsigmoid", .help = "log sigmoid(x)",
  .formula = "y = -log(1 + e^-x)",
  .inputs = inputs, .outputs = outputs, .backward_reads = CR_READS_OUT0,
  .forward = forward, .backward = backward,
};
