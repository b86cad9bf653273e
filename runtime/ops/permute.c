/* permute.c - the dimensions in another order; a view
 *
 *   [B C H W]:permute(1, 3, 4, 2)  ->  [B H W C]
 *
 * Dimension d of the result is dimension order[d] of x. */
#include <math.h>
#include "autograd/op.h"

enum { ORDER };

static const cr_input inputs[] = { { "x", "...", CR_TANY, CR_STRIDED }, { 0 } };
static const cr_output outputs[] = { { "out", NULL, CR_TSAME }, { 0 } };

static const cr_option options[] = {
  [ORDER] = { "order", NAN, -CR_MAX_DIMS, CR_MAX_DIMS, "every dimension once, in the new order",
              CR_DIMS },
  { 0 }
};

static bool place(cr_call *c, cr_tensor *out, cr_error *err) {
  const cr_list *order = &c->list[ORDER];
  bool named[CR_MAX_DIMS];
  if (order->n != out->ndim)
    return cr_fail(err, CR_EVALUE, "order must name each of %d dimensions once, got %d", out->ndim,
                   order->n);
  if (!cr_option_dims(c, ORDER, out->ndim, named, err)) return false;
  cr_tensor was = *out;
  for (int d = 0; d < out->ndim; d++) {
    int from = (int)(order->at[d] < 0 ? order->at[d] + out->ndim : order->at[d]);
    out->shape[d] = was.shape[from];
    out->stride[d] = was.stride[from];
  }
  return true;
}

static bool view(cr_call *c, cr_error *err) { return place(c, c->out[0], err); }

static void backward(cr_call *c) {
  cr_tensor part = *c->gin[0];
  place(c, &part, NULL);
  cr_tensor_copy(&part, c->gout[0]);
}

const cr_op cr_op_permute = {
  .name = "permute", .help = "the dimensions in another order",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_NOTHING,
  .view = view, .backward = backward,
};
