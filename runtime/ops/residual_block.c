/* residual_block.c - the two convolutions of a residual block, in training, on images whose
 * channels lie innermost
 *
 *   x [B H W C], shortcut [B H' W' O] or nil for x itself, weight1 [O C K L], weight2 [O O M N],
 *   gamma, beta, running_mean, running_var of both norms [O]   ->   [B H' W' O]
 *
 *   out = relu(norm2(conv2(relu(norm1(conv1(x))))) + shortcut)
 *
 * conv1 has stride and padding as given, conv2 keeps the size: padding (M - 1) / 2, M and N odd.
 * norm is batch norm by the mean and variance of the batch, as conv_block has it in training, and
 * gives the same numbers up to rounding; gamma and beta may be nil.
 *
 * Kept for backward: what both convolutions made. What is between them, the result of norm1 and
 * ReLU, is not: conv2 works it out as it reads, forward and for its weights' gradient, which takes
 * a quarter off the memory of a network of such blocks. Where x is the shortcut, conv1 adds its
 * gradient to the shortcut's. He, Zhang, Ren, Sun, CVPR 2016, figure 2. */
#include <math.h>

#include "autograd/op.h"
#include "kernels/block_pair.h"

enum {
  X, SHORTCUT, WEIGHT1, WEIGHT2, GAMMA1, GAMMA2, BETA1, BETA2, MEAN1, MEAN2, VAR1, VAR2
};
enum { STRIDE, PADDING, MOMENTUM, EPS, ALGORITHM };

static const cr_input inputs[] = {
  [X]        = { "x",             "B H W C", CR_TREAL, 0 },
  [SHORTCUT] = { "shortcut",      "B P Q O", CR_TREAL, CR_OPTIONAL },
  [WEIGHT1]  = { "weight1",       "O C K L", CR_TREAL, 0 },
  [WEIGHT2]  = { "weight2",       "O O M N", CR_TREAL, 0 },
  [GAMMA1]   = { "gamma1",        "O",       CR_TREAL, CR_OPTIONAL },
  [GAMMA2]   = { "gamma2",        "O",       CR_TREAL, CR_OPTIONAL },
  [BETA1]    = { "beta1",         "O",       CR_TREAL, CR_OPTIONAL },
  [BETA2]    = { "beta2",         "O",       CR_TREAL, CR_OPTIONAL },
  [MEAN1]    = { "running_mean1", "O",       CR_TREAL, CR_NOGRAD | CR_INPLACE },
  [MEAN2]    = { "running_mean2", "O",       CR_TREAL, CR_NOGRAD | CR_INPLACE },
  [VAR1]     = { "running_var1",  "O",       CR_TREAL, CR_NOGRAD | CR_INPLACE },
  [VAR2]     = { "running_var2",  "O",       CR_TREAL, CR_NOGRAD | CR_INPLACE },
  { 0 }
};
static const cr_output outputs[] = { { "out", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [STRIDE]   = { "stride",   1, 1, INFINITY, "step of conv1, one number or height and width",
                 CR_COUNTS },
  [PADDING]  = { "padding",  0, 0, INFINITY,
                 "zeros around x for conv1, one number or height and width", CR_COUNTS },
  [MOMENTUM] = { "momentum", 0.1, 0, 1, "weight of the new batch in the running statistics",
                 CR_NUMBER },
  [EPS]      = { "eps",      1e-5, 0, INFINITY, "added to the variance", CR_NUMBER },
  [ALGORITHM] = { "algorithm", CR_CONV_AUTO, 0, 0, "of both convolutions, as conv2d has it",
                  CR_CHOICE, "auto direct winograd columns" },
  { 0 }
};

enum { OWN_SHORTCUT = 'a' };            /* backward no longer sees that input */

/* NULL where the call has no such tensor, or backward does not read it */
static real *reals(cr_tensor *const *t, int i) { return t[i] ? cr_reals(t[i]) : NULL; }

static cr_pair_half half_of(cr_call *c, int i) {
  return (cr_pair_half){ .weight = reals(c->in, WEIGHT1 + i), .gamma = reals(c->in, GAMMA1 + i),
                         .beta = reals(c->in, BETA1 + i),
                         .running_mean = reals(c->in, MEAN1 + i),
                         .running_var = reals(c->in, VAR1 + i) };
}

static bool call_of(cr_call *c, cr_block_pair *p, cr_error *err) {
  *p = (cr_block_pair){ .half = { half_of(c, 0), half_of(c, 1) }, .momentum = c->option[MOMENTUM],
                        .eps = c->option[EPS], .backward = c->wants_grad,
                        .own_shortcut = c->dim[OWN_SHORTCUT] != 0, .want_x = c->want[X],
                        .want_shortcut = c->want[SHORTCUT], .x = reals(c->in, X),
                        .shortcut = reals(c->in, SHORTCUT), .out = reals(c->out, 0) };
  cr_conv *v = &p->half[0].conv, *u = &p->half[1].conv;
  cr_conv_algorithm algorithm = (cr_conv_algorithm)c->option[ALGORITHM];
  *v = (cr_conv){ .images = c->dim['B'], .channels = c->dim['C'], .filters = c->dim['O'],
                  .groups = 1, .algorithm = algorithm,
                  .window = { .in = { c->dim['H'], c->dim['W'] },
                              .kernel = { c->dim['K'], c->dim['L'] }, .dilation = { 1, 1 } } };
  if (!cr_option_counts(c, STRIDE, 2, 1, v->window.stride, err) ||
      !cr_option_counts(c, PADDING, 2, 0, v->window.padding, err) ||
      !cr_window_set(&v->window, false, err)) return false;
  int64_t M = c->dim['M'], N = c->dim['N'], *out = v->window.out;
  *u = (cr_conv){ .images = v->images, .channels = v->filters, .filters = v->filters, .groups = 1,
                  .algorithm = algorithm,
                  .window = { .in = { out[0], out[1] }, .kernel = { M, N }, .stride = { 1, 1 },
                              .padding = { (M - 1) / 2, (N - 1) / 2 }, .dilation = { 1, 1 } } };
  return cr_window_set(&u->window, false, err);
}

static bool check(cr_call *c, cr_error *err) {
  cr_block_pair p;
  char got[CR_SHAPE_TEXT];
  c->dim[OWN_SHORTCUT] = c->in[SHORTCUT] == NULL;
  if (c->dim['M'] % 2 == 0 || c->dim['N'] % 2 == 0)
    return cr_fail(err, CR_ESHAPE, "weight2 must have windows of odd sides, got %s",
                   cr_shape_text(4, c->in[WEIGHT2]->shape, got));
  if (!call_of(c, &p, err)) return false;
  const cr_window *w = &p.half[0].conv.window;
  int64_t B = c->dim['B'], H = w->out[0], W = w->out[1], O = c->dim['O'], y;
  if (!cr_shape_numel(4, (int64_t[]){ B, H, W, O }, &y) || y > INT64_MAX / 64)
    return cr_fail(err, CR_EMEMORY, "out of memory for the convolutions of x of shape %s",
                   cr_shape_text(4, c->in[X]->shape, got));
  if (B * H * W < 2)
    return cr_fail(err, CR_ESHAPE,
                   "needs 2 values or more of each filter, got x of shape %s",
                   cr_shape_text(4, c->in[X]->shape, got));
  const cr_tensor *around = c->in[c->in[SHORTCUT] ? SHORTCUT : X];
  int64_t made[4] = { B, H, W, O };
  for (int d = 0; d < 4; d++)
    if (around->shape[d] != made[d])
      return cr_fail(err, CR_ESHAPE, "the shortcut must be [%lld, %lld, %lld, %lld], got %s",
                     (long long)B, (long long)H, (long long)W, (long long)O,
                     cr_shape_text(4, around->shape, got));
  c->saved_bytes = cr_block_pair_kept_bytes(&p);
  c->scratch_bytes = cr_block_pair_forward_bytes(&p);
  if (c->wants_grad) c->backward_scratch_bytes = cr_block_pair_backward_bytes(&p);
  cr_out_shape(c, 0, 4, made);
  return true;
}

static void forward(cr_call *c) {
  cr_block_pair p;
  call_of(c, &p, NULL);
  cr_block_pair_run(&p, c->saved, c->scratch);
}

static void backward(cr_call *c) {
  cr_block_pair p;
  call_of(c, &p, NULL);
  p.g = cr_reals(c->gout[0]);
  p.gx = reals(c->gin, X);
  p.gshortcut = reals(c->gin, SHORTCUT);
  for (int i = 0; i < 2; i++) {
    p.half[i].gweight = reals(c->gin, WEIGHT1 + i);
    p.half[i].ggamma = reals(c->gin, GAMMA1 + i);
    p.half[i].gbeta = reals(c->gin, BETA1 + i);
  }
  cr_block_pair_run_back(&p, c->saved, c->scratch);
}

const cr_op cr_op_residual_block = {
  .name = "residual_block",
  .help = "two convolutions with batch norm in training, ReLU and a shortcut, on [B H W C]",
  .formula = "out = relu(norm2(conv2(relu(norm1(conv1(x))))) + shortcut)",
  .paper = "He, Zhang, Ren, Sun, \"Deep residual learning for image recognition\", CVPR 2016",
  .inputs = inputs, .outputs = outputs, .options = options,
  .backward_reads = CR_READS_OUT0 | 1 << X | 1 << WEIGHT1 | 1 << WEIGHT2 | 1 << GAMMA1 |
                    1 << GAMMA2 | 1 << BETA1 | 1 << BETA2,
  .check = check, .forward = forward, .backward = backward,
};
