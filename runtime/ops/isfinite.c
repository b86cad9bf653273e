/* isfinite.c - where x is neither infinite nor nan
 *
 *   y = 1 where |x| < inf, else 0        (uint8) */
#include "autograd/op.h"
#include "kernels/elementwise.h"

static const cr_input inputs[] = { { "x", "...", CR_TREAL, CR_STRIDED | CR_NOGRAD }, { 0 } };
static const cr_output outputs[] = { { "y", "=0", CR_TBYTE }, { 0 } };

static inline uint8_t value(cr_point e) { return fabs(e.x) < INFINITY; }

CR_LOOP(values, uint8_t, value)

static void forward(cr_call *c) { cr_elementwise_forward(c, values); }

const cr_op cr_op_isfinite = {
  .name = "isfinite", .help = "1 where x is neither infinite nor nan",
  .formula = "y = [|x| < inf]",
  .inputs = inputs, .outputs = outputs, .forward = forward,
};
