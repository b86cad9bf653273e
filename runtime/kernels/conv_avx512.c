/* conv_avx512.c - the inner parts of convolution with AVX-512: 24 sums in 32 registers */
#if defined(__x86_64__)
#pragma GCC target("arch=x86-64-v4")
#define CONV_LANES 64
#define CONV_ROWS 12
#include "kernels/conv_direct_tile.h"
#include "kernels/winograd_tile.h"

const cr_conv_kernels cr_conv_avx512 = {
  WIDTH, winograd_weights, winograd_forward, winograd_products, winograd_fold,
  direct_weights, direct_forward, direct_products
};
#endif
