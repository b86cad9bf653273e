/* probe.c - crun.limits: what this machine can do, for crun bench
 *
 *   crun.limits.fma()         GFLOP/s of fused multiply-adds on all threads of the pool: the best of 60 bursts
 *   crun.limits.triad()       GB/s of a = b + s c over 256 MB on all threads: the median of nine
 *   crun.limits.fork(us)      microseconds of { nothing on each thread, `us` of work in the caller alone, the same work
 *                             cut in two blocks }
 *   crun.limits.gemm(m, n, k, tb)                GFLOP/s of the matrix product: the median of some
 *   crun.limits.conv(images, channels, filters, side, pass, algorithm)
 *                             GFLOP/s, counted as the direct algorithm would, of a 3 x 3 convolution with a border of 1;
 *                             pass: "forward", "grad_x" or "grad_weight"; algorithm: "auto", "direct", "winograd" or
 *                             "columns"; and the name of the one that was used */
#include <stdlib.h>
#include <time.h>

#include "base/memory.h"
#include "base/pool.h"
#include "bind/bind.h"
#include "kernels/conv_nhwc.h"
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
  for (int i = 0; i < 60; i++) {
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

/* GFLOP/s of work(context), the median of runs that take 0.2 seconds or so together. */
static double rate(double flops, void (*work)(const void *context), const void *context) {
  enum { MOST = 101 };
  double took[MOST], spent = 0;
  int times = 0;
  work(context);
  for (; times < MOST && (times < 5 || spent < 0.2); times++) {
    double started = now();
    work(context);
    spent += took[times] = now() - started;
  }
  return flops / median(took, times) / 1e9;
}

typedef struct { bool tb; int64_t m, n, k; const real *a, *b; real *c; } product;

static void multiply(const void *context) {
  const product *p = context;
  cr_gemm(false, p->tb, p->m, p->n, p->k, p->a, p->k, p->b, p->tb ? p->k : p->n, false, p->c, p->n);
}

static int gemm_rate(lua_State *L) {
  int64_t m = luaL_checkinteger(L, 1), n = luaL_checkinteger(L, 2), k = luaL_checkinteger(L, 3);
  luaL_argcheck(L, m > 0 && n > 0 && k > 0 && m < 1 << 14 && n < 1 << 14 && k < 1 << 14, 1, "sizes of 1 to 16383");
  real *a = arrays(L, "limits.gemm", (size_t)(m * k), (size_t)(k * n), (size_t)(m * n));
  product p = { lua_toboolean(L, 4), m, n, k, a, a + m * k, a + m * k + k * n };
  lua_pushnumber(L, rate(2.0 * (double)m * (double)n * (double)k, multiply, &p));
  cr_free(a);
  return 1;
}

typedef struct {
  cr_conv v;
  cr_conv_pass pass;
  real *x, *w, *y;
  void *scratch;
} convolution;

static void convolve(const void *context) {
  const convolution *c = context;
  switch (c->pass) {
    case CR_CONV_FORWARD: cr_conv_nhwc_forward(&c->v, c->x, c->w, NULL, c->y, NULL, c->scratch); break;
    case CR_CONV_GRAD_X: cr_conv_nhwc_grad_x(&c->v, c->w, c->y, c->x, c->scratch); break;
    case CR_CONV_GRAD_WEIGHT: cr_conv_nhwc_grad_weight(&c->v, c->x, c->y, c->w, c->scratch); break;
  }
}

static int conv_rate(lua_State *L) {
  static const char *const passes[] = { "forward", "grad_x", "grad_weight", NULL };
  static const char *const algorithms[] = { "auto", "direct", "winograd", "columns", NULL };
  int64_t size[4];
  for (int i = 0; i < 4; i++) {
    size[i] = luaL_checkinteger(L, i + 1);
    luaL_argcheck(L, size[i] > 0 && size[i] <= 1024, i + 1, "1 to 1024");
  }
  int64_t images = size[0], channels = size[1], filters = size[2], side = size[3];
  convolution c = { .pass = (cr_conv_pass)luaL_checkoption(L, 5, NULL, passes) };
  c.v = (cr_conv){ .images = images, .channels = channels, .filters = filters, .groups = 1,
    .window = { .in = { side, side }, .kernel = { 3, 3 }, .stride = { 1, 1 }, .padding = { 1, 1 },
                .dilation = { 1, 1 }, .out = { side, side } },
    .algorithm = (cr_conv_algorithm)luaL_checkoption(L, 6, "auto", algorithms) };
  size_t in = (size_t)(images * side * side * channels), out = (size_t)(images * side * side * filters),
         weights = (size_t)(9 * channels * filters), aligned = (in + 15) / 16 * 16;
  real *data = arrays(L, "limits.conv", aligned, (weights + 15) / 16 * 16, out);
  c.x = data, c.w = data + aligned, c.y = c.w + (weights + 15) / 16 * 16;
  cr_error err;
  c.scratch = cr_alloc(cr_conv_nhwc_scratch(&c.v, c.pass), &err);
  if (c.scratch == NULL) {
    cr_free(data);
    return cr_bind_error(L, "limits.conv", &err);
  }
  double flops = 18.0 * (double)(images * side * side) * (double)(channels * filters);
  lua_pushnumber(L, rate(flops, convolve, &c));
  lua_pushstring(L, algorithms[cr_conv_choose(&c.v, c.pass)]);
  cr_free(c.scratch);
  cr_free(data);
  return 2;
}


void cr_bind_probe_open(lua_State *L, int crun) {
  static const luaL_Reg functions[] = {
    { "fma", fma_peak }, { "triad", triad }, { "fork", fork_cost }, { "gemm", gemm_rate }, { "conv", conv_rate },
    { NULL, NULL }
  };
  luaL_newlib(L, functions);
  lua_setfield(L, crun, "limits");
}
