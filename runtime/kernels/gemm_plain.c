/* gemm_plain.c - the matrix product for any processor: vectors of 16 bytes, 16 registers */
#define GEMM_ENTRY cr_gemm_plain
#define GEMM_LANES 16
#define GEMM_ROWS 4
#define GEMM_COLUMNS 2
#include "kernels/gemm_tile.h"
