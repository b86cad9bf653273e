/* gemm.h - matrix product whose bits depend on the two matrices and on nothing else
 *
 *   C (m x n) = op(A) op(B)            op(A) is m x k, op(B) is k x n, everything row-major
 *   C        += op(A) op(B)            when accumulate
 *
 * ta: A is stored k x m, and op(A) is its transpose; tb likewise: B is stored n x k. lda, ldb and
 * ldc are the elements from one stored row to the next. C must not overlap A or B. m, n or k may be
 * 0 (k = 0: a sum of nothing).
 *
 * Every element of C is the sum, in order, of chunks of CR_GEMM_CHUNK products, each chunk one
 * chain of fused multiply-adds in k order that starts at 0. So an element is the same to the last
 * bit for any number of threads, any m and n around it, any place in the matrix, any of the flags,
 * with AVX2 and with AVX-512; and X X^T is exactly symmetric. */
#ifndef CR_KERNELS_GEMM_H
#define CR_KERNELS_GEMM_H

#include <stdbool.h>
#include <stdint.h>
#include "base/real.h"

enum { CR_GEMM_CHUNK = 256 };

/* Spread over the pool. Inside a block of the pool it is the serial product. */
void cr_gemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const real *a, int64_t lda,
             const real *b, int64_t ldb, bool accumulate, real *c, int64_t ldc);

/* C = op(A) op(B) + row, the same row of n numbers added to every row. */
void cr_gemm_plus_row(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const real *a,
                      int64_t lda, const real *b, int64_t ldb, const real *row,
                      real *c, int64_t ldc);

/* In the calling thread, for use inside a block. */
void cr_gemm_serial(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const real *a, int64_t lda,
                    const real *b, int64_t ldb, bool accumulate, real *c, int64_t ldc);

#endif
