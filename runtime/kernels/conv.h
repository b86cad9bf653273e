/* conv.h - convolution of planes, and its three gradients, over raw pointers
 *
 *   y[b, o, q] = sum_{c, i, j} weight[o, c, i, j] x[b, c, place] + bias[o]
 *   place = q * stride - padding + (i, j) * dilation
 *
 * x [images, channels, in], weight [filters, channels / groups, kernel], y [images, filters, out],
 * all contiguous. Channels and filters are cut into `groups` equal parts, and a filter sees the
 * channels of its own part. conv2d, conv1d (planes one row high) and conv_transpose2d (the gradient
 * for x as a forward) stand on these. All spread over the pool themselves; the bits do not depend
 * on the number of threads, and those of an image not on the images around it. */
#ifndef CR_KERNELS_CONV_H
#define CR_KERNELS_CONV_H

#include <stddef.h>
#include <stdint.h>
#include "base/real.h"
#include "kernels/im2col.h"

/* What to compute with; CR_CONV_AUTO leaves it to a cost model (cr_conv_choose in conv_nhwc.h). One
 * that cannot do a shape gives way to one that can. */
typedef enum { CR_CONV_AUTO, CR_CONV_DIRECT, CR_CONV_WINOGRAD, CR_CONV_COLUMNS } cr_conv_algorithm;

/* What x goes through as it is read, channel by channel: max((x - mean) scale + shift, 0), batch
 * norm and ReLU of the layer before. scale NULL: nothing. */
typedef struct cr_conv_map { const real *mean, *scale, *shift; } cr_conv_map;

typedef struct cr_conv {
  int64_t images, channels, filters, groups;
  cr_window window;
  cr_conv_algorithm algorithm;
  /* what is done on the way, only where cr_conv_nhwc_fuses (conv_nhwc.h) */
  cr_conv_map map;                      /* x, in forward and in the gradient for the weights */
  bool relu, pool;                      /* of y: max(y, 0), the largest of 2 x 2 places */
  bool add;                             /* the gradient for x is added to gx */
} cr_conv;

/* Whether channels and filters make groups, `seen` channels for each filter */
bool cr_conv_check(const cr_conv *v, int64_t seen, cr_error *err);

void cr_conv_forward(const cr_conv *v, const real *x, const real *weight, const real *bias,
                     real *y);
/* start: what each channel of gx begins with, the bias of a transposed convolution; NULL: 0 */
void cr_conv_grad_x(const cr_conv *v, const real *weight, const real *gy, const real *start,
                    real *gx);
/* scratch: cr_conv_grad_weight_scratch bytes */
void cr_conv_grad_weight(const cr_conv *v, const real *x, const real *gy, real *gweight,
                         void *scratch);
size_t cr_conv_grad_weight_scratch(const cr_conv *v);
/* gbias[c] = sum over images and places of gy [images, channels, places], in double */
void cr_channel_sums(int64_t images, int64_t channels, int64_t places, const real *gy, real *sum);

#endif
