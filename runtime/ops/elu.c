/* elu.c - exponential linear unit
 *
 *   y = x where x > 0, else alpha (e^x - 1)        dL/dx = g where y > 0, else g (y + alpha)
 *
 * Clevert, Unterthiner, Hochreiter, "Fast and accurate deep network learning by exponential linear units", ICLR
 * 2016. alpha is not negative, so that backward needs y alone. */
#include "autograd/op.h"
#include "kernels/elementwise.h"

static const cr_input inputs[] = { { "x", "...", CR_TREAL, CR_STRIDED }, { 0 } };
static const cr_output outputs[] = { { "y", "=0", CR_TREAL }, { 0 } };

enum { ALPHA };

static const cr_option options[] = {
  [ALPHA] = { "alpha", 1, 0, INFINITY, "minus the limit on the left" },
  { 0 }
};

static inline real value(cr_point e) { return e.x > 0 ? e.x : e.p * cr_expm1(e.x); }
static inline real gradient(cr_point e) { return e.out > 0 ? e.g : e.g * (e.out + e.p); }

CR_LOOP(values, real, value)
CR_LOOP(gradients, real, gradient)

static void forward(cr_call *c) { cr_elementwise_forward(c, values); }
static void backward(cr_call *c) { cr_elementwise_backward(c, (cr_loop_fn[]){ gradients }); }

const cr_op cr_op_elu = {
  .name = "elu", .help = "x, and alpha (e^x - 1) on the left of 0",
  .formula = "y = max(x, 0) + alpha min(e^x - 1, 0)",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_OUT0,
  .forward = forward, .backward = backward,
};
