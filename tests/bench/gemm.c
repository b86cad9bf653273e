/* gemm.c - how fast cr_gemm is against OpenBLAS on one thread, and what a second thread gives
 *
 *   gcc -std=gnu11 -O3 -Iruntime tests/bench/gemm.c runtime/kernels/gemm*.c runtime/base/{pool,error}.c -lopenblas -lpthread -o build/bench_gemm
 *   build/bench_gemm                                    (with -DCR_DOUBLE for double)
 *
 * Each line: GFLOP/s of OpenBLAS and of cr_gemm with one thread, measured in turns, the best of each; their ratio; cr_gemm
 * with all threads. */
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/pool.h"
#include "kernels/gemm.h"

#ifdef CR_DOUBLE
#define BLAS_GEMM cblas_dgemm
#else
#define BLAS_GEMM cblas_sgemm
#endif

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct { int m, n, k; bool ta, tb; } shape;

static const shape shapes[] = {
  { 8, 8, 8, 0, 0 }, { 16, 16, 16, 0, 1 }, { 64, 64, 64, 0, 0 }, { 128, 128, 128, 0, 0 }, { 256, 256, 256, 0, 0 },
  { 384, 384, 384, 0, 0 }, { 512, 512, 512, 0, 0 }, { 1024, 1024, 1024, 0, 0 }, { 512, 512, 512, 0, 1 },
  { 512, 512, 512, 1, 0 }, { 512, 512, 512, 1, 1 },
  { 64, 64, 128, 0, 1 }, { 128, 128, 128, 0, 1 }, { 256, 256, 128, 0, 1 }, { 512, 512, 128, 0, 1 }, { 1024, 1024, 128, 0, 1 },
  { 2000, 2000, 128, 0, 1 }, { 128, 2048, 128, 0, 1 }, { 128, 128, 2048, 0, 1 }, { 32, 4096, 9, 0, 0 }, { 64, 1024, 288, 0, 0 },
  { 64, 288, 1024, 0, 1 }, { 288, 1024, 64, 1, 0 }, { 128, 256, 576, 0, 0 }, { 256, 64, 2304, 0, 0 }, { 32, 10, 128, 0, 1 },
  { 1, 1024, 1024, 0, 1 }, { 1, 1024, 1024, 0, 0 }, { 1024, 1, 1024, 0, 0 }, { 32, 1024, 1024, 0, 1 }, { 100, 100, 100, 0, 0 }
};

enum { MOST = 2048 * 2048 };

static double run(const shape *s, int way, const real *a, const real *b, real *c, int repeats) {
  int lda = s->ta ? s->m : s->k, ldb = s->tb ? s->k : s->n;
  double start = now();
  for (int i = 0; i < repeats; i++) {
    if (way == 0)
      BLAS_GEMM(CblasRowMajor, s->ta ? CblasTrans : CblasNoTrans, s->tb ? CblasTrans : CblasNoTrans,
                s->m, s->n, s->k, 1, a, lda, b, ldb, 0, c, s->n);
    else
      cr_gemm(s->ta, s->tb, s->m, s->n, s->k, a, lda, b, ldb, false, c, s->n);
  }
  return (now() - start) / repeats;
}

int main(void) {
  real *a = aligned_alloc(64, MOST * sizeof(real)), *b = aligned_alloc(64, MOST * sizeof(real));
  real *c = aligned_alloc(64, MOST * sizeof(real));
  int threads = cr_pool_default_threads();
  if (!a || !b || !c) return 1;
  for (int i = 0; i < MOST; i++) a[i] = (real)(i % 17) / 17, b[i] = (real)(i % 13) / 13, c[i] = 0;
  openblas_set_num_threads(1);
  printf("    m    n    k       blas  crun  ratio   crun on %d threads\n", threads);
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    const shape *s = &shapes[i];
    double flops = 2.0 * s->m * s->n * s->k, best[3] = { 1e9, 1e9, 1e9 };
    int repeats = flops > 2e7 ? 1 : (int)(2e7 / flops);
    for (int turn = 0; turn < 12; turn++)
      for (int way = 0; way < 3; way++) {
        cr_pool_set_threads(way == 2 ? threads : 1, NULL);
        run(s, way, a, b, c, 1);
        double t = run(s, way, a, b, c, repeats);
        if (t < best[way]) best[way] = t;
      }
    printf("%5d%5d%5d %s%s  %6.1f%6.1f   %4.2f   %6.1f\n", s->m, s->n, s->k, s->ta ? "T" : "n", s->tb ? "T" : "n",
           flops / best[0] * 1e-9, flops / best[1] * 1e-9, best[0] / best[1], flops / best[2] * 1e-9);
  }
  return 0;
}
