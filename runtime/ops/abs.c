/* abs.c - absolute value
 *
 *   y = |x|        dL/dx = g sign(x)
 *
 * The slope at 0 is 0. An int64 tensor stays int64. */
#include "autograd/op.h"
#include "kernels/elementwise.h"

static const cr_input inputs[] = { { "x", "...", CR_TSAME, CR_STRIDED }, { 0 } };
static const cr_output outputs[] = { { "y", "=0", CR_TSAME }, { 0 } };

static inline real value(cr_point e) { return fabs(e.x); }
static inline int64_t whole(cr_whole e) { return e.x < 0 ? (int64_t)(0 - (uint64_t)e.x) : e.x; }
static inline real gradient(cr_point e) { return e.x > 0 ? e.g : e.x < 0 ? -e.g : 0; }

CR_LOOP(values, real, value)
CR_WHOLE_LOOP(ints, int64_t, int64_t, whole)
CR_WHOLE_LOOP(bytes, uint8_t, uint8_t, whole)
CR_LOOP(gradients, real, gradient)

static void forward(cr_call *c) {
  cr_elementwise_forward_typed(c, 0, (cr_typed_loops){ values, ints, bytes });
}

static void backward(cr_call *c) { cr_elementwise_backward(c, (cr_loop_fn[]){ gradients }); }

const cr_op cr_op_abs = {
  .name = "abs", .help = "absolute value",
  .formula = "y = |x|",
  .inputs = inputs, .outputs = outputs, .backward_reads = CR_READS_IN0,
  .forward = forward, .backward = backward,
};
