/* gemm.c - see gemm.h; the instruction set is picked here, and the work is cut for the pool
 *
 * Cutting may follow the number of threads: no element depends on where the borders are.
 *
 * GFLOP/s in float on one thread of a Zen 4 core at 2.6 GHz, whose peak is 118, and the ratio to
 * OpenBLAS 0.3.21 in the same run; the last column is two threads (tests/bench/gemm.c, whose head
 * has the command):
 *
 *      m    n    k      AVX-512  ratio   AVX2 ratio   2 threads
 *    256  256  256          105   1.06         1.01         202
 *    512  512  512          103   1.05         1.02         203
 *   1024 1024 1024          102   1.06         1.00         205
 *   1024 1024  128  n T     107   1.12         1.08         199
 *    256  128 2048  n T     108   1.20         1.14         200
 *    128 2048  256  T n     105   1.12         1.00         199
 *     64 1024  288          108   1.16         0.97         194
 *     64  288 1024  n T     102   1.46         1.40         165
 *      8    8    8            8   0.30         packing costs 0.1 microseconds
 */
#include "kernels/gemm.h"

#include <stddef.h>

#include "base/pool.h"
#include "kernels/gemm_entry.h"

enum {
  SHARE = 1 << 18,              /* products worth a thread's while: some 5 microseconds */
  READ = 2, TURN = 10,          /* products that take as long as fetching, or turning, one number of B */
  TALL = 8, WIDE = 16,          /* whole tiles of every instruction set */
  NARROW = 64,                  /* columns that a strip should have */
  PAGE = 4096
};

static cr_gemm_entry *entry(void) {
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

typedef struct {
  bool ta, tb;
  int64_t m, n, k, lda, ldb, from_i, ldc, rows, columns;        /* strips of each */
  const real *a, *b, *from;
  real *c;
} job;

/* C = from + op(A) op(B); from NULL is 0, and from_i 0 the same row again and again */
static void serial(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const real *a, int64_t lda,
                   const real *b, int64_t ldb, const real *from, int64_t from_i,
                   real *c, int64_t ldc) {
  if (m <= 0 || n <= 0) return;
  if (k <= 0) {
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n; j++) c[i*ldc + j] = from ? from[i*from_i + j] : 0;
  } else if (n == 1 && ldc == 1 && from_i == ldc) {
    /* a column as a row, C^T = op(B)^T op(A)^T: no width is wasted */
    entry()(!tb, !ta, 1, m, k, b, ldb, a, lda, from, m, c, m);
  } else {
    entry()(ta, tb, m, n, k, a, lda, b, ldb, from, from_i, c, ldc);
  }
}

/* The border before strip i of `strips`, of n things in pieces of `piece`. */
static int64_t border(int64_t i, int64_t strips, int64_t n, int64_t piece) {
  int64_t at = (n + piece - 1) / piece * i / strips * piece;
  return at < n ? at : n;
}

static void one_block(void *context, int64_t block, int worker) {
  const job *j = context;
  int64_t r = block % j->rows, l = block / j->rows;
  int64_t top = border(r, j->rows, j->m, TALL), left = border(l, j->columns, j->n, WIDE);
  int64_t m = border(r + 1, j->rows, j->m, TALL) - top;
  int64_t n = border(l + 1, j->columns, j->n, WIDE) - left;
  (void)worker;
  serial(j->ta, j->tb, m, n, j->k, j->a + top * (j->ta ? 1 : j->lda), j->lda,
         j->b + left * (j->tb ? j->ldb : 1), j->ldb,
         j->from ? j->from + top*j->from_i + left : NULL, j->from_i,
         j->c + top*j->ldc + left, j->ldc);
}

static void spread(const job *given) {
  job j = *given;
  double products = (double)(j.m + (j.tb ? TURN : READ)) * (double)j.n * (double)j.k;
  int64_t threads = cr_pool_threads(), most = (int64_t)(products / SHARE);
  if (most < threads) threads = most;
  if (threads > 1) {
    /* Strips of rows, though each packs the same B: two threads that write to one page disturb each
     * other. Strips of columns where these are pages wide, or rows too few to repay packing, which
     * takes longer where B has to be turned. */
    bool pages = j.n * (int64_t)sizeof(real) >= PAGE * threads && j.n > j.m;
    int64_t fit = j.n / NARROW + 1, few = (j.tb ? 48 : 16) * threads;
    if (pages || j.m < few) j.columns = fit < threads ? fit : threads;
    j.rows = (threads + j.columns - 1) / j.columns;
  }
  cr_pool_run(j.rows * j.columns, one_block, &j);
}

void cr_gemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const real *a, int64_t lda,
             const real *b, int64_t ldb, bool accumulate, real *c, int64_t ldc) {
  spread(&(job){ ta, tb, m, n, k, lda, ldb, ldc, ldc, 1, 1, a, b, accumulate ? c : NULL, c });
}

void cr_gemm_plus_row(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const real *a,
                      int64_t lda, const real *b, int64_t ldb, const real *row,
                      real *c, int64_t ldc) {
  spread(&(job){ ta, tb, m, n, k, lda, ldb, 0, ldc, 1, 1, a, b, row, c });
}

void cr_gemm_serial(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const real *a, int64_t lda,
                    const real *b, int64_t ldb, bool accumulate, real *c, int64_t ldc) {
  serial(ta, tb, m, n, k, a, lda, b, ldb, accumulate ? c : NULL, ldc, c, ldc);
}
