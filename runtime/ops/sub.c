/* sub.c - difference of two tensors
 *
 *   out = x - y        dL/dx = g        dL/dy = -g
 *
 * Shapes broadcast. Two int64 tensors give int64, two uint8 tensors uint8 (both wrap), anything else real. */
#include "autograd/op.h"
#include "kernels/elementwise.h"

static const cr_input inputs[] = {
  { "x", "...", CR_TSAME, CR_STRIDED },
  { "y", "...", CR_TSAME, CR_STRIDED },
  { 0 }
};
static const cr_output outputs[] = { { "out", NULL, CR_TSAME }, { 0 } };

static inline real value(cr_point e) { return e.x - e.y; }
static inline int64_t whole(cr_whole e) { return (int64_t)((uint64_t)e.x - (uint64_t)e.y); }
static inline real gradient_x(cr_point e) { return e.g; }
static inline real gradient_y(cr_point e) { return -e.g; }

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

const cr_op cr_op_sub = {
  .name = "sub", .help = "x - y",
  .formula = "out = x - y",
  .inputs = inputs, .outputs = outputs, .backward_reads = CR_READS_NOTHING,
  .check = cr_elementwise_check, .forward = forward, .backward = backward,
};
