/* conv_block.c - convolution, batch norm, residual, ReLU and max pooling as one operator, on images
 * whose channels lie innermost
 *
 *   x [B H W C], weight [O C K L], bias [O], gamma, beta, running_mean, running_var [O],
 *   residual [B H' W' O]   ->   [B H' W' O], or with pool = 2 [B H'/2 W'/2 O], rounded down
 *
 *   y = conv2d(x, weight) + bias          v = gamma (y - mean) / sqrt(var + eps) + beta + residual
 *   out = pool(activation(v))
 *
 * Everything but x and weight may be nil. running_mean and running_var come together and say that
 * there is a batch norm; gamma and beta are 1 and 0 without them given. A residual and pool = 2
 * exclude each other. The arithmetic is that of conv2d, batch_norm, relu and max_pool2d: mean and
 * var are those of the batch in training, which moves the running ones, and the running ones else.
 * A NaN is the largest of a window; of equals the first takes the gradient.
 *
 * Passes over memory: the sums of y and y^2 are taken while the convolution writes y; a second pass
 * reads y and writes out. The way back reads the pooled out and its gradient for the two sums of
 * batch norm (a pooled value gives its normalised y back: (out - beta) / gamma), then turns y into
 * its own gradient in place. Kept for it: y, and out, which the next layer keeps anyway. Without
 * batch norm and pooling out is made in the place of y and only out is kept. Outside training the
 * batch norm is folded into the weights; without gradients a few images at a time go through, and
 * what forward makes of the weights is kept for the next call (kernels/conv_ready.h).
 * Images of one channel, whose convolution costs less than memory, go by kernels/block_thin.h: y is
 * never kept, and a byte for each of out says which place won.
 * Ioffe, Szegedy, "Batch normalization", ICML 2015; He et al., CVPR 2016. */
#include <math.h>

#include "autograd/op.h"
#include "kernels/block.h"

enum { X, WEIGHT, BIAS, GAMMA, BETA, RUNNING_MEAN, RUNNING_VAR, RESIDUAL };
enum { STRIDE, PADDING, MOMENTUM, EPS, TRAINING, ACTIVATION, POOL, ALGORITHM };

static const cr_input inputs[] = {
  [X]            = { "x",            "B H W C", CR_TREAL, 0 },
  [WEIGHT]       = { "weight",       "O C K L", CR_TREAL, 0 },
  [BIAS]         = { "bias",         "O",       CR_TREAL, CR_OPTIONAL },
  [GAMMA]        = { "gamma",        "O",       CR_TREAL, CR_OPTIONAL },
  [BETA]         = { "beta",         "O",       CR_TREAL, CR_OPTIONAL },
  [RUNNING_MEAN] = { "running_mean", "O",       CR_TREAL, CR_OPTIONAL | CR_NOGRAD | CR_INPLACE },
  [RUNNING_VAR]  = { "running_var",  "O",       CR_TREAL, CR_OPTIONAL | CR_NOGRAD | CR_INPLACE },
  [RESIDUAL]     = { "residual",     "B P Q O", CR_TREAL, CR_OPTIONAL },
  { 0 }
};
static const cr_output outputs[] = { { "out", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [STRIDE]     = { "stride",   1, 1, INFINITY, "step of the window, one number or height and width",
                   CR_COUNTS },
  [PADDING]    = { "padding",  0, 0, INFINITY,
                   "zeros around the image, one number or height and width", CR_COUNTS },
  [MOMENTUM]   = { "momentum", 0.1, 0, 1, "weight of the new batch in the running statistics",
                   CR_NUMBER },
  [EPS]        = { "eps",      1e-5, 0, INFINITY, "added to the variance", CR_NUMBER },
  [TRAINING]   = { "training", 1, 0, 1, "normalise by the batch, else by the running statistics",
                   CR_FLAG },
  [ACTIVATION] = { "activation", 0, 0, 0, "what follows", CR_CHOICE, "none relu" },
  [POOL]       = { "pool",     1, 1, 2, "side of the windows of which the largest is kept",
                   CR_COUNT },
  [ALGORITHM]  = { "algorithm", CR_CONV_AUTO, 0, 0, "of the convolution, as conv2d has it",
                   CR_CHOICE, "auto direct winograd columns" },
  { 0 }
};

/* whether the call has a batch norm, a residual: backward no longer sees those inputs */
enum { HAS_NORM = 'a', HAS_RESIDUAL = 'b' };

/* NULL where the call has no such tensor, or backward does not read it */
static real *reals(cr_tensor *const *t, int i) { return t[i] ? cr_reals(t[i]) : NULL; }

static bool call_of(cr_call *c, cr_block_call *b, cr_error *err) {
  cr_window *w = &b->conv.window;
  *b = (cr_block_call){
    .conv = { .images = c->dim['B'], .channels = c->dim['C'], .filters = c->dim['O'], .groups = 1,
              .algorithm = (cr_conv_algorithm)c->option[ALGORITHM],
              .window = { .in = { c->dim['H'], c->dim['W'] },
                          .kernel = { c->dim['K'], c->dim['L'] }, .dilation = { 1, 1 } } },
    .normed = c->dim[HAS_NORM] != 0, .residual = c->dim[HAS_RESIDUAL] != 0,
    .training = c->option[TRAINING] != 0, .relu = c->option[ACTIVATION] != 0,
    .pool = c->option[POOL] == 2, .momentum = c->option[MOMENTUM], .eps = c->option[EPS],
    .backward = c->wants_grad, .want_x = c->want[X], .want_weight = c->want[WEIGHT],
    .want_gamma = c->want[GAMMA], .want_residual = c->want[RESIDUAL],
    .x = reals(c->in, X), .weight = reals(c->in, WEIGHT), .bias = reals(c->in, BIAS),
    .gamma = reals(c->in, GAMMA), .beta = reals(c->in, BETA), .shortcut = reals(c->in, RESIDUAL),
    .running_mean = reals(c->in, RUNNING_MEAN), .running_var = reals(c->in, RUNNING_VAR),
    .out = reals(c->out, 0),
  };
  return cr_option_counts(c, STRIDE, 2, 1, w->stride, err) &&
         cr_option_counts(c, PADDING, 2, 0, w->padding, err) && cr_window_set(w, false, err);
}

static bool check(cr_call *c, cr_error *err) {
  cr_block_call b;
  char got[CR_SHAPE_TEXT];
  if (!c->in[RUNNING_MEAN] != !c->in[RUNNING_VAR])
    return cr_fail(err, CR_EVALUE, "running_mean and running_var come together");
  if (!c->in[RUNNING_MEAN] && (c->in[GAMMA] || c->in[BETA]))
    return cr_fail(err, CR_EVALUE, "gamma and beta need running_mean and running_var");
  c->dim[HAS_NORM] = c->in[RUNNING_MEAN] != NULL;
  c->dim[HAS_RESIDUAL] = c->in[RESIDUAL] != NULL;
  if (!call_of(c, &b, err)) return false;
  int64_t H = b.conv.window.out[0], W = b.conv.window.out[1], y;
  int64_t B = c->dim['B'], O = c->dim['O'], pool = (int64_t)c->option[POOL];
  if (!cr_shape_numel(4, (int64_t[]){ B, H, W, O }, &y) || y > INT64_MAX / 64)
    return cr_fail(err, CR_EMEMORY, "out of memory for the convolution of x of shape %s",
                   cr_shape_text(4, c->in[X]->shape, got));
  if (b.normed && b.training && B * H * W < 2)
    return cr_fail(err, CR_ESHAPE,
                   "training needs 2 values or more of each filter, got x of shape %s",
                   cr_shape_text(4, c->in[X]->shape, got));
  if (H < pool || W < pool)
    return cr_fail(err, CR_ESHAPE,
                   "pool needs 2 rows and columns or more, the convolution makes %lld x %lld",
                   (long long)H, (long long)W);
  if (b.residual && pool > 1)
    return cr_fail(err, CR_EVALUE, "a residual and pool = 2 exclude each other");
  if (b.residual && (c->dim['P'] != H || c->dim['Q'] != W))
    return cr_fail(err, CR_ESHAPE,
                   "residual must be as the convolution's %lld x %lld images, got %s",
                   (long long)H, (long long)W, cr_shape_text(4, c->in[RESIDUAL]->shape, got));
  cr_block_reserve(&b);
  c->saved_bytes = cr_block_kept_bytes(&b);
  c->scratch_bytes = cr_block_forward_bytes(&b);
  if (c->wants_grad) c->backward_scratch_bytes = cr_block_backward_bytes(&b);
  cr_out_shape(c, 0, 4, (int64_t[]){ B, H / pool, W / pool, O });
  return true;
}

static void forward(cr_call *c) {
  cr_block_call b;
  call_of(c, &b, NULL);
  cr_block_run(&b, c->saved, c->scratch);
}

static void backward(cr_call *c) {
  cr_block_call b;
  call_of(c, &b, NULL);
  b.g = cr_reals(c->gout[0]);
  b.gx = reals(c->gin, X);
  b.gweight = reals(c->gin, WEIGHT);
  b.gbias = reals(c->gin, BIAS);
  b.ggamma = reals(c->gin, GAMMA);
  b.gbeta = reals(c->gin, BETA);
  b.gshortcut = reals(c->gin, RESIDUAL);
  cr_block_run_back(&b, c->saved, c->scratch);
}

const cr_op cr_op_conv_block = {
  .name = "conv_block",
  .help = "convolution of images [B H W C], batch norm, residual, ReLU and max pooling in one",
  .formula = "out = pool(activation(batch_norm(conv(x, weight) + bias) + residual))",
  .paper = "Ioffe, Szegedy, \"Batch normalization\", ICML 2015",
  .inputs = inputs, .outputs = outputs, .options = options,
  .backward_reads = CR_READS_IN0 | CR_READS_IN1 | CR_READS_IN3 | CR_READS_IN4 | CR_READS_OUT0,
  .check = check, .forward = forward, .backward = backward,
};
