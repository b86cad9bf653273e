/* conv.c - what convolution on NHWC memory reaches, pass by pass and way by way
 *
 *   gcc -std=gnu11 -O3 -fno-math-errno -fno-trapping-math -Iruntime tests/bench/conv.c runtime/kernels/{conv*,winograd*,im2col,gemm*}.c runtime/base/{pool,error}.c -lpthread -lm -o build/bench_conv
 *   build/bench_conv [LAYER [WAY [PASS]]]       LAYER: beginning of a name below; WAY: 0 auto, 1 direct, 2 winograd, 3 columns
 *
 * Each line: milliseconds and GFLOP/s on one thread and on two, the best of some turns taken alternately; the ratio; and the
 * way the cost model took. GFLOP/s count the products of the definition, so Winograd may pass the processor's peak. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/pool.h"
#include "kernels/conv_nhwc.h"

typedef struct { const char *name; int images, in[2], channels, filters, kernel, stride; } layer;

static const layer layers[] = {
  { "b1", 64, { 64, 64 }, 1, 32, 3, 1 },     { "b2", 64, { 32, 32 }, 32, 64, 3, 1 },
  { "b3", 64, { 16, 16 }, 64, 128, 3, 1 },   { "b4", 64, { 8, 8 }, 128, 128, 3, 1 },
  { "c1", 64, { 112, 92 }, 1, 32, 3, 1 },    { "c2", 64, { 56, 46 }, 32, 64, 3, 1 },
  { "c3", 64, { 28, 23 }, 64, 128, 3, 1 },   { "c4", 64, { 14, 11 }, 128, 128, 3, 1 },
  { "d.stem", 256, { 32, 32 }, 3, 16, 3, 1 },{ "d.16", 256, { 32, 32 }, 16, 16, 3, 1 },
  { "d.32", 256, { 16, 16 }, 32, 32, 3, 1 }, { "d.64", 256, { 8, 8 }, 64, 64, 3, 1 },
  { "d.16-32", 256, { 32, 32 }, 16, 32, 3, 2 }, { "d.32-64", 256, { 16, 16 }, 32, 64, 3, 2 },
  { "d.1x1a", 256, { 32, 32 }, 16, 32, 1, 2 },  { "d.1x1b", 256, { 16, 16 }, 32, 64, 1, 2 },
};

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static real *filled(int64_t n) {
  size_t huge = 2 << 20, bytes = ((size_t)n * sizeof(real) + huge) / huge * huge;
  real *x = aligned_alloc(huge, bytes);         /* as base/memory.c has large blocks */
  if (x == NULL) exit(1);
  madvise(x, bytes, MADV_HUGEPAGE);
  for (int64_t i = 0; i < n; i++) x[i] = (real)(i % 17) / 17 - (real)0.5;
  return x;
}

static const char *const way_name[] = { "auto", "direct", "winograd", "columns" };
static const char *const pass_name[] = { "forward", "grad x", "grad w" };

static void measure(const layer *l, int way, int pass) {
  cr_conv v = { .images = l->images, .channels = l->channels, .filters = l->filters, .groups = 1,
                .algorithm = (cr_conv_algorithm)way };
  for (int s = 0; s < 2; s++) {
    v.window.in[s] = l->in[s], v.window.kernel[s] = l->kernel, v.window.stride[s] = l->stride;
    v.window.padding[s] = l->kernel / 2, v.window.dilation[s] = 1;
  }
  cr_window_set(&v.window, false, NULL);
  int64_t positions = v.images * v.window.out[0] * v.window.out[1];
  int64_t nx = v.images * v.window.in[0] * v.window.in[1] * v.channels, ny = positions * v.filters;
  int64_t nw = v.filters * v.channels * l->kernel * l->kernel;
  real *x = filled(nx), *y = filled(ny), *w = filled(nw), *out = filled(pass == 0 ? ny : pass == 1 ? nx : nw);
  void *scratch = filled((int64_t)(cr_conv_nhwc_scratch(&v, (cr_conv_pass)pass) / sizeof(real)) + 1);
  double *sums = calloc((size_t)(2 * v.filters), sizeof *sums), best[2] = { 1e9, 1e9 };
  double flops = 2.0 * (double)positions * (double)nw, until = now() + 0.35;
  for (int turn = 0; turn < 4 || now() < until; turn++)
    for (int t = 0; t < 2; t++) {
      cr_pool_set_threads(t + 1, NULL);
      for (int again = 0; again < 3; again++) {
        double start = now();
        if (pass == 0) cr_conv_nhwc_forward(&v, x, w, NULL, out, sums, scratch);
        else if (pass == 1) cr_conv_nhwc_grad_x(&v, w, y, out, scratch);
        else cr_conv_nhwc_grad_weight(&v, x, y, out, scratch);
        double took = now() - start;
        if (took < best[t] && again > 0) best[t] = took;
      }
    }
  printf("%-8s %-8s %8.3f ms %6.1f GF   %8.3f ms %6.1f GF   %4.2f   %s\n", l->name, pass_name[pass], best[0] * 1e3,
         flops / best[0] * 1e-9, best[1] * 1e3, flops / best[1] * 1e-9, best[0] / best[1],
         way_name[cr_conv_choose(&v, (cr_conv_pass)pass)]);
  fflush(stdout);
  free(x), free(y), free(w), free(out), free(scratch), free(sums);
}

int main(int argc, char **argv) {
  printf("layer    pass       one thread              two threads          ratio   way\n");
  for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
    if (argc > 1 && strncmp(argv[1], layers[i].name, strlen(argv[1])) != 0) continue;
    for (int pass = 0; pass < 3; pass++) {
      if (argc > 3 && atoi(argv[3]) != pass) continue;
      if (pass == 1 && layers[i].channels < 4) continue;      /* the first layer has no such pass in training */
      measure(&layers[i], argc > 2 ? atoi(argv[2]) : 0, pass);
    }
  }
  return 0;
}
