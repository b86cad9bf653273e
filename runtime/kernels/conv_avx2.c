/* conv_avx2.c - the inner parts of convolution with AVX2 and FMA: 12 sums in 16 registers */
#if defined(__x86_64__)
#pragma GCC target("arch=x86-64-v3")
#define CONV_LANES 32
#define CONV_ROWS 6
#include "kernels/conv_direct_tile.h"
#include "kernels/winograd_tile.h"

const cr_conv_kernels cr_conv_avx2 = {
  WIDTH, winograd_weights, winograd_forward, winograd_products, winograd_fold,
  direct_weights, direct_forward, direct_products
};
#endif
