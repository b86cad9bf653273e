/* isnan.c - where x is not a number
 *
 *   y = 1 where x is nan, else 0        (uint8) */
#include "autograd/op.h"
#include "kernels/elementwise.h"

static const cr_input inputs[] = { { "x", "...", CR_TREAL, CR_STRIDED | CR_NOGRAD }, { 0 } };
static const cr_output outputs[] = { { "y", "=0", CR_TBYTE }, { 0 } };

static inline uint8_t value(cr_point e) { return e.x != e.x; }

CR_LOOP(values, uint8_t, value)

static void forward(cr_call *c) { cr_elementwise_forward(c, values); }

const cr_op cr_op_isnan = {
  .name = "isnan", .help = "1 where x is nan",
  .formula = "y = [x != x]",
  .inputs = inputs, .outputs = outputs, .forward = forward,
};
