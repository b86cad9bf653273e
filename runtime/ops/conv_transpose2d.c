/* conv_transpose2d.c - the transpose of conv2d as a linear map, to make images larger
 *
 *   x [B C H W], weight [C O/groups K L], bias [O] or nil   ->   [B O H' W']
 *   H' = (H - 1) stride - 2 padding + dilation (K - 1) + 1 + output_padding, W' likewise
 *
 *   y[b, o, p stride - padding + i dilation, ...] += weight[c, o, i, j] x[b, c, p, q]
 *       starting from bias[o]
 *
 * It is the gradient of conv2d for its input, and its own gradient for x is conv2d. output_padding
 * says which of the `stride` sizes that conv2d would map to H is meant; it must be below stride. */
#include <math.h>

#include "autograd/op.h"
#include "kernels/conv.h"

enum { X, WEIGHT, BIAS };
enum { STRIDE, PADDING, OUTPUT_PADDING, DILATION, GROUPS };

static const cr_input inputs[] = {
  [X]      = { "x",      "B C H W", CR_TREAL, 0 },
  [WEIGHT] = { "weight", "C I K L", CR_TREAL, 0 },
  [BIAS]   = { "bias",   "O",       CR_TREAL, CR_OPTIONAL },
  { 0 }
};
static const cr_output outputs[] = { { "y", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [STRIDE]   = { "stride",   1, 1, INFINITY,
                 "distance of the inputs in the output, one number or two", CR_COUNTS },
  [PADDING]  = { "padding",  0, 0, INFINITY,
                 "rows and columns cut off all around, one number or two", CR_COUNTS },
  [OUTPUT_PADDING] = { "output_padding", 0, 0, INFINITY,
                       "rows and columns added at the end, one number or two", CR_COUNTS },
  [DILATION] = { "dilation", 1, 1, INFINITY, "distance of the window's places, one number or two",
                 CR_COUNTS },
  [GROUPS]   = { "groups",   1, 1, INFINITY, "parts the channels are cut into", CR_COUNT },
  { 0 }
};

/* The convolution whose gradient this is: from [O H' W'] to [C H W] */
static bool conv_of(cr_call *c, cr_conv *v, cr_error *err) {
  cr_window *w = &v->window;
  int64_t in[2] = { c->dim['H'], c->dim['W'] }, more[2];
  *v = (cr_conv){ .images = c->dim['B'], .channels = c->dim['I'] * (int64_t)c->option[GROUPS],
                  .filters = c->dim['C'], .groups = (int64_t)c->option[GROUPS],
                  .window.kernel = { c->dim['K'], c->dim['L'] } };
  if (!cr_option_counts(c, STRIDE, 2, 1, w->stride, err) ||
      !cr_option_counts(c, PADDING, 2, 0, w->padding, err) ||
      !cr_option_counts(c, DILATION, 2, 1, w->dilation, err) ||
      !cr_option_counts(c, OUTPUT_PADDING, 2, 0, more, err)) return false;
  for (int s = 0; s < 2; s++) {
    if (more[s] >= w->stride[s])
      return cr_fail(err, CR_EVALUE, "output_padding must be below stride, got %lld and %lld",
                     (long long)more[s], (long long)w->stride[s]);
    if (in[s] < 1) return cr_fail(err, CR_ESHAPE, "x has no elements along its height or width");
    int64_t reach = w->dilation[s] * (w->kernel[s] - 1) + 1;
    w->in[s] = (in[s] - 1) * w->stride[s] - 2*w->padding[s] + reach + more[s];
    if (w->in[s] < 1)
      return cr_fail(err, CR_ESHAPE,
                     "padding cuts everything off: the result would have %lld rows or columns",
                     (long long)w->in[s]);
  }
  return cr_window_set(w, false, err);
}

static bool check(cr_call *c, cr_error *err) {
  cr_conv v;
  if (!conv_of(c, &v, err)) return false;
  if (v.filters % v.groups != 0)
    return cr_fail(err, CR_ESHAPE, "the %lld channels of x do not make %lld groups",
                   (long long)v.filters,
                   (long long)v.groups);
  if (c->in[BIAS] != NULL && c->dim['O'] != v.channels)
    return cr_fail(err, CR_ESHAPE,
                   "bias must have shape [%lld], one for each output channel, got [%lld]",
                   (long long)v.channels, (long long)c->dim['O']);
  if (c->want[WEIGHT]) c->backward_scratch_bytes = cr_conv_grad_weight_scratch(&v);
  cr_out_shape(c, 0, 4, (int64_t[]){ v.images, v.channels, v.window.in[0], v.window.in[1] });
  return true;
}

static void forward(cr_call *c) {
  cr_conv v;
  conv_of(c, &v, NULL);
  cr_conv_grad_x(&v, cr_reals(c->in[WEIGHT]), cr_reals(c->in[X]),
                 c->in[BIAS] ? cr_reals(c->in[BIAS]) : NULL, cr_reals(c->out[0]));
}

static void backward(cr_call *c) {
  cr_conv v;
  conv_of(c, &v, NULL);
  const real *gy = cr_reals(c->gout[0]);
  if (c->gin[X]) cr_conv_forward(&v, gy, cr_reals(c->in[WEIGHT]), NULL, cr_reals(c->gin[X]));
  if (c->gin[WEIGHT])
    cr_conv_grad_weight(&v, gy, cr_reals(c->in[X]), cr_reals(c->gin[WEIGHT]), c->scratch);
  if (c->gin[BIAS])
    cr_channel_sums(v.images, v.channels, v.window.in[0] * v.window.in[1], gy,
                    cr_reals(c->gin[BIAS]));
}

const cr_op cr_op_conv_transpose2d = {
  .name = "conv_transpose2d",
  .help = "transposed convolution of images [B C H W] with weight [C O/groups K L]",
  .formula = "y[b,o,p stride - padding + i dilation, ...] += "
             "weight[c,o,i,j] x[b,c,p,q], from bias[o]",
  .inputs = inputs, .outputs = outputs, .options = options,
  .backward_reads = CR_READS_IN0 | CR_READS_IN1,
  .check = check, .forward = forward, .backward = backward,
};
