/* masked_fill.c - x with a number in place of what a mask names
 *
 *   out = value where mask != 0, else x        dL/dx = 0 there, else g
 *
 * The mask is uint8 and broadcasts to the shape of x. int64 and uint8 tensors keep their type (the value is cut to a whole
 * number). A nan of x under the mask reaches neither the result nor the gradient. */
#include "autograd/op.h"
#include "kernels/elementwise.h"

enum { X, MASK };
enum { VALUE };

static const cr_input inputs[] = {
  [X] = { "x", "...", CR_TSAME, CR_STRIDED },
  [MASK] = { "mask", "...", CR_TBYTE, CR_STRIDED | CR_NOGRAD },
  { 0 }
};
static const cr_output outputs[] = { { "out", NULL, CR_TSAME }, { 0 } };

static const cr_option options[] = {
  [VALUE] = { "value", 0, -INFINITY, INFINITY, "what to put where the mask is set" },
  { 0 }
};

/* The common loop has one type for all its operands; here the mask is uint8. */
#define FILL(name, type)                                                                         \
  CR_VECTOR static void name(int64_t n, void *restrict to, const void *const in[CR_SLOTS],      \
                             const double option[2]) {                                          \
    type *restrict out = to;                                                                    \
    const type *restrict x = in[X], value = (type)option[VALUE];                                \
    const uint8_t *restrict mask = in[MASK];                                                    \
    for (int64_t i = 0; i < n; i++) out[i] = mask[i] ? value : x[i];                            \
  }

FILL(reals, real)
FILL(ints, int64_t)
FILL(bytes, uint8_t)

CR_VECTOR static void gradients(int64_t n, void *restrict to, const void *const in[CR_SLOTS],
                                const double option[2]) {
  real *restrict gx = to;
  const uint8_t *restrict mask = in[MASK];
  const real *restrict g = in[CR_SLOT_G];
  (void)option;
  for (int64_t i = 0; i < n; i++) gx[i] = mask[i] ? 0 : g[i];
}

static bool check(cr_call *c, cr_error *err) {
  const cr_tensor *x = c->in[X], *mask = c->in[MASK];
  double value = c->option[VALUE];
  int lead = x->ndim - mask->ndim;
  bool fits = lead >= 0;
  for (int d = 0; fits && d < mask->ndim; d++)
    fits = mask->shape[d] == 1 || mask->shape[d] == x->shape[lead + d];
  char a[CR_SHAPE_TEXT], b[CR_SHAPE_TEXT];
  if (!fits)
    return cr_fail(err, CR_ESHAPE, "mask of shape %s does not broadcast to x of shape %s",
                   cr_shape_text(mask->ndim, mask->shape, a), cr_shape_text(x->ndim, x->shape, b));
  bool whole = x->dtype == CR_INT ? fabs(value) < 0x1p62 : value >= 0 && value < 256;
  if (x->dtype != CR_REAL && !whole)
    return cr_fail(err, CR_EVALUE, "value = %g does not fit a tensor of %s", value, cr_dtype_name(x->dtype));
  cr_out_shape(c, 0, x->ndim, x->shape);
  return true;
}

static void forward(cr_call *c) {
  cr_elementwise_forward_typed(c, X, (cr_typed_loops){ reals, ints, bytes });
}

static void backward(cr_call *c) { cr_elementwise_backward(c, (cr_loop_fn[]){ gradients }); }

const cr_op cr_op_masked_fill = {
  .name = "masked_fill", .help = "x with a number in place of what a mask names",
  .formula = "out = mask ? value : x",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_IN1,
  .check = check, .forward = forward, .backward = backward,
};
