/* leaky_relu.c - rectified linear unit with a slope on the left
 *
 *   y = x where x > 0, else slope x        dL/dx = g where y > 0, else slope g
 *
 * slope is not negative, so that the sign of y tells the sign of x and backward needs y alone. */
#include "autograd/op.h"
#include "kernels/elementwise.h"

static const cr_input inputs[] = { { "x", "...", CR_TREAL, CR_STRIDED }, { 0 } };
static const cr_output outputs[] = { { "y", "=0", CR_TREAL }, { 0 } };

enum { SLOPE };

static const cr_option options[] = {
  [SLOPE] = { "slope", 0.01, 0, INFINITY, "slope on the left of 0" },
  { 0 }
};

static inline real value(cr_point e) { return e.x > 0 ? e.x : e.p * e.x; }
static inline real gradient(cr_point e) { return e.out > 0 ? e.g : e.p * e.g; }

CR_LOOP(values, real, value)
CR_LOOP(gradients, real, gradient)

static void forward(cr_call *c) { cr_elementwise_forward(c, values); }
static void backward(cr_call *c) { cr_elementwise_backward(c, (cr_loop_fn[]){ gradients }); }

const cr_op cr_op_leaky_relu = {
  .name = "leaky_relu", .help = "max(x, 0) + slope min(x, 0)",
  .formula = "y = max(x, 0) + slope min(x, 0)",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_OUT0,
  .forward = forward, .backward = backward,
};
