/* ne.c - where x is not equal to y
 *
 *   out = 1 where x != y, else 0        (uint8, no gradient)
 *
 * Shapes broadcast. Two int64 tensors are compared exactly, whatever their size; anything else as reals. nan
 * equals nothing, itself included. */
#include "autograd/op.h"
#include "kernels/elementwise.h"

static const cr_input inputs[] = {
  { "x", "...", CR_TSAME, CR_STRIDED | CR_NOGRAD },
  { "y", "...", CR_TSAME, CR_STRIDED | CR_NOGRAD },
  { 0 }
};
static const cr_output outputs[] = { { "out", NULL, CR_TBYTE }, { 0 } };

static inline uint8_t value(cr_point e) { return e.x != e.y; }
static inline uint8_t whole(cr_whole e) { return e.x != e.y; }

CR_LOOP(values, uint8_t, value)
CR_WHOLE_LOOP(ints, int64_t, uint8_t, whole)
CR_WHOLE_LOOP(bytes, uint8_t, uint8_t, whole)

static void forward(cr_call *c) {
  cr_elementwise_forward_typed(c, 0, (cr_typed_loops){ values, ints, bytes });
}

const cr_op cr_op_ne = {
  .name = "ne", .help = "1 where x != y, else 0",
  .formula = "out = [x != y]",
  .inputs = inputs, .outputs = outputs, .check = cr_elementwise_check, .forward = forward,
};
