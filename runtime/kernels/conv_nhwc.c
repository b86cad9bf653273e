/* conv_nhwc.c - see conv_nhwc.h */
#include "kernels/conv_nhwc.h"

#include "base/pool.h"
#include "kernels/conv_columns.h"
#include "kernels/conv_direct.h"
#include "kernels/conv_entry.h"
#include "kernels/winograd.h"

enum { SUM_BLOCKS = 64 };

/* Sums of y in a pass of its own, for the ways that do not take them as they write */
typedef struct {
  int64_t rows, filters, rows_a_block, blocks;
  const real *y;
  double *part;
} sum_job;

static sum_job sums_of(const cr_conv *v) {
  sum_job j = { .rows = v->images * v->window.out[0] * v->window.out[1], .filters = v->filters };
  j.rows_a_block = j.rows / SUM_BLOCKS + 1;
  j.blocks = (j.rows + j.rows_a_block - 1) / j.rows_a_block;
  return j;
}

CR_VECTOR static void add_rows(int64_t rows, int64_t filters, const real *restrict y,
                               double *restrict sum, double *restrict squares) {
  for (int64_t o = 0; o < filters; o++) sum[o] = squares[o] = 0;
  for (int64_t r = 0; r < rows; r++)
    for (int64_t o = 0; o < filters; o++) {
      double value = (double)y[r*filters + o];
      sum[o] += value, squares[o] += value * value;
    }
}

static void sum_block(void *context, int64_t block, int worker) {
  const sum_job *j = context;
  int64_t first = block * j->rows_a_block, n = j->rows - first;
  double *part = j->part + 2 * block * j->filters;
  (void)worker;
  add_rows(n < j->rows_a_block ? n : j->rows_a_block, j->filters,
           j->y + first * j->filters, part, part + j->filters);
}

void cr_conv_add_parts(int64_t blocks, int64_t filters, const double *part, double *sums) {
  for (int64_t o = 0; o < 2*filters; o++) {
    double sum = 0;
    for (int64_t b = 0; b < blocks; b++) sum += part[2*b*filters + o];
    sums[o] = sum;
  }
}

size_t cr_conv_nhwc_ready_bytes(const cr_conv *v) {
  switch (cr_conv_choose(v, CR_CONV_FORWARD)) {
    case CR_CONV_WINOGRAD: return cr_winograd_ready_bytes(v);
    case CR_CONV_DIRECT: return cr_conv_direct_ready_bytes(v);
    default: return cr_conv_columns_ready_bytes(v);
  }
}

void cr_conv_nhwc_ready(const cr_conv *v, const real *weight, void *ready) {
  switch (cr_conv_choose(v, CR_CONV_FORWARD)) {
    case CR_CONV_WINOGRAD: cr_winograd_ready(v, weight, ready); return;
    case CR_CONV_DIRECT: cr_conv_direct_ready(v, weight, ready); return;
    default: cr_conv_columns_ready(v, weight, ready); return;
  }
}

/* Of forward's scratch, the part that holds the weights */
static size_t ready_part(const cr_conv *v) {
  return (cr_conv_nhwc_ready_bytes(v) + 63) & ~(size_t)63;
}

size_t cr_conv_nhwc_scratch(const cr_conv *v, cr_conv_pass pass) {
  size_t ready = pass == CR_CONV_FORWARD ? ready_part(v) : 0;
  switch (cr_conv_choose(v, pass)) {
    case CR_CONV_WINOGRAD: return ready + cr_winograd_scratch(v, pass);
    case CR_CONV_DIRECT: return ready + cr_conv_direct_scratch(v, pass);
    default: break;
  }
  if (pass == CR_CONV_FORWARD)
    return ready + (size_t)(2 * SUM_BLOCKS * v->filters) * sizeof(double);
  return cr_conv_columns_scratch(v, pass);
}

bool cr_conv_nhwc_fuses(const cr_conv *v, cr_conv_pass pass) {
  return cr_conv_choose(v, pass) == CR_CONV_WINOGRAD;
}

static void convolve(const cr_conv *v, const real *x, const void *ready, const real *bias, real *y,
                     double *sums, void *scratch) {
  switch (cr_conv_choose(v, CR_CONV_FORWARD)) {
    case CR_CONV_WINOGRAD: cr_winograd_forward(v, x, ready, bias, y, sums, scratch); return;
    case CR_CONV_DIRECT: cr_conv_direct_forward(v, x, ready, bias, y, sums, scratch); return;
    default: break;
  }
  cr_conv_columns_forward(v, x, ready, bias, y);
  if (sums == NULL) return;
  sum_job j = sums_of(v);
  j.y = y, j.part = scratch;
  cr_pool_run(j.blocks, sum_block, &j);
  cr_conv_add_parts(j.blocks, v->filters, j.part, sums);
}

void cr_conv_nhwc_forward(const cr_conv *v, const real *x, const real *weight, const real *bias,
                          real *y, double *sums, void *scratch) {
  cr_conv_nhwc_ready(v, weight, scratch);
  convolve(v, x, scratch, bias, y, sums, (char *)scratch + ready_part(v));
}

void cr_conv_nhwc_forward_ready(const cr_conv *v, const real *x, const void *ready,
                                const real *bias, real *y, void *scratch) {
  convolve(v, x, ready, bias, y, NULL, scratch);
}

void cr_conv_nhwc_grad_x(const cr_conv *v, const real *weight, const real *gy, real *gx,
                         void *scratch) {
  switch (cr_conv_choose(v, CR_CONV_GRAD_X)) {
    case CR_CONV_WINOGRAD: cr_winograd_grad_x(v, weight, gy, gx, scratch); return;
    case CR_CONV_DIRECT: cr_conv_direct_grad_x(v, weight, gy, gx, scratch); return;
    default: cr_conv_columns_grad_x(v, weight, gy, gx, scratch); return;
  }
}

void cr_conv_nhwc_grad_weight(const cr_conv *v, const real *x, const real *gy, real *gw,
                              void *scratch) {
  switch (cr_conv_choose(v, CR_CONV_GRAD_WEIGHT)) {
    case CR_CONV_WINOGRAD: cr_winograd_grad_weight(v, x, gy, gw, scratch); return;
    case CR_CONV_DIRECT: cr_conv_direct_grad_weight(v, x, gy, gw, scratch); return;
    default: cr_conv_columns_grad_weight(v, x, gy, gw, scratch); return;
  }
}

const cr_conv_kernels *cr_conv_kernels_here(void) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")
      && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")
      && __builtin_cpu_supports("avx512cd"))
    return &cr_conv_avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
      && __builtin_cpu_supports("bmi2"))
    return &cr_conv_avx2;
#endif
  return &cr_conv_plain;
}
