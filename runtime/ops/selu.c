/* selu.c - self-normalising exponential linear unit
 *
 *   y = scale x where x > 0, else scale alpha (e^x - 1)
 *   dL/dx = g scale where y > 0, else g (y + scale alpha)
 *
 * Klambauer, Unterthiner, Mayr, Hochreiter, "Self-normalizing neural networks", NIPS 2017: mean 0 and variance 1
 * are a fixed point for these two constants. */
#include "autograd/op.h"
#include "kernels/elementwise.h"

static const cr_input inputs[] = { { "x", "...", CR_TREAL, CR_STRIDED }, { 0 } };
static const cr_output outputs[] = { { "y", "=0", CR_TREAL }, { 0 } };

#define SCALE ((real)1.0507009873554804934193349852946)
#define ALPHA ((real)1.6732632423543772848170429916717)

static inline real value(cr_point e) { return e.x > 0 ? SCALE * e.x : SCALE * ALPHA * cr_expm1(e.x); }
static inline real gradient(cr_point e) { return e.out > 0 ? e.g * SCALE : e.g * (e.out + SCALE * ALPHA); }

CR_LOOP(values, real, value)
CR_LOOP(gradients, real, gradient)

static void forward(cr_call *c) { cr_elementwise_forward(c, values); }
static void backward(cr_call *c) { cr_elementwise_backward(c, (cr_loop_fn[]){ gradients }); }

const cr_op cr_op_selu = {
  .name = "selu", .help = "self-normalising exponential linear unit",
  .formula = "y = scale (max(x, 0) + alpha min(e^x - 1, 0))",
  .inputs = inputs, .outputs = outputs, .backward_reads = CR_READS_OUT0,
  .forward = forward, .backward = backward,
};
