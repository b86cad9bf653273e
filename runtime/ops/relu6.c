/* relu6.c - rectified linear unit that saturates at 6
 *
 *   y = min(max(x, 0), 6)        dL/dx = g where 0 < y < 6, else 0 */
#include "autograd/op.h"
#include "kernels/elementwise.h"

static const cr_input inputs[] = { { "x", "...", CR_TREAL, CR_STRIDED }, { 0 } };
static const cr_output outputs[] = { { "y", "=0", CR_TREAL }, { 0 } };

static inline real value(cr_point e) { return e.x < 0 ? 0 : e.x > 6 ? 6 : e.x; }
static inline real gradient(cr_point e) { return (e.out > 0) & (e.out < 6) ? e.g : 0; }

CR_LOOP(values, real, value)
CR_LOOP(gradients, real, gradient)

static void forward(cr_call *c) { cr_elementwise_forward(c, values); }
static void backward(cr_call *c) { cr_elementwise_backward(c, (cr_loop_fn[]){ gradients }); }

const cr_op cr_op_relu6 = {
  .name = "relu6", .help = "min(max(x, 0), 6)",
  .formula = "y = min(max(x, 0), 6)",
  .inputs = inputs, .outputs = outputs, .backward_reads = CR_READS_OUT0,
  .forward = forward, .backward = backward,
};
