/* gemm_entry.h - the product as each instruction set has it; arguments as cr_gemm_serial
 *
 * m, n, k > 0. C = from + op(A) op(B), where from is NULL for zeros, and from_i the numbers from
 * one row of it to the next: ldc where it is C itself, 0 where it is one row for all. */
#ifndef CR_KERNELS_GEMM_ENTRY_H
#define CR_KERNELS_GEMM_ENTRY_H

#include <stdbool.h>
#include <stdint.h>
#include "base/real.h"

typedef void cr_gemm_entry(bool ta, bool tb, int64_t m, int64_t n, int64_t k,
                           const real *a, int64_t lda, const real *b, int64_t ldb,
                           const real *from, int64_t from_i, real *c, int64_t ldc);

cr_gemm_entry cr_gemm_plain, cr_gemm_avx2, cr_gemm_avx512;

#endif
