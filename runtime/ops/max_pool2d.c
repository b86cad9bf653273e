/* max_pool2d.c - the largest of each window of each channel
 *
 *   x [B C H W]   ->   [B C H' W'], and with return_indices where in the plane each came from
 *   H' = floor or, with ceil_mode, ceil of (H + 2 padding - dilation (K - 1) - 1) / stride, plus 1
 *
 * The stride is the kernel unless given. Of equal elements the first in row-major order is meant,
 * and the whole gradient goes to it. A NaN is larger than any number. Padding, at most half of the
 * kernel, never wins. With ceil_mode a last window that would begin past the input and its padding
 * on the left is left out. An index is 1-based, (row - 1) W + column. */
#include <math.h>

#include "autograd/op.h"
#include "kernels/pooling.h"

enum { KERNEL, STRIDE, PADDING, DILATION, CEIL_MODE, RETURN_INDICES };

static const cr_input inputs[] = { { "x", "B C H W", CR_TREAL, 0 }, { 0 } };
static const cr_output outputs[] = {
  { "y", NULL, CR_TREAL }, { "index", NULL, CR_TINT }, { 0 }
};

static const cr_option options[] = {
  [KERNEL]    = { "kernel", 1, 1, INFINITY, "size of the window, one number or height and width",
                  CR_COUNTS, .required = true },
  [STRIDE]    = { "stride", 1, 1, INFINITY,
                  "step of the window, one number or two; the kernel if not given", CR_COUNTS },
  [PADDING]   = { "padding", 0, 0, INFINITY, "rows and columns around the image, one number or two",
                  CR_COUNTS },
  [DILATION]  = { "dilation", 1, 1, INFINITY, "distance of the window's places, one number or two",
                  CR_COUNTS },
  [CEIL_MODE] = { "ceil_mode", 0, 0, 1, "keep a last window that is not complete", CR_FLAG },
  [RETURN_INDICES] = { "return_indices", 0, 0, 1,
                       "also give the place of each in its plane, 1-based", CR_FLAG },
  { 0 }
};

static bool window_of(cr_call *c, cr_window *w, cr_error *err) {
  *w = (cr_window){ .in = { c->dim['H'], c->dim['W'] } };
  if (!cr_option_counts(c, KERNEL, 2, 1, w->kernel, err) ||
      !cr_option_counts(c, STRIDE, 2, 0, w->stride, err) ||
      !cr_option_counts(c, PADDING, 2, 0, w->padding, err) ||
      !cr_option_counts(c, DILATION, 2, 1, w->dilation, err)) return false;
  for (int s = 0; s < 2; s++)
    if (w->stride[s] == 0) w->stride[s] = w->kernel[s];
  return cr_window_set(w, c->option[CEIL_MODE] != 0, err) && cr_max_pool_check(w, err);
}

static bool check(cr_call *c, cr_error *err) {
  cr_window w;
  if (!window_of(c, &w, err)) return false;
  int64_t shape[] = { c->dim['B'], c->dim['C'], w.out[0], w.out[1] };
  int64_t n = shape[0] * shape[1] * shape[2] * shape[3];
  bool indices = c->option[RETURN_INDICES] != 0;
  c->saved_bytes = (size_t)n * sizeof(uint16_t);
  cr_out_shape(c, 0, 4, shape);
  if (indices) cr_out_shape(c, 1, 4, shape);
  else cr_out_count(c, 1);
  return true;
}

static void forward(cr_call *c) {
  cr_window w;
  window_of(c, &w, NULL);
  int64_t planes = c->dim['B'] * c->dim['C'], out = w.out[0] * w.out[1];
  const uint16_t *place = c->saved;
  cr_max_pool(&w, planes, cr_reals(c->in[0]), cr_reals(c->out[0]), c->saved);
  if (c->option[RETURN_INDICES] == 0) return;
  int64_t *index = cr_ints(c->out[1]);
  for (int64_t i = 0; i < planes * out; i++)
    index[i] = cr_max_pool_index(&w, i % out, place[i]) + 1;
}

static void backward(cr_call *c) {
  cr_window w;
  window_of(c, &w, NULL);
  cr_max_pool_grad(&w, c->dim['B'] * c->dim['C'], c->saved, cr_reals(c->gout[0]),
                   cr_reals(c->gin[0]));
}

const cr_op cr_op_max_pool2d = {
  .name = "max_pool2d", .help = "the largest of each window of each channel of images [B C H W]",
  .formula = "y[b,c,p,q] = max_{i,j} x[b,c,p stride - padding + i dilation, ...]",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = backward,
};
