/* image_change.h - one byte image to reals, changed at random: what crun.data.augment does to a row
 *
 * All that is random hangs on (seed, epoch, sample); see data/augment.c for what each change is and
 * in which order they come. Allocates nothing: any thread may call it with scratch of its own. */
#ifndef CR_KERNELS_IMAGE_CHANGE_H
#define CR_KERNELS_IMAGE_CHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/real.h"

typedef struct cr_image_change {
  double flip, shift, scale, rotation, brightness, contrast, saturation, blur, erase, erase_area;
  bool crop_centre;                         /* else the window lies at random */
  double mean, std;
  uint64_t seed, epoch;
  int64_t C, H, W, h, w;                    /* of the image, and of the window taken */
} cr_image_change;

size_t cr_kernel_image_change_scratch(const cr_image_change *how);        /* in reals */
/* in C x H x W, out C x h x w */
void cr_kernel_image_change(const cr_image_change *how, const uint8_t *in, int64_t sample,
                            real *out, real *scratch);

#endif
