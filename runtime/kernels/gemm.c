/* gemm.c - see gemm.h; the instruction set is picked here, and the work is cut for the pool
 *
 * Cutting may follow the number of threads: no element depends on where the borders are.
 *
 * GFLOP/s in float on one thread of a Zen 4 core at 2.6 GHz, and the ratio to OpenBLAS 0.3.21 in
 * the same run; the last column is two threads (tests/bench/gemm.c, whose head has the command):
 *
 *      m    n    k      AVX-512  ratio   AVX2 ratio   2 threads
 *    256  256  256          112   1.06         0.91         172
 *    512  512  512          108   1.03         0.86         191
 *   1024 1024 1024          101   0.98         0.82         185
 *   1024 1024  128  n T     109   1.13         0.91         195
 *     64 1024  288          103   1.09                      180
 *     64  288 1024  n T     102   1.41                      148
 *      8    8    8            9   0.33         packing costs 0.1 microseconds
 */
#include "kernels/gemm.h"

#include "base/pool.h"
#include "kernels/gemm_entry.h"

enum { SHARE = 1 << 18 };     /* products worth a thread's while: some 5 microseconds */

static cr_gemm_entry entry(void) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")
      && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")
      && __builtin_cpu_supports("avx512cd"))
    return cr_gemm_avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
      && __builtin_cpu_supports("bmi2"))
    return cr_gemm_avx2;
#endif
  return cr_gemm_plain;
}

static void clear(int64_t m, int64_t n, real *c, int64_t ldc) {
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) c[i*ldc + j] = 0;
}

void cr_gemm_serial(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const real *a, int64_t lda,
                    const real *b, int64_t ldb, bool accumulate, real *c, int64_t ldc) {
  if (m <= 0 || n <= 0) return;
  if (k <= 0) {
    if (!accumulate) clear(m, n, c, ldc);
  } else if (n == 1 && ldc == 1) {
    /* a column as a row, C^T = op(B)^T op(A)^T: no width is wasted */
    entry()(!tb, !ta, 1, m, k, b, ldb, a, lda, accumulate, c, m);
  } else {
    entry()(ta, tb, m, n, k, a, lda, b, ldb, accumulate, c, ldc);
  }
}

typedef struct {
  bool ta, tb, accumulate;
  int64_t m, n, k, lda, ldb, ldc, strip;
  const real *a, *b;
  real *c;
} job;

static void rows(void *context, int64_t block, int worker) {
  const job *j = context;
  int64_t i = block * j->strip, m = j->m - i < j->strip ? j->m - i : j->strip;
  (void)worker;
  cr_gemm_serial(j->ta, j->tb, m, j->n, j->k, j->a + i * (j->ta ? 1 : j->lda), j->lda,
                 j->b, j->ldb, j->accumulate, j->c + i*j->ldc, j->ldc);
}

static void columns(void *context, int64_t block, int worker) {
  const job *j = context;
  int64_t l = block * j->strip, n = j->n - l < j->strip ? j->n - l : j->strip;
  (void)worker;
  cr_gemm_serial(j->ta, j->tb, j->m, n, j->k, j->a, j->lda,
                 j->b + l * (j->tb ? j->ldb : 1), j->ldb, j->accumulate, j->c + l, j->ldc);
}

void cr_gemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const real *a, int64_t lda,
             const real *b, int64_t ldb, bool accumulate, real *c, int64_t ldc) {
  int threads = cr_pool_threads();
  double products = (double)m * (double)n * (double)k;
  if (threads == 1 || products < 2.0 * SHARE) {
    cr_gemm_serial(ta, tb, m, n, k, a, lda, b, ldb, accumulate, c, ldc);
    return;
  }
  /* the longer side in a strip for each thread, since every strip packs the other matrix anew; in
   * whole tiles of every instruction set */
  int64_t longer = m > n ? m : n, tile = m > n ? 24 : 48;
  int64_t strips = (int64_t)(products / SHARE);
  if (strips > threads) strips = threads;
  job j = { ta, tb, accumulate, m, n, k, lda, ldb, ldc, 0, a, b, c };
  j.strip = ((longer + strips - 1) / strips + tile - 1) / tile * tile;
  cr_pool_run((longer + j.strip - 1) / j.strip, m > n ? rows : columns, &j);
}
