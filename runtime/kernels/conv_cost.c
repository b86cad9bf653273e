/* conv_cost.c - see conv_cost.h */
#include "kernels/conv_cost.h"

#include <math.h>

#include "kernels/conv_direct.h"
#include "kernels/winograd.h"

static double up(double n, double to) { return ceil(n / to) * to; }

static double positions(const cr_conv *v) {
  return (double)v->images * (double)v->window.out[0] * (double)v->window.out[1];
}
static double window(const cr_conv *v) {
  return (double)v->channels * (double)v->window.kernel[0] * (double)v->window.kernel[1];
}

/* 36 products a tile, and both transforms, which share out over channels and filters */
static double winograd_cost(const cr_conv *v) {
  const cr_window *w = &v->window;
  double tiles = (double)v->images * up((double)w->out[0], 4) / 4 * up((double)w->out[1], 4) / 4;
  double C = (double)v->channels, O = (double)v->filters;
  return tiles * (36 * C * O / 52 + 9 * (C + O));
}

/* Lines are filled up to 4 outputs, filters to a vector */
static double direct_cost(const cr_conv *v, cr_conv_pass pass) {
  double lines = (double)v->images * (double)v->window.out[0];
  double line = up((double)v->window.out[1], 4), C = (double)v->channels;
  double O = up((double)v->filters, 16);
  if (pass == CR_CONV_GRAD_X) O = (double)v->filters, C = up(C, 16);
  return lines * line * (C * O * window(v) / (double)v->channels / 54 + 0.1 * O + 0.3 * C);
}

static double columns_cost(const cr_conv *v) {
  return positions(v) * window(v) * ((double)v->filters / 40 + 0.3);
}

double cr_conv_cost(const cr_conv *v, cr_conv_pass pass, cr_conv_algorithm way) {
  switch (way) {
    case CR_CONV_WINOGRAD: return cr_winograd_can(v) ? winograd_cost(v) : INFINITY;
    case CR_CONV_DIRECT: return cr_conv_direct_can(v, pass) ? direct_cost(v, pass) : INFINITY;
    default: return columns_cost(v);
  }
}

double cr_conv_planes_cost(const cr_conv *v) {
  return positions(v) * window(v) * ((double)v->filters / 36 + 0.4);
}

double cr_conv_turn_cost(const cr_conv *v) {
  double x = (double)v->images * (double)v->window.in[0] * (double)v->window.in[1];
  return 0.5 * (x * (double)v->channels + positions(v) * (double)v->filters);
}

cr_conv_algorithm cr_conv_choose(const cr_conv *v, cr_conv_pass pass) {
  static const cr_conv_algorithm ways[] = { CR_CONV_DIRECT, CR_CONV_WINOGRAD, CR_CONV_COLUMNS };
  if (v->algorithm != CR_CONV_AUTO && isfinite(cr_conv_cost(v, pass, v->algorithm)))
    return v->algorithm;
  cr_conv_algorithm best = CR_CONV_COLUMNS;
  for (int i = 0; i < 3; i++) {
    /* float64 is for those who want every digit */
    if (ways[i] == CR_CONV_WINOGRAD && (sizeof(real) == 8 || v->algorithm == CR_CONV_DIRECT))
      continue;
    if (cr_conv_cost(v, pass, ways[i]) < cr_conv_cost(v, pass, best)) best = ways[i];
  }
  return best;
}
