/* gemm_avx512.c - the matrix product with AVX-512: 24 accumulators in 32 registers */
#if defined(__x86_64__)
#pragma GCC target("arch=x86-64-v4")
#define GEMM_ENTRY cr_gemm_avx512
#define GEMM_LANES 64
#define GEMM_ROWS 8
#define GEMM_COLUMNS 3
#include "kernels/gemm_tile.h"
#endif
