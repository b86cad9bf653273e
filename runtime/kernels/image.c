/* image.c - loops over the pixels of one plane */
#include "kernels/image.h"

#include <math.h>
#include <string.h>

enum { WEIGHT_BITS = 22, BLUR_RADIUS = 24 };            /* three times CR_BLUR_MOST */

static int64_t at_least(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }

CR_VECTOR void cr_kernel_image_unpack(const uint8_t *restrict bytes, int64_t H, int64_t W,
    real *restrict plane) {
  for (int64_t y = 0; y <= H; y++) {
    const uint8_t *in = bytes + (y < H ? y : H - 1) * W;
    real *out = plane + y * (W + 1);
    for (int64_t x = 0; x < W; x++) out[x] = (real)in[x] / (real)255;
    out[W] = out[W - 1];
  }
}

CR_VECTOR void cr_kernel_image_warp(const real *restrict plane, int64_t H, int64_t W,
                                    const double m[6], int64_t h, int64_t w, real *restrict out,
                                    real *restrict row) {
  const int stride = (int)W + 1;
  const real right = (real)(W - 1), bottom = (real)(H - 1), step_x = (real)m[0];
  const real step_y = (real)m[3];
  real *restrict sx = row, *restrict sy = row + w;
  for (int64_t y = 0; y < h; y++, out += w) {
    const real from_x = (real)(m[1] * (double)y + m[2]), from_y = (real)(m[4] * (double)y + m[5]);
    /* clamped in a loop of its own: in one with the conversion, gcc splits cases and does not
     * vectorise */
    for (int64_t x = 0; x < w; x++) {
      real px = from_x + step_x * (real)(int)x, py = from_y + step_y * (real)(int)x;
      px = px > 0 ? px : 0;
      py = py > 0 ? py : 0;
      sx[x] = px < right ? px : right;
      sy[x] = py < bottom ? py : bottom;
    }
    for (int64_t x = 0; x < w; x++) {
      int column = (int)sx[x], line = (int)sy[x], at = line * stride + column;
      real fx = sx[x] - (real)column, fy = sy[x] - (real)line;
      real upper = plane[at] + fx * (plane[at + 1] - plane[at]);
      real lower = plane[at + stride] + fx * (plane[at + stride + 1] - plane[at + stride]);
      out[x] = upper + fy * (lower - upper);
    }
  }
}

/* out[i] = sum over k of tap[k] in[i + k * step], k = 0 .. 2 radius */
CR_VECTOR void cr_kernel_image_convolve(const real *restrict in, int64_t step,
                                        const real *restrict tap, int radius, int64_t n,
                                        real *restrict out) {
  for (int64_t i = 0; i < n; i++) out[i] = tap[0] * in[i];
  for (int k = 1; k <= 2 * radius; k++)
    for (int64_t i = 0; i < n; i++) out[i] += tap[k] * in[i + k * step];
}

int64_t cr_kernel_image_blur_scratch(int64_t h, int64_t w) {
  return (h + 2 * BLUR_RADIUS) * w + w + 2 * BLUR_RADIUS;
}

static double bell(double x) { return exp(-0.5 * x * x); }

void cr_kernel_image_blur(real *image, int64_t h, int64_t w, double sigma, real *scratch) {
  real tap[2 * BLUR_RADIUS + 1];
  int radius = (int)at_most(BLUR_RADIUS, (int64_t)ceil(3 * sigma));
  double total = 0;
  if (radius == 0) return;
  for (int k = -radius; k <= radius; k++) total += bell(k / sigma);
  for (int k = -radius; k <= radius; k++) tap[k + radius] = (real)(bell(k / sigma) / total);

  /* rows into the middle of a taller plane, whose first and last rows repeat, then down columns */
  real *line = scratch, *tall = scratch + w + 2 * BLUR_RADIUS;
  for (int64_t y = 0; y < h; y++) {
    const real *in = image + y * w;
    for (int k = 0; k < radius; k++) line[k] = in[0], line[radius + w + k] = in[w - 1];
    memcpy(line + radius, in, (size_t)w * sizeof(real));
    cr_kernel_image_convolve(line, 1, tap, radius, w, tall + (radius + y) * w);
  }
  for (int k = 0; k < radius; k++) {
    memcpy(tall + k * w, tall + radius * w, (size_t)w * sizeof(real));
    memcpy(tall + (radius + h + k) * w, tall + (radius + h - 1) * w, (size_t)w * sizeof(real));
  }
  for (int64_t y = 0; y < h; y++)
    cr_kernel_image_convolve(tall + y * w, w, tap, radius, w, image + y * w);
}

/* ---- resize: the arithmetic of Pillow's Resample.c, so that results are equal to the bit ----- */

static double half_width(int64_t from, int64_t to) {
  return from > to ? (double)from / (double)to : 1;
}

static double triangle(double x) { return fmax(0, 1 - fabs(x)); }

int64_t cr_kernel_image_resize_most(int64_t from, int64_t to) {
  return 2 * (int64_t)ceil(half_width(from, to)) + 1;
}

void cr_kernel_image_resize_taps(int64_t from, int64_t to, int32_t *first, int32_t *taps,
    int32_t *weight) {
  double wide = half_width(from, to), scale = (double)from / (double)to;
  int64_t most = cr_kernel_image_resize_most(from, to);
  for (int64_t i = 0; i < to; i++, weight += most) {
    double middle = ((double)i + 0.5) * scale, sum = 0;
    int64_t begin = at_least((int64_t)(middle - wide + 0.5), 0);
    int64_t end = at_most((int64_t)(middle + wide + 0.5), from);
    for (int64_t k = begin; k < end; k++) sum += triangle(((double)k - middle + 0.5) / wide);
    for (int64_t k = begin; k < end; k++) {
      double share = triangle(((double)k - middle + 0.5) / wide) / sum;
      weight[k - begin] = (int32_t)(0.5 + share * (1 << WEIGHT_BITS));
    }
    first[i] = (int32_t)begin;
    taps[i] = (int32_t)(end - begin);
  }
}

static uint8_t rounded(int32_t sum) {
  int32_t value = sum >> WEIGHT_BITS;
  return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

CR_VECTOR void cr_kernel_image_add_row(const uint8_t *restrict in, int32_t weight, int64_t n,
    int32_t *restrict sum) {
  for (int64_t x = 0; x < n; x++) sum[x] += weight * in[x];
}

void cr_kernel_image_resize(const cr_resize *r, const uint8_t *in, uint8_t *out, uint8_t *between,
    int32_t *sum) {
  const int32_t half = 1 << (WEIGHT_BITS - 1);
  for (int64_t y = 0; y < r->H; y++) {
    for (int64_t x = 0; x < r->w; x++) {
      const uint8_t *from = in + y * r->W + r->first_across[x];
      const int32_t *weight = r->weight_across + x * r->most_across;
      int32_t total = half;
      for (int32_t k = 0; k < r->taps_across[x]; k++) total += weight[k] * from[k];
      between[y * r->w + x] = rounded(total);
    }
  }
  for (int64_t y = 0; y < r->h; y++) {
    for (int64_t x = 0; x < r->w; x++) sum[x] = half;
    for (int32_t k = 0; k < r->taps_down[y]; k++)
      cr_kernel_image_add_row(between + (r->first_down[y] + k) * r->w,
          r->weight_down[y * r->most_down + k], r->w, sum);
    for (int64_t x = 0; x < r->w; x++) out[y * r->w + x] = rounded(sum[x]);
  }
}

CR_VECTOR void cr_kernel_image_grey(const uint8_t *restrict red, const uint8_t *restrict green,
                                    const uint8_t *restrict blue, int64_t n,
                                    uint8_t *restrict out) {
  for (int64_t i = 0; i < n; i++)
    out[i] = (uint8_t)((19595u * red[i] + 38470u * green[i] + 7471u * blue[i] + 0x8000u) >> 16);
}
