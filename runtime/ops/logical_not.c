/* logical_not.c - where x is 0
 *
 *   out = 1 where x == 0, else 0        (uint8, no gradient)
 *
 * nan counts as true: its result is 0. */
#include "autograd/op.h"
#include "kernels/elementwise.h"

static const cr_input inputs[] = { { "x", "...", CR_TSAME, CR_STRIDED | CR_NOGRAD }, { 0 } };
static const cr_output outputs[] = { { "out", "=0", CR_TBYTE }, { 0 } };

static inline uint8_t value(cr_point e) { return e.x == 0; }
static inline uint8_t whole(cr_whole e) { return e.x == 0; }

CR_LOOP(values, uint8_t, value)
CR_WHOLE_LOOP(ints, int64_t, uint8_t, whole)
CR_WHOLE_LOOP(bytes, uint8_t, uint8_t, whole)

static void forward(cr_call *c) {
  cr_elementwise_forward_typed(c, 0, (cr_typed_loops){ values, ints, bytes });
}

const cr_op cr_op_logical_not = {
  .name = "logical_not", .help = "1 where x = 0, else 0",
  .formula = "out = [x == 0]",
  .inputs = inputs, .outputs = outputs, .forward = forward,
};
