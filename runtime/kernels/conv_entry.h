/* conv_entry.h - the inner parts of winograd.c and conv_direct.c for each instruction set */
#ifndef CR_KERNELS_CONV_ENTRY_H
#define CR_KERNELS_CONV_ENTRY_H

#include <stdbool.h>
#include <stdint.h>
#include "base/real.h"
#include "kernels/conv.h"

/* Whether a result [elements / filters, filters] is written past the caches: it would not stay in
 * them, and its old contents need not be read (15 to 20 % of the time of a layer of 8 MB).
 * Whole vectors of any instruction set must lie aligned. */
static inline bool cr_conv_streams(const real *y, int64_t elements, int64_t filters) {
  return (uintptr_t)y % 64 == 0 && filters % 16 == 0 &&
         elements >= (int64_t)((4 << 20) / sizeof(real));
}

enum {
  CR_DIRECT_ROOM = (384 << 10) / sizeof(real),  /* for lines of the image with their zeros */
  CR_DIRECT_GROUP = 4,                  /* outputs of a line are filled up to this */
  CR_WINOGRAD_POINTS = 36,
  CR_WINOGRAD_MOST_CHANNELS = 2048 / sizeof(real),
  CR_WINOGRAD_SLAB = 64                 /* channels, and filters, of a block of the weights' sum */
};

/* A 3 x 3 convolution in tiles of 4 x 4 outputs; tiles are numbered image by image, row by row. */
typedef struct cr_winograd {
  int64_t in[2], out[2], padding[2], channels, filters, down, across, tiles;
  const real *x, *bias, *gy;
  const real *u;                        /* the transformed weights, panel by panel */
  real *y;
  bool stream;                          /* cr_conv_streams of y */
  cr_conv_map map;                      /* of x, as cr_conv */
  bool add;                             /* to y as it is */
  bool relu, pool;                      /* as cr_conv */
} cr_winograd;

/* Where weight[o, c] begins, and whether its nine places run backwards */
typedef struct cr_winograd_weight {
  const real *weight;
  int64_t o_step, c_step;
  bool turned;
} cr_winograd_weight;

/* A convolution with an output at place + spread * q of each plane [size] of y, for q < out, that
 * sees x at stride * q - before and on; before may be negative. */
typedef struct cr_direct {
  int64_t in[2], out[2], kernel[2], before[2], stride[2], place[2], spread[2], size[2];
  int64_t channels, filters;
  const real *x, *bias;
  const real *weights;                  /* packed, panel by panel */
  real *y;
} cr_direct;

/* Elements of one line with its zeros, and of one line of the kernel, filled up to whole groups */
static inline int64_t cr_direct_line(const cr_direct *d) {
  int64_t out = (d->out[1] + CR_DIRECT_GROUP - 1) / CR_DIRECT_GROUP * CR_DIRECT_GROUP;
  return ((out - 1) * d->stride[1] + d->kernel[1]) * d->channels;
}
static inline int64_t cr_direct_kernel_line(const cr_direct *d) {
  int64_t line = d->kernel[1] * d->channels;
  return (line + CR_DIRECT_GROUP - 1) / CR_DIRECT_GROUP * CR_DIRECT_GROUP;
}

/* The weight of filter o, channel c, kernel place i, j lies at weight[first + o o_step + ...] */
typedef struct cr_direct_weight {
  const real *weight;
  int64_t first, o_step, c_step, i_step, j_step;
} cr_direct_weight;

typedef struct cr_conv_kernels {
  int64_t width;                        /* filters in a panel of weights */
  /* u of one panel, channels c0 .. c1-1 */
  void (*winograd_weights)(const cr_winograd *w, const cr_winograd_weight *from, int64_t panel,
                           int64_t c0, int64_t c1, real *u);
  /* y of tiles first .. end-1, filters o0 .. o1-1, whole panels; part: NULL, or [2 filters] that
   * the sums of y and y^2 are added to */
  void (*winograd_forward)(const cr_winograd *w, int64_t first, int64_t end, int64_t o0, int64_t o1,
                           double *part);
  /* du [36][c1 - c0][o1 - o0] += the tiles' products of x and gy, transformed */
  void (*winograd_products)(const cr_winograd *w, int64_t first, int64_t end, int64_t c0,
                            int64_t c1, int64_t o0, int64_t o1, real *du);
  /* gw of one channel from the sums of `runs` runs of tiles, run_size apart */
  void (*winograd_fold)(const cr_winograd *w, int64_t runs, int64_t run_size, const real *du,
                        int64_t channel, real *gw);
  /* d->weights of one panel, in `to` */
  void (*direct_weights)(const cr_direct *d, const cr_direct_weight *from, int64_t panel, real *to);
  /* y of rows row0 .. row1-1 of an image; part: NULL, or [2 filters] that its sums are added to */
  void (*direct_forward)(const cr_direct *d, int64_t image, int64_t row0, int64_t row1,
                         double *part);
  /* gw [kernel_h][cr_direct_kernel_line][filters] += the share of those rows of gy */
  void (*direct_products)(const cr_direct *d, int64_t image, int64_t row0, int64_t row1,
                          const real *gy, real *gw);
} cr_conv_kernels;

extern const cr_conv_kernels cr_conv_plain;
#if defined(__x86_64__)
extern const cr_conv_kernels cr_conv_avx2, cr_conv_avx512;
#endif

const cr_conv_kernels *cr_conv_kernels_here(void);      /* of this processor */

#endif
