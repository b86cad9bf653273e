/* gemm_avx2.c - the matrix product with AVX2 and FMA: 12 accumulators, 3 columns and a row value in
 * 16 registers */
#if defined(__x86_64__)
#pragma GCC target("arch=x86-64-v3")
#define GEMM_ENTRY cr_gemm_avx2
#define GEMM_LANES 32
#define GEMM_ROWS 4
#define GEMM_COLUMNS 3
#include "kernels/gemm_tile.h"
#endif
