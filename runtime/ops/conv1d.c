/* conv1d.c - convolution of sequences: conv2d on images one row high
 *
 *   x [B C W], weight [O C/groups K], bias [O] or nil   ->   [B O W']
 *   W' = floor((W + 2 padding - dilation (K - 1) - 1) / stride) + 1 */
#include <math.h>

#include "autograd/op.h"
#include "kernels/conv.h"

enum { X, WEIGHT, BIAS };
enum { STRIDE, PADDING, DILATION, GROUPS };

static const cr_input inputs[] = {
  [X]      = { "x",      "B C W", CR_TREAL, 0 },
  [WEIGHT] = { "weight", "O I K", CR_TREAL, 0 },
  [BIAS]   = { "bias",   "O",     CR_TREAL, CR_OPTIONAL },
  { 0 }
};
static const cr_output outputs[] = { { "y", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [STRIDE]   = { "stride",   1, 1, INFINITY, "step of the window", CR_COUNT },
  [PADDING]  = { "padding",  0, 0, INFINITY, "zeros before and after the sequence", CR_COUNT },
  [DILATION] = { "dilation", 1, 1, INFINITY, "distance of the window's places", CR_COUNT },
  [GROUPS]   = { "groups",   1, 1, INFINITY, "parts the channels are cut into", CR_COUNT },
  { 0 }
};

static bool conv_of(const cr_call *c, cr_conv *v, cr_error *err) {
  *v = (cr_conv){ .images = c->dim['B'], .channels = c->dim['C'], .filters = c->dim['O'],
                  .groups = (int64_t)c->option[GROUPS],
                  .window = { .in = { 1, c->dim['W'] }, .kernel = { 1, c->dim['K'] },
                              .stride = { 1, (int64_t)c->option[STRIDE] },
                              .padding = { 0, (int64_t)c->option[PADDING] },
                              .dilation = { 1, (int64_t)c->option[DILATION] } } };
  return cr_window_set(&v->window, false, err);
}

static bool check(cr_call *c, cr_error *err) {
  cr_conv v;
  if (!conv_of(c, &v, err) || !cr_conv_check(&v, c->dim['I'], err)) return false;
  if (c->want[WEIGHT]) c->backward_scratch_bytes = cr_conv_grad_weight_scratch(&v);
  cr_out_shape(c, 0, 3, (int64_t[]){ v.images, v.filters, v.window.out[1] });
  return true;
}

static void forward(cr_call *c) {
  cr_conv v;
  conv_of(c, &v, NULL);
  cr_conv_forward(&v, cr_reals(c->in[X]), cr_reals(c->in[WEIGHT]),
                  c->in[BIAS] ? cr_reals(c->in[BIAS]) : NULL, cr_reals(c->out[0]));
}

static void backward(cr_call *c) {
  cr_conv v;
  conv_of(c, &v, NULL);
  const real *gy = cr_reals(c->gout[0]);
  if (c->gin[X]) cr_conv_grad_x(&v, cr_reals(c->in[WEIGHT]), gy, NULL, cr_reals(c->gin[X]));
  if (c->gin[WEIGHT])
    cr_conv_grad_weight(&v, cr_reals(c->in[X]), gy, cr_reals(c->gin[WEIGHT]), c->scratch);
  if (c->gin[BIAS])
    cr_channel_sums(v.images, v.filters, v.window.out[1], gy, cr_reals(c->gin[BIAS]));
}

const cr_op cr_op_conv1d = {
  .name = "conv1d", .help = "convolution of sequences [B C W] with filters [O C/groups K]",
  .formula = "y[b,o,q] = bias[o] + sum_{c,j} weight[o,c,j] x[b,c,q stride - padding + j dilation]",
  .inputs = inputs, .outputs = outputs, .options = options,
  .backward_reads = CR_READS_IN0 | CR_READS_IN1,
  .check = check, .forward = forward, .backward = backward,
};
