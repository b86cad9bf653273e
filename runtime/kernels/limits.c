/* limits.c - see limits.h */
#include "kernels/limits.h"

#include <stdatomic.h>
#include "base/pool.h"

/* 12 chains of dependent multiply-adds hide the latency of two units; they must be names, since gcc spills an array. */
#define EACH_CHAIN(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)
#define START(i) vector x##i = { 0 }; x##i += (real)(i) * (real)1e-3;
#define STEP(i) x##i = x##i * scale + shift;
#define KEEP(i) __asm__ volatile("" : "+" CONSTRAINT(x##i));
#define SUM(i) sum += x##i[0];

enum { CHAINS = 12 };

#if defined(__x86_64__)
#define CONSTRAINT "x"
#else
#define CONSTRAINT "m"
#endif

#define BURST(NAME, TARGET, BYTES)                                                      \
  TARGET static real NAME(int64_t rounds) {                                             \
    typedef real vector __attribute__((vector_size(BYTES)));                            \
    vector scale = { 0 }, shift = { 0 };                                                \
    scale += (real)0.999, shift += (real)1e-3;                                          \
    EACH_CHAIN(START)                                                                   \
    for (int64_t r = 0; r < rounds; r++) { EACH_CHAIN(STEP) EACH_CHAIN(KEEP) }          \
    real sum = 0;                                                                       \
    EACH_CHAIN(SUM)                                                                     \
    return sum;                                                                         \
  }

#if defined(__x86_64__)
BURST(burst_avx512, __attribute__((target("arch=x86-64-v4,prefer-vector-width=512"))), 64)
BURST(burst_avx2, __attribute__((target("arch=x86-64-v3"))), 32)
#endif
BURST(burst_plain, , 16)

typedef struct { int64_t rounds; real (*burst)(int64_t); } fma_job;

static void fma_block(void *context, int64_t block, int worker) {
  static _Atomic int sink;
  const fma_job *j = context;
  (void)block, (void)worker;
  if (j->burst(j->rounds) > 1e30) atomic_store_explicit(&sink, 1, memory_order_relaxed);
}

double cr_limits_fma(int64_t blocks, int64_t rounds) {
  fma_job j = { rounds, burst_plain };
  int64_t bytes = 16;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) j.burst = burst_avx2, bytes = 32;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")) j.burst = burst_avx512, bytes = 64;
#endif
  cr_pool_run(blocks, fma_block, &j);
  return 2.0 * CHAINS * (double)(bytes / (int64_t)sizeof(real)) * (double)rounds * (double)blocks;
}

typedef struct { real s, *a; const real *b, *c; } triad_job;

CR_VECTOR static void triad_range(void *context, int64_t begin, int64_t end) {
  const triad_job *j = context;
  real s = j->s, *restrict a = j->a;
  const real *restrict b = j->b, *restrict c = j->c;
  for (int64_t i = begin; i < end; i++) a[i] = b[i] + s * c[i];
}

void cr_limits_triad(int64_t n, real s, real *a, const real *b, const real *c) {
  triad_job j = { s, a, b, c };
  cr_pool_for(n, 1 << 18, triad_range, &j);
}
