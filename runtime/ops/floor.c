/* floor.c - the whole number at or below x
 *
 *   y = floor x        dL/dx = 0 */
#include "autograd/op.h"
#include "kernels/elementwise.h"

static const cr_input inputs[] = { { "x", "...", CR_TREAL, CR_STRIDED }, { 0 } };
static const cr_output outputs[] = { { "y", "=0", CR_TREAL }, { 0 } };

static inline real value(cr_point e) { return floor(e.x); }
static inline real gradient(cr_point e) { (void)e; return 0; }

CR_LOOP(values, real, value)
CR_LOOP(gradients, real, gradient)

static void forward(cr_call *c) { cr_elementwise_forward(c, values); }
static void backward(cr_call *c) { cr_elementwise_backward(c, (cr_loop_fn[]){ gradients }); }

const cr_op cr_op_floor = {
  .name = "floor", .help = "the whole number at or below x",
  .formula = "y = floor x",
  .inputs = inputs, .outputs = outputs, .backward_reads = CR_READS_NOTHING,
  .forward = forward, .backward = backward,
};
