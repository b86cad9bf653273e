/* probe.c - crun.limits: what this machine can do, for crun bench
 *
 *   crun.limits.fma()         GFLOP/s of fused multiply-adds on all threads of the pool: the best of ten bursts
 *   crun.limits.triad()       GB/s of a = b + s c over 256 MB on all threads: the median of nine
 *   crun.limits.fork(us)      microseconds of { nothing on each thread, `us` of work in the caller alone, the same work
 *                             cut in two blocks }
 *   crun.limits.gemm(m, n, k, tb)                GFLOP/s of the matrix product: the median of some */
#include <stdlib.h>
#include <time.h>

#include "base/memory.h"
#include "base/pool.h"
#include "bind/bind.h"
#include "kernels/gemm.h"
#include "kernels/limits.h"

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *v, int n) {
  qsort(v, (size_t)n, sizeof *v, by_size);
  return v[n / 2];
}

static int fma_peak(lua_State *L) {
  double best = 0;
  for (int i = 0; i < 10; i++) {
    double started = now(), flops = cr_limits_fma(cr_pool_threads(), 400000), rate = flops / (now() - started);
    if (rate > best) best = rate;
  }
  return lua_pushnumber(L, best / 1e9), 1;
}

/* Three arrays of n numbers, one behind the other; raises where there is no memory. */
static real *arrays(lua_State *L, const char *where, size_t n, size_t m, size_t k) {
  cr_error err;
  real *a = cr_alloc((n + m + k) * sizeof(real), &err);
  if (a == NULL) cr_bind_error(L, where, &err);
  for (size_t i = 0; i < n + m + k; i++) a[i] = (real)(i % 1000) * (real)1e-3;
  return a;
}

static int triad(lua_State *L) {
  enum { TIMES = 9 };
  int64_t n = ((int64_t)256 << 20) / 3 / (int64_t)sizeof(real);
  real *a = arrays(L, "limits.triad", (size_t)n, (size_t)n, (size_t)n);
  double took[TIMES];
  for (int i = 0; i < TIMES; i++) {
    double started = now();
    cr_limits_triad(n, (real)0.5, a, a + n, a + 2 * n);
    took[i] = now() - started;
  }
  cr_free(a);
  cr_memory_trim();
  return lua_pushnumber(L, 3e-9 * (double)n * (double)sizeof(real) / median(took, TIMES)), 1;
}

static double run_time(int64_t blocks, int64_t rounds) {
  enum { TIMES = 301 };
  double took[TIMES];
  for (int i = 0; i < TIMES; i++) {
    double started = now();
    cr_limits_fma(blocks, rounds);
    took[i] = now() - started;
  }
  return 1e6 * median(took, TIMES);
}

static int fork_cost(lua_State *L) {
  double us = luaL_checknumber(L, 1);
  int64_t rounds = (int64_t)(us / run_time(1, 100000) * 100000) + 1;
  lua_pushnumber(L, run_time(cr_pool_threads(), 0));
  lua_pushnumber(L, run_time(1, rounds));
  lua_pushnumber(L, run_time(2, rounds / 2 + 1));
  return 3;
}

static int gemm_rate(lua_State *L) {
  int64_t m = luaL_checkinteger(L, 1), n = luaL_checkinteger(L, 2), k = luaL_checkinteger(L, 3);
  bool tb = lua_toboolean(L, 4);
  luaL_argcheck(L, m > 0 && n > 0 && k > 0 && m < 1 << 14 && n < 1 << 14 && k < 1 << 14, 1, "sizes of 1 to 16383");
  real *a = arrays(L, "limits.gemm", (size_t)(m * k), (size_t)(k * n), (size_t)(m * n));
  double flops = 2.0 * (double)m * (double)n * (double)k, took[101], spent = 0;
  int times = 0;
  for (; times < 101 && (times < 5 || spent < 0.3); times++) {
    double started = now();
    cr_gemm(false, tb, m, n, k, a, k, a + m * k, tb ? k : n, false, a + m * k + k * n, n);
    spent += took[times] = now() - started;
  }
  cr_free(a);
  return lua_pushnumber(L, flops / median(took, times) / 1e9), 1;
}

void cr_bind_probe_open(lua_State *L, int crun);

void cr_bind_probe_open(lua_State *L, int crun) {
  static const luaL_Reg functions[] = {
    { "fma", fma_peak }, { "triad", triad }, { "fork", fork_cost }, { "gemm", gemm_rate }, { NULL, NULL }
  };
  luaL_newlib(L, functions);
  lua_setfield(L, crun, "limits");
}
