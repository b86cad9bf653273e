/* block.c - see block.h */
#include "kernels/block.h"

#include <math.h>
#include <string.h>

#include "kernels/block_room.h"
#include "kernels/block_thin.h"
#include "kernels/conv_ready.h"

/* ---- what a call is made of ------------------------------------------------------------------ */

/* Sizes and pieces of memory; the functions that lay these out count bytes where base is NULL. */
typedef struct plan {
  cr_conv conv;
  cr_block block;
  cr_block_norm norm;               /* its mean and rstd with y when that is kept */
  bool folded, thin, keep_y;
  bool ready;                       /* the weights may be kept turned: kernels/conv_ready.h */
  bool follows;                     /* ReLU and pooling are the convolution's */
  int64_t each, chunk;              /* numbers of a filter; images at a time */
  real *y;
  double *taps;                     /* thin: cr_thin_sums, and who won */
  uint8_t *winner;
} plan;

static bool is_pair(const int64_t *pair, int64_t n) { return pair[0] == n && pair[1] == n; }

static plan plan_of(const cr_block_call *c) {
  plan p = { .conv = c->conv };
  const cr_window *w = &c->conv.window;
  bool training = c->normed && c->training;
  p.block = (cr_block){ .images = c->conv.images, .height = w->out[0], .width = w->out[1],
                        .channels = c->conv.filters, .relu = c->relu, .pool = c->pool };
  p.thin = c->conv.channels == 1 && c->pool && !c->want_x && is_pair(w->kernel, 3) &&
           is_pair(w->stride, 1) && w->padding[0] <= 1 && w->padding[1] <= 1;
  p.folded = c->normed && !training && !p.thin;
  p.ready = !c->backward && !training && !p.thin;
  p.follows = p.ready && !c->residual && (c->relu || c->pool) &&
              cr_conv_nhwc_fuses(&p.conv, CR_CONV_FORWARD);
  if (p.follows) p.conv.relu = c->relu, p.conv.pool = c->pool;
  p.keep_y = (training || c->pool) && !p.thin && !p.follows;
  p.norm = (cr_block_norm){ .channels = c->conv.filters,
                            .count = c->conv.images * w->out[0] * w->out[1],
                            .training = training, .unbiased = p.thin || p.folded,
                            .momentum = c->momentum, .eps = c->eps, .bias = c->bias,
                            .gamma = c->gamma, .beta = c->beta,
                            .running_mean = c->running_mean, .running_var = c->running_var };
  p.each = c->conv.channels * w->kernel[0] * w->kernel[1];
  p.chunk = c->conv.images;
  if (p.ready && c->pool && !p.follows) {
    /* so that y stays in the cache */
    int64_t image = w->out[0] * w->out[1] * c->conv.filters, most = (2 << 20) / (image + 1) + 1;
    if (p.chunk > most) p.chunk = most;
  }
  return p;
}

static cr_thin thin_of(const plan *p) {
  const cr_window *w = &p->conv.window;
  return (cr_thin){ w->in[0], w->in[1], { w->padding[0], w->padding[1] }, p->block };
}

/* What forward finds out and backward wants to know; in scratch when there will be none. */
static void take_found(room *r, plan *p, int64_t images) {
  const cr_block *b = &p->block;
  int64_t n = b->channels;
  if (!p->keep_y && !p->thin && !p->folded) return;
  p->norm.mean = take(r, n, sizeof(double));
  p->norm.rstd = take(r, n, sizeof(double));
  if (p->keep_y) p->y = take(r, images * b->height * b->width * n, sizeof(real));
  if (p->thin) p->taps = take(r, CR_THIN_SUMS, sizeof(double));
}

static room lay_kept(const cr_block_call *c, plan *p, void *kept) {
  room r = { kept, 0 };
  if (!c->backward) return r;
  take_found(&r, p, p->conv.images);
  if (p->thin) p->winner = take(&r, p->norm.count / 4 * p->conv.filters, 1);
  return r;
}

typedef struct forward_room {
  real *mean, *scale, *shift, *weight, *bias;
  double *sums, *fold;
  void *ready, *conv;
} forward_room;

static room lay_forward(const cr_block_call *c, plan *p, forward_room *f, void *scratch) {
  room r = { scratch, 0 };
  int64_t n = p->conv.filters;
  cr_conv some = p->conv;
  some.images = p->chunk;
  f->mean = take(&r, n, sizeof(real));
  f->scale = take(&r, n, sizeof(real));
  f->shift = take(&r, n, sizeof(real));
  f->sums = take(&r, 2 * n, sizeof(double));
  f->bias = take(&r, n, sizeof(real));
  f->fold = take(&r, n, sizeof(double));
  bool kept = p->ready && cr_conv_ready_has(&p->conv, c->weight);
  if (p->folded && !kept) f->weight = take(&r, n * p->each, sizeof(real));
  if (p->ready && !kept) f->ready = take(&r, (int64_t)cr_conv_nhwc_ready_bytes(&p->conv), 1);
  if (!c->backward) take_found(&r, p, p->chunk);
  cr_thin t = thin_of(p);
  size_t conv = p->thin ? cr_thin_scratch(&t) : cr_conv_nhwc_scratch(&some, CR_CONV_FORWARD);
  f->conv = take(&r, (int64_t)conv, 1);
  return r;
}

typedef struct backward_room {
  real *mean, *scale, *shift, *slope, *constant, *h, *weight, *gweight;
  double *sums, *patches, *fold;
  void *sums_parts, *conv;
} backward_room;

static room lay_backward(const cr_block_call *c, plan *p, backward_room *b, void *scratch) {
  room r = { scratch, 0 };
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
  if (c->residual ? !c->want_residual : !p->keep_y && c->relu)
    b->h = take(&r, p->norm.count * n, sizeof(real));
  if (p->folded) {
    b->fold = take(&r, n, sizeof(double));
    b->weight = take(&r, n * p->each, sizeof(real));
    b->gweight = take(&r, n * p->each, sizeof(real));
  }
  if (c->want_x) conv = cr_conv_nhwc_scratch(&p->conv, CR_CONV_GRAD_X);
  if (c->want_weight || (p->folded && c->want_gamma)) {
    size_t bytes = cr_conv_nhwc_scratch(&p->conv, CR_CONV_GRAD_WEIGHT);
    if (bytes > conv) conv = bytes;
  }
  b->conv = take(&r, (int64_t)conv, 1);
  return r;
}

size_t cr_block_kept_bytes(const cr_block_call *c) {
  plan p = plan_of(c);
  return lay_kept(c, &p, NULL).bytes;
}

void cr_block_reserve(const cr_block_call *c) {
  plan p = plan_of(c);
  if (p.ready) cr_conv_ready_reserve(&p.conv, c->weight);
}

size_t cr_block_forward_bytes(const cr_block_call *c) {
  plan p = plan_of(c);
  forward_room f = { 0 };
  return lay_forward(c, &p, &f, NULL).bytes;
}

size_t cr_block_backward_bytes(const cr_block_call *c) {
  plan p = plan_of(c);
  backward_room b = { 0 };
  return lay_backward(c, &p, &b, NULL).bytes;
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

static void forward_thin(const cr_block_call *c, plan *p, const forward_room *f) {
  cr_thin t = thin_of(p);
  if (p->norm.training) {
    cr_thin_sums(&t, c->x, p->taps, f->conv);
    cr_thin_moments(&t, p->taps, c->weight, p->norm.mean, p->norm.rstd);
  }
  cr_block_settle(&p->norm);
  channel_map(p, f->mean, f->scale, f->shift);
  t.block = p->block;
  cr_thin_forward(&t, c->x, c->weight, c->out, p->winner, f->conv);
}

void cr_block_run(const cr_block_call *c, void *kept, void *scratch) {
  plan p = plan_of(c);
  forward_room f = { 0 };
  lay_forward(c, &p, &f, scratch);
  lay_kept(c, &p, kept);
  if (p.thin) {
    forward_thin(c, &p, &f);
    return;
  }
  const real *weight = c->weight, *bias = p.norm.bias;
  for (int64_t o = 0; o < p.conv.filters; o++) f.fold[o] = 1;
  if (p.folded) {
    cr_block_settle(&p.norm);
    cr_block_fold(&p.norm, f.fold, f.bias);
    bias = f.bias;
  }
  if (f.weight != NULL) {
    cr_conv_scale_weights(&p.conv, weight, f.fold, f.weight);
    weight = f.weight;
  }
  const void *ready = f.ready;
  if (ready != NULL) cr_conv_nhwc_ready(&p.conv, weight, f.ready);
  else if (p.ready) ready = cr_conv_ready_find(&p.conv, weight, f.fold);
  const cr_window *w = &p.conv.window;
  int64_t in = w->in[0] * w->in[1] * p.conv.channels, n = p.conv.filters;
  int64_t image = w->out[0] * w->out[1] * n;
  int64_t image_out = c->pool ? w->out[0] / 2 * (w->out[1] / 2) * n : image;
  bool mapped = false, plain = p.follows || (!p.keep_y && !c->residual && !c->relu);
  for (int64_t at = 0; at < p.conv.images; at += p.chunk) {
    cr_conv some = p.conv;
    some.images = p.conv.images - at < p.chunk ? p.conv.images - at : p.chunk;
    real *out = c->out + at * image_out, *y = p.keep_y ? p.y : out;
    double *sums = p.norm.training ? f.sums : NULL;
    if (ready) cr_conv_nhwc_forward_ready(&some, c->x + at * in, ready, bias, y, f.conv);
    else cr_conv_nhwc_forward(&some, c->x + at * in, weight, bias, y, sums, f.conv);
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
    const real *residual = c->residual ? c->shortcut + at * image : NULL;
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
static void take_sums(const cr_block_call *c, plan *p, backward_room *b) {
  const real *out = c->out, *g = c->g;
  cr_block *k = &p->block;
  if (c->residual) {
    if (c->gshortcut) b->h = c->gshortcut;
    cr_block_sums_by_out(k, p->norm.count, p->keep_y ? p->y : out, k->mean, out, g, b->h, b->sums,
                         b->sums_parts);
  } else if (!p->keep_y) {
    /* no batch norm and out in the place of y: h is the gradient of y */
    cr_block_sums_by_out(k, p->norm.count, out, k->mean, out, g, b->h, b->sums, b->sums_parts);
  } else if (k->pool && p->norm.training && invertible(p)) {
    int64_t places = k->images * (k->height / 2) * (k->width / 2), n = k->channels;
    cr_block_sums_by_out(k, places, out, k->shift, out, g, NULL, b->sums, b->sums_parts);
    for (int64_t o = 0; o < n; o++) b->sums[n + o] /= (double)k->scale[o];
  } else if (p->norm.training || p->folded || c->gbias) {
    cr_block_sums(k, p->y, g, b->sums, b->sums_parts);
  }
}

static void norm_backward(const cr_block_call *c, const plan *p, const backward_room *b) {
  cr_block_norm_backward(&p->norm, b->sums, p->block.scale, b->slope, b->constant,
                         c->ggamma, c->gbeta, c->gbias);
}

static void backward_thin(const cr_block_call *c, plan *p, backward_room *b) {
  cr_thin t = thin_of(p);
  int64_t n = p->conv.filters;
  const cr_block_norm *norm = &p->norm;
  cr_thin_backward(&t, c->x, c->g, p->winner, b->patches, b->conv);
  memcpy(b->sums, b->patches + CR_THIN_TAPS * n, (size_t)n * sizeof(double));
  cr_thin_product(&t, c->weight, norm->mean, b->patches, b->sums + n);
  norm_backward(c, p, b);
  if (c->gweight)
    cr_thin_grad_weight(&t, c->weight, norm->training ? p->taps : NULL, norm->mean, norm->rstd,
                        b->patches, b->sums + n, c->gweight);
}

void cr_block_run_back(const cr_block_call *c, void *kept, void *scratch) {
  plan p = plan_of(c);
  backward_room b = { 0 };
  lay_kept(c, &p, kept);
  lay_backward(c, &p, &b, scratch);
  channel_map(&p, b.mean, b.scale, b.shift);
  if (p.thin) {
    backward_thin(c, &p, &b);
    return;
  }
  take_sums(c, &p, &b);
  norm_backward(c, &p, &b);
  const real *gy = b.h ? b.h : c->g;
  if (p.keep_y) {
    if (c->residual) p.block.relu = false;       /* h has been through it */
    cr_block_backward(&p.block, gy, b.slope, b.constant, p.y);
    gy = p.y;
  }
  const real *weight = c->weight;
  if (p.folded) {
    cr_block_fold(&p.norm, b.fold, b.shift);
    cr_conv_scale_weights(&p.conv, weight, b.fold, b.weight);
    if (c->gweight || c->ggamma)
      cr_conv_nhwc_grad_weight(&p.conv, c->x, gy, b.gweight, b.conv);
    cr_block_fold_backward(&p.norm, p.each, weight, b.gweight, b.sums, c->gweight, c->ggamma,
                           c->gbeta, c->gbias);
    weight = b.weight;
  } else if (c->gweight) {
    cr_conv_nhwc_grad_weight(&p.conv, c->x, gy, c->gweight, b.conv);
  }
  if (c->gx) cr_conv_nhwc_grad_x(&p.conv, weight, gy, c->gx, b.conv);
}
