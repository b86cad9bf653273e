/* t.c - the transpose of a matrix, [M N] -> [N M]; a view */
#include "autograd/op.h"

static const cr_input inputs[] = { { "x", "M N", CR_TANY, CR_STRIDED }, { 0 } };
static const cr_output outputs[] = { { "out", NULL, CR_TSAME }, { 0 } };

static bool place(cr_call *c, cr_tensor *out, cr_error *err) {
  int64_t rows = out->shape[0], step = out->stride[0];
  (void)c, (void)err;
  out->shape[0] = out->shape[1], out->stride[0] = out->stride[1];
  out->shape[1] = rows, out->stride[1] = step;
  return true;
}

static bool view(cr_call *c, cr_error *err) { return place(c, c->out[0], err); }

static void backward(cr_call *c) {
  cr_tensor part = *c->gin[0];
  place(c, &part, NULL);
  cr_tensor_copy(&part, c->gout[0]);
}

const cr_op cr_op_t = {
  .name = "t", .help = "transpose of a matrix",
  .inputs = inputs, .outputs = outputs, .backward_reads = CR_READS_NOTHING,
  .view = view, .backward = backward,
};
