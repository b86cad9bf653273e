/* gemm_entry.h - the product as each instruction set has it; arguments as cr_gemm_serial,
 * m, n, k > 0 */
#ifndef CR_KERNELS_GEMM_ENTRY_H
#define CR_KERNELS_GEMM_ENTRY_H

#include <stdbool.h>
#include <stdint.h>
#include "base/real.h"

typedef void (*cr_gemm_entry)(bool ta, bool tb, int64_t m, int64_t n, int64_t k,
                              const real *a, int64_t lda, const real *b, int64_t ldb,
                              bool accumulate, real *c, int64_t ldc);

void cr_gemm_plain(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const real *a, int64_t lda,
                   const real *b, int64_t ldb, bool accumulate, real *c, int64_t ldc);
void cr_gemm_avx2(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const real *a, int64_t lda,
                  const real *b, int64_t ldb, bool accumulate, real *c, int64_t ldc);
void cr_gemm_avx512(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const real *a, int64_t lda,
                    const real *b, int64_t ldb, bool accumulate, real *c, int64_t ldc);

#endif
