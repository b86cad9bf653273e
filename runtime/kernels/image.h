/* image.h - loops over the pixels of one plane: warp, blur, resize, grey */
#ifndef CR_KERNELS_IMAGE_H
#define CR_KERNELS_IMAGE_H

#include <stddef.h>
#include <stdint.h>
#include "base/real.h"

/* Bytes to reals of byte / 255 in a plane of (H + 1) x (W + 1): one column and one row more,
 * repeating the last. */
void cr_kernel_image_unpack(const uint8_t *restrict bytes, int64_t H, int64_t W,
    real *restrict plane);

/* out[y][x] = plane at (m[0] x + m[1] y + m[2], m[3] x + m[4] y + m[5]), column first; bilinear,
 * the edge repeated outside. plane as unpack makes it, out h x w, row: 2 w reals of scratch. A
 * source on whole numbers comes through unchanged. */
void cr_kernel_image_warp(const real *restrict plane, int64_t H, int64_t W, const double m[6],
                          int64_t h, int64_t w, real *restrict out, real *restrict row);

/* Gaussian blur in place, the edge repeated. scratch: cr_kernel_image_blur_scratch(h, w) reals;
 * sigma <= CR_BLUR_MOST. */
#define CR_BLUR_MOST 8.0
int64_t cr_kernel_image_blur_scratch(int64_t h, int64_t w);
void cr_kernel_image_blur(real *image, int64_t h, int64_t w, double sigma, real *scratch);

/* How one axis of `from` pixels becomes `to`: taps[i] source pixels from first[i], weights of sum
 * 2^22 at weight + i * most. The triangle filter is as wide as an output pixel when shrinking, as a
 * source pixel when growing. */
int64_t cr_kernel_image_resize_most(int64_t from, int64_t to);
void cr_kernel_image_resize_taps(int64_t from, int64_t to, int32_t *first, int32_t *taps,
    int32_t *weight);

/* One plane H x W to h x w: columns, rounded to bytes, then rows. between: H x w bytes, sum: w
 * int32. */
typedef struct cr_resize {
  int64_t H, W, h, w, most_across, most_down;
  const int32_t *first_across, *taps_across, *weight_across, *first_down, *taps_down, *weight_down;
} cr_resize;
void cr_kernel_image_resize(const cr_resize *r, const uint8_t *in, uint8_t *out, uint8_t *between,
    int32_t *sum);

/* (19595 R + 38470 G + 7471 B + 2^15) / 2^16: ITU-R 601 luma as Pillow rounds it */
void cr_kernel_image_grey(const uint8_t *restrict red, const uint8_t *restrict green,
                          const uint8_t *restrict blue, int64_t n, uint8_t *restrict out);

#endif
