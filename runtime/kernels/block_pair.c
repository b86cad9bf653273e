/* block_pair.c - see block_pair.h */
#include "kernels/block_pair.h"

#include "base/pool.h"
#include "kernels/block_room.h"

/* A half as a pass sees it: sizes, the numbers of its norm, and y, which backward turns into its
 * own gradient */
typedef struct side {
  const cr_pair_half *given;
  cr_conv conv;
  cr_block block;
  cr_block_norm norm;
  int64_t numbers;                      /* of y */
  real *y, *mean, *scale, *shift;
} side;

static side side_of(const cr_block_pair *p, int i) {
  const cr_pair_half *h = &p->half[i];
  const cr_window *w = &h->conv.window;
  side s = { .given = h, .conv = h->conv };
  int64_t count = h->conv.images * w->out[0] * w->out[1];
  s.numbers = count * h->conv.filters;
  s.block = (cr_block){ .images = h->conv.images, .height = w->out[0], .width = w->out[1],
                        .channels = h->conv.filters, .relu = true };
  s.norm = (cr_block_norm){ .channels = h->conv.filters, .count = count, .training = true,
                            .momentum = p->momentum, .eps = p->eps,
                            .gamma = h->gamma, .beta = h->beta,
                            .running_mean = h->running_mean, .running_var = h->running_var };
  return s;
}

/* Whether conv2 reads conv1's y through the norm, in this pass */
static bool maps(const cr_block_pair *p, cr_conv_pass pass) {
  return cr_conv_nhwc_fuses(&p->half[1].conv, pass);
}

static void take_kept(room *r, side *s) {
  s->norm.mean = take(r, s->conv.filters, sizeof(double));
  s->norm.rstd = take(r, s->conv.filters, sizeof(double));
  s->y = take(r, s->numbers, sizeof(real));
}

static void take_map(room *r, side *s) {
  s->mean = take(r, s->conv.filters, sizeof(real));
  s->scale = take(r, s->conv.filters, sizeof(real));
  s->shift = take(r, s->conv.filters, sizeof(real));
}

static int64_t larger(size_t a, size_t b) { return (int64_t)(a > b ? a : b); }

typedef struct work {
  side side[2];
  real *a, *h, *slope, *constant;
  double *sums;
  void *rest;
} work;

static room lay_kept(const cr_block_pair *p, work *w, void *kept) {
  room r = { kept, 0 };
  for (int i = 0; i < 2 && p->backward; i++) take_kept(&r, &w->side[i]);
  return r;
}

static work work_of(const cr_block_pair *p) {
  return (work){ .side = { side_of(p, 0), side_of(p, 1) } };
}

static room lay_forward(const cr_block_pair *p, work *w, void *scratch) {
  room r = { scratch, 0 };
  side *s = w->side;
  for (int i = 0; i < 2; i++) {
    if (!p->backward) take_kept(&r, &s[i]);
    take_map(&r, &s[i]);
  }
  w->sums = take(&r, 2 * larger((size_t)s[0].conv.filters, (size_t)s[1].conv.filters),
                 sizeof(double));
  if (!maps(p, CR_CONV_FORWARD)) w->a = take(&r, s[0].numbers, sizeof(real));
  w->rest = take(&r, larger(cr_conv_nhwc_scratch(&s[0].conv, CR_CONV_FORWARD),
                            cr_conv_nhwc_scratch(&s[1].conv, CR_CONV_FORWARD)), 1);
  return r;
}

static room lay_backward(const cr_block_pair *p, work *w, void *scratch) {
  room r = { scratch, 0 };
  side *s = w->side;
  int64_t widest = larger((size_t)s[0].conv.filters, (size_t)s[1].conv.filters), rest = 0;
  for (int i = 0; i < 2; i++) take_map(&r, &s[i]);
  w->slope = take(&r, widest, sizeof(real));
  w->constant = take(&r, widest, sizeof(real));
  w->sums = take(&r, 2 * widest, sizeof(double));
  w->a = take(&r, s[0].numbers, sizeof(real));
  if (p->own_shortcut ? !p->want_x : !p->want_shortcut)
    w->h = take(&r, s[1].numbers, sizeof(real));
  for (int i = 0; i < 2; i++) {
    rest = larger((size_t)rest, cr_block_sums_scratch(&s[i].block));
    rest = larger((size_t)rest, cr_conv_nhwc_scratch(&s[i].conv, CR_CONV_GRAD_X));
    rest = larger((size_t)rest, cr_conv_nhwc_scratch(&s[i].conv, CR_CONV_GRAD_WEIGHT));
  }
  w->rest = take(&r, rest, 1);
  return r;
}

size_t cr_block_pair_kept_bytes(const cr_block_pair *p) {
  work w = work_of(p);
  return lay_kept(p, &w, NULL).bytes;
}

size_t cr_block_pair_forward_bytes(const cr_block_pair *p) {
  work w = work_of(p);
  return lay_forward(p, &w, NULL).bytes;
}

size_t cr_block_pair_backward_bytes(const cr_block_pair *p) {
  work w = work_of(p);
  return lay_backward(p, &w, NULL).bytes;
}

/* The norm's numbers, as reals, for what follows */
static void set_map(side *s) {
  cr_block_map(&s->norm, s->mean, s->scale, s->shift);
  s->block.mean = s->mean, s->block.scale = s->scale, s->block.shift = s->shift;
}

/* What conv2 reads: y of conv1 with the map for it, or a, made of that */
static const real *second_input(const cr_block_pair *p, work *w, cr_conv_pass pass) {
  side *s = w->side;
  s[1].conv.map = (cr_conv_map){ 0 };
  if (maps(p, pass)) {
    s[1].conv.map = (cr_conv_map){ s[0].mean, s[0].scale, s[0].shift };
    return s[0].y;
  }
  cr_block_forward(&s[0].block, s[0].y, NULL, w->a);
  return w->a;
}

static void convolve(side *s, const real *x, const work *w) {
  cr_conv_nhwc_forward(&s->conv, x, s->given->weight, NULL, s->y, w->sums, w->rest);
  cr_block_moments(&s->norm, w->sums, s->y);
  cr_block_settle(&s->norm);
  set_map(s);
}

void cr_block_pair_run(const cr_block_pair *p, void *kept, void *scratch) {
  work w = work_of(p);
  side *s = w.side;
  lay_forward(p, &w, scratch);
  lay_kept(p, &w, kept);
  convolve(&s[0], p->x, &w);
  const real *a = second_input(p, &w, CR_CONV_FORWARD);
  convolve(&s[1], a, &w);
  cr_block_forward(&s[1].block, s[1].y, p->own_shortcut ? p->x : p->shortcut, p->out);
}

/* y becomes its gradient, given sums and g behind the norm (and before ReLU where there is one). */
static void back_through_norm(side *s, const work *w, const real *g) {
  cr_block_norm_backward(&s->norm, w->sums, s->scale, w->slope, w->constant, s->given->ggamma,
                         s->given->gbeta, NULL);
  cr_block_backward(&s->block, g, w->slope, w->constant, s->y);
}

typedef struct { real *to; const real *from; } addition;

CR_VECTOR static void add_numbers(void *context, int64_t begin, int64_t end) {
  const addition *a = context;
  real *restrict to = a->to;
  const real *restrict from = a->from;
  for (int64_t i = begin; i < end; i++) to[i] += from[i];
}

/* gx, to which the shortcut has given already where it is x */
static void first_grad_x(const cr_block_pair *p, const work *w) {
  const side *s = &w->side[0];
  cr_conv v = s->conv;
  v.add = p->own_shortcut && cr_conv_nhwc_fuses(&v, CR_CONV_GRAD_X);
  bool apart = p->own_shortcut && !v.add;
  cr_conv_nhwc_grad_x(&v, s->given->weight, s->y, apart ? w->a : p->gx, w->rest);
  addition sum = { p->gx, w->a };
  if (apart) cr_pool_for(w->side[1].numbers, 1 << 14, add_numbers, &sum);
}

void cr_block_pair_run_back(const cr_block_pair *p, void *kept, void *scratch) {
  work w = work_of(p);
  side *s = w.side;
  lay_kept(p, &w, kept);
  lay_backward(p, &w, scratch);
  for (int i = 0; i < 2; i++) set_map(&s[i]);

  /* h, the gradient before the last ReLU, which is the shortcut's too */
  real *h = w.h ? w.h : p->own_shortcut ? p->gx : p->gshortcut;
  cr_block_sums_by_out(&s[1].block, s[1].norm.count, s[1].y, s[1].mean, p->out, p->g, h, w.sums,
                       w.rest);
  s[1].block.relu = false;
  back_through_norm(&s[1], &w, h);
  if (s[1].given->gweight) {
    const real *a = second_input(p, &w, CR_CONV_GRAD_WEIGHT);
    cr_conv_nhwc_grad_weight(&s[1].conv, a, s[1].y, s[1].given->gweight, w.rest);
  }
  /* a is spent: its gradient takes its place */
  cr_conv_nhwc_grad_x(&s[1].conv, s[1].given->weight, s[1].y, w.a, w.rest);
  cr_block_sums(&s[0].block, s[0].y, w.a, w.sums, w.rest);
  back_through_norm(&s[0], &w, w.a);
  if (s[0].given->gweight)
    cr_conv_nhwc_grad_weight(&s[0].conv, p->x, s[0].y, s[0].given->gweight, w.rest);
  if (p->want_x) first_grad_x(p, &w);
}
