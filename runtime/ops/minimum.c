/* minimum.c - the smaller of two tensors, element by element
 *
 *   out = min(x, y)        dL/dx = g where x < y, g/2 where x = y, else 0
 *
 * Where both are equal each gets half of g. nan wins. Shapes broadcast; two int64 tensors give int64. */
#include "autograd/op.h"
#include "kernels/elementwise.h"

static const cr_input inputs[] = {
  { "x", "...", CR_TSAME, CR_STRIDED },
  { "y", "...", CR_TSAME, CR_STRIDED },
  { 0 }
};
static const cr_output outputs[] = { { "out", NULL, CR_TSAME }, { 0 } };

static inline real value(cr_point e) { return (e.x < e.y) | (e.x != e.x) ? e.x : e.y; }
static inline int64_t whole(cr_whole e) { return e.x < e.y ? e.x : e.y; }
static inline real gradient_x(cr_point e) { return e.x < e.y ? e.g : e.x == e.y ? e.g / 2 : 0; }
static inline real gradient_y(cr_point e) { return e.y < e.x ? e.g : e.x == e.y ? e.g / 2 : 0; }

CR_LOOP(values, real, value)
CR_WHOLE_LOOP(ints, int64_t, int64_t, whole)
CR_WHOLE_LOOP(bytes, uint8_t, uint8_t, whole)
CR_LOOP(gradients_x, real, gradient_x)
CR_LOOP(gradients_y, real, gradient_y)

static void forward(cr_call *c) {
  cr_elementwise_forward_typed(c, 0, (cr_typed_loops){ values, ints, bytes });
}

static void backward(cr_call *c) {
  cr_elementwise_backward(c, (cr_loop_fn[]){ gradients_x, gradients_y });
}

const cr_op cr_op_minimum = {
  .name = "minimum", .help = "the smaller of x and y",
  .formula = "out = min(x, y)",
  .inputs = inputs, .outputs = outputs, .backward_reads = CR_READS_IN0 | CR_READS_IN1,
  .check = cr_elementwise_check, .forward = forward, .backward = backward,
};
