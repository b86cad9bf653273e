/* avg_pool2d.c - the mean of each window of each channel
 *
 *   x [B C H W]   ->   [B C H' W'],  H' = floor or, with ceil_mode, ceil of (H + 2 padding - K) /
 *       stride, plus 1
 *
 * The stride is the kernel unless given. count_include_pad: the zeros of the padding count as
 * elements; otherwise the mean is over what lies in the image. What a last window of ceil_mode
 * reaches past the padding never counts. */
#include <math.h>

#include "autograd/op.h"
#include "kernels/pooling.h"

enum { KERNEL, STRIDE, PADDING, CEIL_MODE, COUNT_INCLUDE_PAD };

static const cr_input inputs[] = { { "x", "B C H W", CR_TREAL, 0 }, { 0 } };
static const cr_output outputs[] = { { "y", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [KERNEL]    = { "kernel", 1, 1, INFINITY, "size of the window, one number or height and width",
                  CR_COUNTS, .required = true },
  [STRIDE]    = { "stride", 1, 1, INFINITY,
                  "step of the window, one number or two; the kernel if not given", CR_COUNTS },
  [PADDING]   = { "padding", 0, 0, INFINITY, "zeros around the image, one number or two",
                  CR_COUNTS },
  [CEIL_MODE] = { "ceil_mode", 0, 0, 1, "keep a last window that is not complete", CR_FLAG },
  [COUNT_INCLUDE_PAD] = { "count_include_pad", 1, 0, 1,
                          "divide by all of the window, padding included", CR_FLAG },
  { 0 }
};

static bool window_of(cr_call *c, cr_window *w, cr_error *err) {
  *w = (cr_window){ .in = { c->dim['H'], c->dim['W'] }, .dilation = { 1, 1 } };
  if (!cr_option_counts(c, KERNEL, 2, 1, w->kernel, err) ||
      !cr_option_counts(c, STRIDE, 2, 0, w->stride, err) ||
      !cr_option_counts(c, PADDING, 2, 0, w->padding, err)) return false;
  for (int s = 0; s < 2; s++)
    if (w->stride[s] == 0) w->stride[s] = w->kernel[s];
  return cr_window_set(w, c->option[CEIL_MODE] != 0, err) && cr_pool_padding_check(w, err);
}

static bool check(cr_call *c, cr_error *err) {
  cr_window w;
  if (!window_of(c, &w, err)) return false;
  cr_out_shape(c, 0, 4, (int64_t[]){ c->dim['B'], c->dim['C'], w.out[0], w.out[1] });
  return true;
}

static void forward(cr_call *c) {
  cr_window w;
  window_of(c, &w, NULL);
  cr_avg_pool(&w, c->option[COUNT_INCLUDE_PAD] != 0, c->dim['B'] * c->dim['C'],
              cr_reals(c->in[0]), cr_reals(c->out[0]));
}

static void backward(cr_call *c) {
  cr_window w;
  window_of(c, &w, NULL);
  cr_avg_pool_grad(&w, c->option[COUNT_INCLUDE_PAD] != 0, c->dim['B'] * c->dim['C'],
                   cr_reals(c->gout[0]), cr_reals(c->gin[0]));
}

const cr_op cr_op_avg_pool2d = {
  .name = "avg_pool2d", .help = "the mean of each window of each channel of images [B C H W]",
  .formula = "y[b,c,p,q] = 1/n sum_{i,j} x[b,c,p stride - padding + i, ...]",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = backward,
};
