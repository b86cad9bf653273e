/* softplus.c - smooth rectifier
 *
 *   y = log(1 + e^(beta x)) / beta        dL/dx = g (1 - e^(-beta y))
 *
 * Exact for all x; there is no threshold above which it becomes x (torch has one, and is up to 2e-9 off there). */
#include "autograd/op.h"
#include "kernels/elementwise.h"

static const cr_input inputs[] = { { "x", "...", CR_TREAL, CR_STRIDED }, { 0 } };
static const cr_output outputs[] = { { "y", "=0", CR_TREAL }, { 0 } };

enum { BETA };

static const cr_option options[] = {
  [BETA] = { "beta", 1, 1e-6, INFINITY, "sharpness: the larger, the closer to relu" },
  { 0 }
};

static inline real value(cr_point e) { return cr_softplus(e.p * e.x) / e.p; }
static inline real gradient(cr_point e) { return -e.g * cr_expm1(-e.p * e.out); }

CR_LOOP(values, real, value)
CR_LOOP(gradients, real, gradient)

static void forward(cr_call *c) { cr_elementwise_forward(c, values); }
static void backward(cr_call *c) { cr_elementwise_backward(c, (cr_loop_fn[]){ gradients }); }

const cr_op cr_op_softplus = {
  .name = "softplus", .help = "log(1 + e^(beta x)) / beta",
  .formula = "y = log(1 + e^(beta x)) / beta",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_OUT0,
  .forward = forward, .backward = backward,
};
