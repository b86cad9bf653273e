/* conv_plain.c - the inner parts of convolution for any processor: vectors of 16 bytes */
#define CONV_LANES 16
#define CONV_ROWS 6
#include "kernels/conv_direct_tile.h"
#include "kernels/winograd_tile.h"

const cr_conv_kernels cr_conv_plain = {
  WIDTH, winograd_weights, winograd_forward, winograd_products, winograd_fold,
  direct_weights, direct_forward, direct_products
};
