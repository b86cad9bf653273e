/* conv_turned.c - see conv_turned.h */
#include "kernels/conv_turned.h"

#include "kernels/conv_cost.h"
#include "kernels/turn.h"

static const double AT_ONCE = (16 << 20) / sizeof(real);

bool cr_conv_turned(const cr_conv *v, cr_conv_pass pass) {
  if (v->groups != 1 || v->channels == 0 || v->filters == 0 || v->images == 0) return false;
  cr_conv_algorithm way = cr_conv_choose(v, pass);
  if (way == CR_CONV_COLUMNS) return false;
  if (v->algorithm != CR_CONV_AUTO) return true;
  return cr_conv_cost(v, pass, way) + cr_conv_turn_cost(v) < cr_conv_planes_cost(v);
}

/* The images taken at once, as a convolution of their own, and where things lie in scratch */
typedef struct {
  cr_conv v;
  int64_t places, positions, weights;
  size_t y_at, gw_at, sum_at, rest_at;
  real *x, *y, *gw;
  double *sum;
  void *rest;
} part;

static size_t on_lines(int64_t n, size_t each) { return ((size_t)n * each + 63) / 64 * 64; }

static part part_of(const cr_conv *v, cr_conv_pass pass) {
  const cr_window *w = &v->window;
  part p = { .v = *v, .places = w->in[0] * w->in[1], .positions = w->out[0] * w->out[1] };
  int64_t image = p.places * v->channels + p.positions * v->filters, at_once = v->images;
  double turns = (double)v->images * (double)image / AT_ONCE;
  if (turns > 1) at_once = (int64_t)((double)v->images / (double)(int64_t)(turns + 1));
  p.v.images = at_once > 0 ? at_once : 1;
  p.weights = v->filters * v->channels * w->kernel[0] * w->kernel[1];
  int64_t sums = pass == CR_CONV_GRAD_WEIGHT ? p.weights : 0;
  p.y_at = on_lines(p.v.images * p.places * v->channels, sizeof(real));
  p.gw_at = p.y_at + on_lines(p.v.images * p.positions * v->filters, sizeof(real));
  p.sum_at = p.gw_at + on_lines(sums, sizeof(real));
  p.rest_at = p.sum_at + on_lines(sums, sizeof(double));
  return p;
}

static part part_in(const cr_conv *v, cr_conv_pass pass, void *scratch) {
  part p = part_of(v, pass);
  char *at = scratch;
  p.x = scratch, p.y = (real *)(void *)(at + p.y_at), p.gw = (real *)(void *)(at + p.gw_at);
  p.sum = (double *)(void *)(at + p.sum_at), p.rest = at + p.rest_at;
  return p;
}

size_t cr_conv_turned_scratch(const cr_conv *v, cr_conv_pass pass) {
  part p = part_of(v, pass);
  cr_conv last = p.v;
  last.images = (v->images - 1) % p.v.images + 1;
  size_t whole = cr_conv_nhwc_scratch(&p.v, pass), rest = cr_conv_nhwc_scratch(&last, pass);
  return p.rest_at + (whole > rest ? whole : rest);
}

/* From image `first` on; the last part may be smaller. */
static bool next_part(part *p, const cr_conv *v, int64_t first) {
  if (first + p->v.images > v->images) p->v.images = v->images - first;
  return p->v.images > 0;
}

void cr_conv_turned_forward(const cr_conv *v, const real *x, const real *weight, const real *bias,
                            real *y, void *scratch) {
  part p = part_in(v, CR_CONV_FORWARD, scratch);
  for (int64_t b = 0; next_part(&p, v, b); b += p.v.images) {
    cr_turn(p.v.images, v->channels, p.places, x + b * p.places * v->channels, p.x);
    cr_conv_nhwc_forward(&p.v, p.x, weight, bias, p.y, NULL, p.rest);
    cr_turn(p.v.images, p.positions, v->filters, p.y, y + b * p.positions * v->filters);
  }
}

void cr_conv_turned_grad_x(const cr_conv *v, const real *weight, const real *gy, real *gx,
                           void *scratch) {
  part p = part_in(v, CR_CONV_GRAD_X, scratch);
  for (int64_t b = 0; next_part(&p, v, b); b += p.v.images) {
    cr_turn(p.v.images, v->filters, p.positions, gy + b * p.positions * v->filters, p.y);
    cr_conv_nhwc_grad_x(&p.v, weight, p.y, p.x, p.rest);
    cr_turn(p.v.images, p.places, v->channels, p.x, gx + b * p.places * v->channels);
  }
}

void cr_conv_turned_grad_weight(const cr_conv *v, const real *x, const real *gy, real *gw,
                                void *scratch) {
  part p = part_in(v, CR_CONV_GRAD_WEIGHT, scratch);
  for (int64_t i = 0; i < p.weights; i++) p.sum[i] = 0;
  for (int64_t b = 0; next_part(&p, v, b); b += p.v.images) {
    cr_turn(p.v.images, v->channels, p.places, x + b * p.places * v->channels, p.x);
    cr_turn(p.v.images, v->filters, p.positions, gy + b * p.positions * v->filters, p.y);
    cr_conv_nhwc_grad_weight(&p.v, p.x, p.y, p.gw, p.rest);
    for (int64_t i = 0; i < p.weights; i++) p.sum[i] += (double)p.gw[i];
  }
  for (int64_t i = 0; i < p.weights; i++) gw[i] = (real)p.sum[i];
}
