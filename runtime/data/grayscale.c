/* grayscale.c - colour to grey: round(0.299 R + 0.587 G + 0.114 B), weights of ITU-R BT.601
 *
 * [3 H W] gives [1 H W], [N 3 H W] gives [N 1 H W]. Weights in 2^-16, the bytes equal those of
 * Pillow's convert("L"). */
#include "autograd/op.h"
#include "kernels/image.h"

static const cr_input inputs[] = { { "images", "... 3 H W", CR_TBYTE, CR_NOGRAD }, { 0 } };
static const cr_output outputs[] = { { "grey", NULL, CR_TBYTE }, { 0 } };

static bool check(cr_call *c, cr_error *err) {
  const cr_tensor *in = c->in[0];
  (void)err;
  int64_t shape[CR_MAX_DIMS];
  for (int i = 0; i < in->ndim; i++) shape[i] = in->shape[i];
  shape[in->ndim - 3] = 1;
  cr_out_shape(c, 0, in->ndim, shape);
  return true;
}

static void forward(cr_call *c) {
  int64_t n = c->dim['H'] * c->dim['W'], images = n > 0 ? cr_tensor_numel(c->in[0]) / (3 * n) : 0;
  const uint8_t *in = cr_bytes(c->in[0]);
  uint8_t *out = cr_bytes(c->out[0]);
  for (int64_t i = 0; i < images; i++, in += 3 * n, out += n)
    cr_kernel_image_grey(in, in + n, in + 2 * n, n, out);
}

const cr_op cr_data_grayscale = {
  .name = "grayscale", .help = "colour byte images to grey",
  .inputs = inputs, .outputs = outputs, .check = check, .forward = forward,
};
