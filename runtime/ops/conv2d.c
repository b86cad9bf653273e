/* conv2d.c - convolution of images (a correlation, as every framework has it)
 *
 *   x [B C H W], weight [O C/groups K L], bias [O] or nil   ->   [B O H' W']
 *   H' = floor((H + 2 padding - dilation (K - 1) - 1) / stride) + 1, W' likewise
 *
 *   y[b, o, p, q] = bias[o] + sum_{c, i, j} weight[o, c, i, j] x[b, c, row, column]
 *   row = p stride - padding + i dilation, column = q stride - padding + j dilation
 *
 * The padding is 0. With groups, filter o sees only the channels of its own part.
 *
 * algorithm: auto takes, for each pass, what kernels/conv_cost.c expects to be fastest
 * (crun.conv_plan tells). winograd has errors of up to 2e-5 of the largest output in float, where
 * the others have 3e-6; auto leaves it out in float64. kernels/conv.h and conv_turned.h have the
 * computation. */
#include <math.h>

#include "autograd/op.h"
#include "kernels/conv.h"
#include "kernels/conv_turned.h"

enum { X, WEIGHT, BIAS };
enum { STRIDE, PADDING, DILATION, GROUPS, ALGORITHM };

static const cr_input inputs[] = {
  [X]      = { "x",      "B C H W", CR_TREAL, 0 },
  [WEIGHT] = { "weight", "O I K L", CR_TREAL, 0 },
  [BIAS]   = { "bias",   "O",       CR_TREAL, CR_OPTIONAL },
  { 0 }
};
static const cr_output outputs[] = { { "y", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [STRIDE]   = { "stride",   1, 1, INFINITY, "step of the window, one number or height and width",
                 CR_COUNTS },
  [PADDING]  = { "padding",  0, 0, INFINITY,
                 "zeros around the image, one number or height and width", CR_COUNTS },
  [DILATION] = { "dilation", 1, 1, INFINITY, "distance of the window's places, one number or two",
                 CR_COUNTS },
  [GROUPS]   = { "groups",   1, 1, INFINITY, "parts the channels are cut into", CR_COUNT },
  [ALGORITHM] = { "algorithm", CR_CONV_AUTO, 0, 0,
                  "how to compute; one that cannot do a shape gives way to one that can", CR_CHOICE,
                  "auto direct winograd columns" },
  { 0 }
};

static bool conv_of(cr_call *c, cr_conv *v, cr_error *err) {
  cr_window *w = &v->window;
  *v = (cr_conv){ .images = c->dim['B'], .channels = c->dim['C'], .filters = c->dim['O'],
                  .groups = (int64_t)c->option[GROUPS],
                  .algorithm = (cr_conv_algorithm)c->option[ALGORITHM],
                  .window = { .in = { c->dim['H'], c->dim['W'] },
                              .kernel = { c->dim['K'], c->dim['L'] } } };
  return cr_option_counts(c, STRIDE, 2, 1, w->stride, err) &&
         cr_option_counts(c, PADDING, 2, 0, w->padding, err) &&
         cr_option_counts(c, DILATION, 2, 1, w->dilation, err) && cr_window_set(w, false, err);
}

static void need(size_t *scratch_bytes, size_t bytes) {
  if (bytes > *scratch_bytes) *scratch_bytes = bytes;
}

static bool check(cr_call *c, cr_error *err) {
  cr_conv v;
  if (!conv_of(c, &v, err) || !cr_conv_check(&v, c->dim['I'], err)) return false;
  if (cr_conv_turned(&v, CR_CONV_FORWARD))
    c->scratch_bytes = cr_conv_turned_scratch(&v, CR_CONV_FORWARD);
  if (c->want[X] && cr_conv_turned(&v, CR_CONV_GRAD_X))
    need(&c->backward_scratch_bytes, cr_conv_turned_scratch(&v, CR_CONV_GRAD_X));
  if (c->want[WEIGHT])
    need(&c->backward_scratch_bytes, cr_conv_turned(&v, CR_CONV_GRAD_WEIGHT) ?
         cr_conv_turned_scratch(&v, CR_CONV_GRAD_WEIGHT) : cr_conv_grad_weight_scratch(&v));
  cr_out_shape(c, 0, 4, (int64_t[]){ v.images, v.filters, v.window.out[0], v.window.out[1] });
  return true;
}

static void forward(cr_call *c) {
  const real *x = cr_reals(c->in[X]), *weight = cr_reals(c->in[WEIGHT]);
  const real *bias = c->in[BIAS] ? cr_reals(c->in[BIAS]) : NULL;
  real *y = cr_reals(c->out[0]);
  cr_conv v;
  conv_of(c, &v, NULL);
  if (cr_conv_turned(&v, CR_CONV_FORWARD))
    cr_conv_turned_forward(&v, x, weight, bias, y, c->scratch);
  else cr_conv_forward(&v, x, weight, bias, y);
}

static void backward(cr_call *c) {
  const real *x = cr_reals(c->in[X]), *weight = cr_reals(c->in[WEIGHT]), *gy = cr_reals(c->gout[0]);
  cr_conv v;
  conv_of(c, &v, NULL);
  if (c->gin[X]) {
    if (cr_conv_turned(&v, CR_CONV_GRAD_X))
      cr_conv_turned_grad_x(&v, weight, gy, cr_reals(c->gin[X]), c->scratch);
    else cr_conv_grad_x(&v, weight, gy, NULL, cr_reals(c->gin[X]));
  }
  if (c->gin[WEIGHT]) {
    if (cr_conv_turned(&v, CR_CONV_GRAD_WEIGHT))
      cr_conv_turned_grad_weight(&v, x, gy, cr_reals(c->gin[WEIGHT]), c->scratch);
    else cr_conv_grad_weight(&v, x, gy, cr_reals(c->gin[WEIGHT]), c->scratch);
  }
  if (c->gin[BIAS])
    cr_channel_sums(v.images, v.filters, v.window.out[0] * v.window.out[1], gy,
                    cr_reals(c->gin[BIAS]));
}

const cr_op cr_op_conv2d = {
  .name = "conv2d", .help = "convolution of images [B C H W] with filters [O C/groups K L]",
  .formula = "y[b,o,p,q] = bias[o] + sum_{c,i,j} weight[o,c,i,j] "
             "x[b,c,p stride - padding + i dilation, ...]",
  .inputs = inputs, .outputs = outputs, .options = options,
  .backward_reads = CR_READS_IN0 | CR_READS_IN1,
  .check = check, .forward = forward, .backward = backward,
};
