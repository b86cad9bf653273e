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
 * batch norm is folded into the weights; without gradients a few images at a time go through.
 * Images of one channel, whose convolution costs less than memory, go by kernels/block_thin.h: y is
 * never kept, and a byte for each of out says which place won.
 * Ioffe, Szegedy, "Batch normalization", ICML 2015; He et al., CVPR 2016. */
#include <math.h>
#include <string.h>

#include "autograd/op.h"
#include "kernels/block_norm.h"
#include "kernels/block_pass.h"
#include "kernels/block_thin.h"
#include "kernels/conv_nhwc.h"

enum { X, WEIGHT, BIAS, GAMMA, BETA, RUNNING_MEAN, RUNNING_VAR, RESIDUAL };
enum { STRIDE, PADDING, MOMENTUM, EPS, TRAINING, ACTIVATION, POOL };

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
  { 0 }
};

/* ---- what a call is made of ------------------------------------------------------------------ */

/* Sizes and pieces of memory, laid out by the same walk in check (where base is NULL and the bytes
 * are counted), forward and backward. */
typedef struct plan {
  cr_conv conv;
  cr_block block;
  cr_block_norm norm;               /* its mean and rstd with y when that is kept */
  bool normed, folded, residual, thin, keep_y;
  int64_t each, chunk;              /* numbers of a filter; images at a time */
  real *y;
  double *taps;                     /* thin: cr_thin_sums, and who won */
  uint8_t *winner;
} plan;

/* whether the call has a batch norm, a residual: backward no longer sees those inputs */
enum { HAS_NORM = 'a', HAS_RESIDUAL = 'b' };

typedef struct room { unsigned char *base; size_t bytes; } room;

static void *take(room *r, int64_t n, size_t size) {
  void *at = r->base == NULL ? NULL : r->base + r->bytes;
  r->bytes += ((size_t)n * size + 63) & ~(size_t)63;
  return at;
}

/* NULL where the call has no such input, or backward does not read it */
static real *reals(const cr_call *c, int input) {
  return c->in[input] ? cr_reals(c->in[input]) : NULL;
}

static bool plan_of(cr_call *c, plan *p, cr_error *err) {
  cr_window *w = &p->conv.window;
  *p = (plan){ .conv = { .images = c->dim['B'], .channels = c->dim['C'], .filters = c->dim['O'],
                         .groups = 1, .window = { .in = { c->dim['H'], c->dim['W'] },
                                                  .kernel = { c->dim['K'], c->dim['L'] } } },
               .normed = c->dim[HAS_NORM] != 0, .residual = c->dim[HAS_RESIDUAL] != 0 };
  w->dilation[0] = w->dilation[1] = 1;
  if (!cr_option_counts(c, STRIDE, 2, 1, w->stride, err) ||
      !cr_option_counts(c, PADDING, 2, 0, w->padding, err) || !cr_window_set(w, false, err))
    return false;
  p->block = (cr_block){ .images = p->conv.images, .height = w->out[0], .width = w->out[1],
                         .channels = p->conv.filters, .relu = c->option[ACTIVATION] != 0,
                         .pool = c->option[POOL] == 2 };
  bool training = p->normed && c->option[TRAINING] != 0;
  p->thin = p->conv.channels == 1 && p->block.pool && !c->want[X] && w->kernel[0] == 3 &&
            w->kernel[1] == 3 && w->stride[0] == 1 && w->stride[1] == 1 && w->padding[0] <= 1 &&
            w->padding[1] <= 1;
  p->folded = p->normed && !training && !p->thin;
  p->keep_y = (training || p->block.pool) && !p->thin;
  p->norm = (cr_block_norm){ .channels = p->conv.filters,
                             .count = p->conv.images * w->out[0] * w->out[1],
                             .training = training, .unbiased = p->thin || p->folded,
                             .momentum = c->option[MOMENTUM], .eps = c->option[EPS],
                             .bias = reals(c, BIAS), .gamma = reals(c, GAMMA),
                             .beta = reals(c, BETA), .running_mean = reals(c, RUNNING_MEAN),
                             .running_var = reals(c, RUNNING_VAR) };
  p->each = p->conv.channels * w->kernel[0] * w->kernel[1];
  p->chunk = p->conv.images;
  if (!c->wants_grad && !training && p->block.pool) {
    /* so that y stays in the cache */
    int64_t image = w->out[0] * w->out[1] * p->conv.filters, most = (2 << 20) / (image + 1) + 1;
    if (p->chunk > most) p->chunk = most;
  }
  return true;
}

static cr_thin thin_of(const plan *p) {
  const cr_window *w = &p->conv.window;
  return (cr_thin){ w->in[0], w->in[1], { w->padding[0], w->padding[1] }, p->block };
}

/* What forward finds out and backward wants to know; in scratch when there will be none. */
static void take_kept(room *r, plan *p, int64_t images) {
  const cr_block *b = &p->block;
  int64_t n = b->channels;
  if (!p->keep_y && !p->thin && !p->folded) return;
  p->norm.mean = take(r, n, sizeof(double));
  p->norm.rstd = take(r, n, sizeof(double));
  if (p->keep_y) p->y = take(r, images * b->height * b->width * n, sizeof(real));
  if (p->thin) p->taps = take(r, CR_THIN_SUMS, sizeof(double));
}

static room saved_room(cr_call *c, plan *p) {
  room r = { c->saved, 0 };
  if (!c->wants_grad) return r;
  take_kept(&r, p, p->conv.images);
  if (p->thin) p->winner = take(&r, p->norm.count / 4 * p->conv.filters, 1);
  return r;
}

typedef struct forward_room {
  real *mean, *scale, *shift, *weight, *bias;
  double *sums;
  void *conv;
} forward_room;

static room forward_rooms(cr_call *c, plan *p, forward_room *f) {
  room r = { c->scratch, 0 };
  int64_t n = p->conv.filters;
  cr_conv some = p->conv;
  some.images = p->chunk;
  f->mean = take(&r, n, sizeof(real));
  f->scale = take(&r, n, sizeof(real));
  f->shift = take(&r, n, sizeof(real));
  f->sums = take(&r, 2 * n, sizeof(double));
  f->bias = take(&r, n, sizeof(real));
  if (p->folded) f->weight = take(&r, n * p->each, sizeof(real));
  if (!c->wants_grad) take_kept(&r, p, p->chunk);
  cr_thin t = thin_of(p);
  size_t conv = p->thin ? cr_thin_scratch(&t) : cr_conv_nhwc_scratch(&some, CR_CONV_FORWARD);
  f->conv = take(&r, (int64_t)conv, 1);
  return r;
}

typedef struct backward_room {
  real *mean, *scale, *shift, *slope, *constant, *h, *weight, *gweight;
  double *sums, *patches;
  void *sums_parts, *conv;
} backward_room;

static room backward_rooms(cr_call *c, plan *p, backward_room *b) {
  room r = { c->scratch, 0 };
  int64_t n = p->conv.filters;
  size_t conv = 0;
  b->mean = take(&r, n, sizeof(real));
  b->scale = take(&r, n, sizeof(real));
  b->shift = take(&r, n, sizeof(real));
  b->slope = take(&r, n, sizeof(real));
  b->constant = take(&r, n, sizeof(real));
  b->sums = take(&r, 2 * n, sizeof(double));
  if (p->thin) {
    cr_thin t = thin_of(p);
    b->patches = take(&r, (CR_THIN_TAPS + 1) * n, sizeof(double));
    b->conv = take(&r, (int64_t)cr_thin_scratch(&t), 1);
    return r;
  }
  b->sums_parts = take(&r, (int64_t)cr_block_sums_scratch(&p->block), 1);
  /* the gradient at v, where neither y nor the gradient of the residual is its place */
  b->h = NULL;
  if (p->residual ? !c->want[RESIDUAL] : !p->keep_y && p->block.relu)
    b->h = take(&r, p->norm.count * n, sizeof(real));
  if (p->folded) {
    b->weight = take(&r, n * p->each, sizeof(real));
    b->gweight = take(&r, n * p->each, sizeof(real));
  }
  if (c->want[X]) conv = cr_conv_nhwc_scratch(&p->conv, CR_CONV_GRAD_X);
  if (c->want[WEIGHT] || (p->folded && c->want[GAMMA])) {
    size_t bytes = cr_conv_nhwc_scratch(&p->conv, CR_CONV_GRAD_WEIGHT);
    if (bytes > conv) conv = bytes;
  }
  b->conv = take(&r, (int64_t)conv, 1);
  return r;
}

static bool check(cr_call *c, cr_error *err) {
  plan p;
  char got[CR_SHAPE_TEXT];
  if (!c->in[RUNNING_MEAN] != !c->in[RUNNING_VAR])
    return cr_fail(err, CR_EVALUE, "running_mean and running_var come together");
  if (!c->in[RUNNING_MEAN] && (c->in[GAMMA] || c->in[BETA]))
    return cr_fail(err, CR_EVALUE, "gamma and beta need running_mean and running_var");
  c->dim[HAS_NORM] = c->in[RUNNING_MEAN] != NULL;
  c->dim[HAS_RESIDUAL] = c->in[RESIDUAL] != NULL;
  if (!plan_of(c, &p, err)) return false;
  int64_t H = p.block.height, W = p.block.width, pool = (int64_t)c->option[POOL];
  if (p.norm.training && p.norm.count < 2)
    return cr_fail(err, CR_ESHAPE,
                   "training needs 2 values or more of each filter, got x of shape %s",
                   cr_shape_text(4, c->in[X]->shape, got));
  if (H < pool || W < pool)
    return cr_fail(err, CR_ESHAPE,
                   "pool needs 2 rows and columns or more, the convolution makes %lld x %lld",
                   (long long)H, (long long)W);
  if (p.residual && pool > 1)
    return cr_fail(err, CR_EVALUE, "a residual and pool = 2 exclude each other");
  if (p.residual && (c->dim['P'] != H || c->dim['Q'] != W))
    return cr_fail(err, CR_ESHAPE,
                   "residual must be as the convolution's %lld x %lld images, got %s",
                   (long long)H, (long long)W, cr_shape_text(4, c->in[RESIDUAL]->shape, got));
  forward_room f;
  backward_room b;
  c->saved_bytes = saved_room(c, &p).bytes;
  c->scratch_bytes = forward_rooms(c, &p, &f).bytes;
  if (c->wants_grad) c->backward_scratch_bytes = backward_rooms(c, &p, &b).bytes;
  cr_out_shape(c, 0, 4, (int64_t[]){ c->dim['B'], H / pool, W / pool, c->dim['O'] });
  return true;
}

/* ---- forward --------------------------------------------------------------------------------- */

/* What batch norm does to each channel, or nothing. */
static void channel_map(plan *p, real *mean, real *scale, real *shift) {
  if (p->thin || p->norm.training) cr_block_map(&p->norm, mean, scale, shift);
  else cr_block_map_none(p->conv.filters, mean, scale, shift);
  p->block.mean = mean;
  p->block.scale = scale;
  p->block.shift = shift;
}

static void forward_thin(cr_call *c, plan *p, const forward_room *f) {
  cr_thin t = thin_of(p);
  const real *x = cr_reals(c->in[X]), *weight = cr_reals(c->in[WEIGHT]);
  if (p->norm.training) {
    cr_thin_sums(&t, x, p->taps, f->conv);
    cr_thin_moments(&t, p->taps, weight, p->norm.mean, p->norm.rstd);
  }
  cr_block_settle(&p->norm);
  channel_map(p, f->mean, f->scale, f->shift);
  t.block = p->block;
  cr_thin_forward(&t, x, weight, cr_reals(c->out[0]), p->winner, f->conv);
}

static void forward(cr_call *c) {
  plan p;
  forward_room f;
  plan_of(c, &p, NULL);
  forward_rooms(c, &p, &f);
  saved_room(c, &p);
  if (p.thin) {
    forward_thin(c, &p, &f);
    return;
  }
  const real *weight = cr_reals(c->in[WEIGHT]), *bias = p.norm.bias;
  if (p.folded) {
    cr_block_settle(&p.norm);
    cr_block_fold(&p.norm, p.each, weight, f.weight, f.bias);
    weight = f.weight;
    bias = f.bias;
  }
  const cr_window *w = &p.conv.window;
  int64_t in = w->in[0] * w->in[1] * p.conv.channels, n = p.conv.filters;
  int64_t image = w->out[0] * w->out[1] * n;
  int64_t image_out = p.block.pool ? w->out[0] / 2 * (w->out[1] / 2) * n : image;
  bool mapped = false, plain = !p.keep_y && !p.residual && !p.block.relu;
  for (int64_t at = 0; at < p.conv.images; at += p.chunk) {
    cr_conv some = p.conv;
    some.images = p.conv.images - at < p.chunk ? p.conv.images - at : p.chunk;
    real *out = cr_reals(c->out[0]) + at * image_out, *y = p.keep_y ? p.y : out;
    cr_conv_nhwc_forward(&some, cr_reals(c->in[X]) + at * in, weight, bias, y,
                         p.norm.training ? f.sums : NULL, f.conv);
    if (plain) continue;
    if (!mapped) {
      if (p.norm.training) {
        cr_block_moments(&p.norm, f.sums, y);
        cr_block_settle(&p.norm);
      }
      channel_map(&p, f.mean, f.scale, f.shift);
      mapped = true;
    }
    p.block.images = some.images;
    const real *residual = p.residual ? cr_reals(c->in[RESIDUAL]) + at * image : NULL;
    cr_block_forward(&p.block, y, residual, out);
  }
}

/* ---- backward -------------------------------------------------------------------------------- */

/* Whether (out - shift) / scale gives y - mean back in every channel, to three digits less than it
 * was known. */
static bool invertible(const plan *p) {
  for (int64_t o = 0; o < p->conv.filters; o++) {
    double gamma = fabs((double)p->block.scale[o] / p->norm.rstd[o]);
    if (!(gamma > 1e-3 * fabs((double)p->block.shift[o])) || !(gamma > 1e-9)) return false;
  }
  return true;
}

/* Sums of h and h (y - mean), and h itself where there is a residual */
static void take_sums(cr_call *c, plan *p, backward_room *b) {
  const real *out = c->out[0] ? cr_reals(c->out[0]) : NULL, *g = cr_reals(c->gout[0]);
  cr_block *k = &p->block;
  if (p->residual) {
    if (c->gin[RESIDUAL]) b->h = cr_reals(c->gin[RESIDUAL]);
    cr_block_sums_by_out(k, p->norm.count, p->keep_y ? p->y : out, k->mean, out, g, b->h, b->sums,
                         b->sums_parts);
  } else if (!p->keep_y) {
    /* no batch norm and out in the place of y: h is the gradient of y */
    cr_block_sums_by_out(k, p->norm.count, out, k->mean, out, g, b->h, b->sums, b->sums_parts);
  } else if (k->pool && p->norm.training && invertible(p)) {
    int64_t places = k->images * (k->height / 2) * (k->width / 2), n = k->channels;
    cr_block_sums_by_out(k, places, out, k->shift, out, g, NULL, b->sums, b->sums_parts);
    for (int64_t o = 0; o < n; o++) b->sums[n + o] /= (double)k->scale[o];
  } else if (p->norm.training || p->folded || c->gin[BIAS]) {
    cr_block_sums(k, p->y, g, b->sums, b->sums_parts);
  }
}

static real *gradient(const cr_call *c, int input) {
  return c->gin[input] ? cr_reals(c->gin[input]) : NULL;
}

static void norm_backward(cr_call *c, const plan *p, const backward_room *b) {
  cr_block_norm_backward(&p->norm, b->sums, p->block.scale, b->slope, b->constant,
                         gradient(c, GAMMA), gradient(c, BETA), gradient(c, BIAS));
}

static void backward_thin(cr_call *c, plan *p, backward_room *b) {
  cr_thin t = thin_of(p);
  int64_t n = p->conv.filters;
  const cr_block_norm *norm = &p->norm;
  const real *weight = cr_reals(c->in[WEIGHT]);
  cr_thin_backward(&t, cr_reals(c->in[X]), cr_reals(c->gout[0]), p->winner, b->patches, b->conv);
  memcpy(b->sums, b->patches + CR_THIN_TAPS * n, (size_t)n * sizeof(double));
  cr_thin_product(&t, weight, norm->mean, b->patches, b->sums + n);
  norm_backward(c, p, b);
  if (c->gin[WEIGHT])
    cr_thin_grad_weight(&t, weight, norm->training ? p->taps : NULL, norm->mean, norm->rstd,
                        b->patches, b->sums + n, cr_reals(c->gin[WEIGHT]));
}

static void backward(cr_call *c) {
  plan p;
  backward_room b;
  plan_of(c, &p, NULL);
  saved_room(c, &p);
  backward_rooms(c, &p, &b);
  channel_map(&p, b.mean, b.scale, b.shift);
  if (p.thin) {
    backward_thin(c, &p, &b);
    return;
  }
  take_sums(c, &p, &b);
  norm_backward(c, &p, &b);
  const real *gy = b.h ? b.h : cr_reals(c->gout[0]);
  if (p.keep_y) {
    if (p.residual) p.block.relu = false;       /* h has been through it */
    cr_block_backward(&p.block, gy, b.slope, b.constant, p.y);
    gy = p.y;
  }
  const real *x = cr_reals(c->in[X]), *weight = cr_reals(c->in[WEIGHT]);
  if (p.folded) {
    cr_block_fold(&p.norm, p.each, weight, b.weight, b.shift);
    if (c->gin[WEIGHT] || c->gin[GAMMA])
      cr_conv_nhwc_grad_weight(&p.conv, x, gy, b.gweight, b.conv);
    cr_block_fold_backward(&p.norm, p.each, weight, b.gweight, b.sums, gradient(c, WEIGHT),
                           gradient(c, GAMMA), gradient(c, BETA), gradient(c, BIAS));
    weight = b.weight;
  } else if (c->gin[WEIGHT]) {
    cr_conv_nhwc_grad_weight(&p.conv, x, gy, cr_reals(c->gin[WEIGHT]), b.conv);
  }
  if (c->gin[X]) cr_conv_nhwc_grad_x(&p.conv, weight, gy, cr_reals(c->gin[X]), b.conv);
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
