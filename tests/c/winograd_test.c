/* winograd_test.c - convolution on NHWC memory, every way against the definition in double
 *
 * The error bounds are twice what conv_nhwc.h states, relative to the result's largest element. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "kernels/conv_nhwc.h"

typedef struct {
  int images, in[2], channels, filters, kernel[2], stride, padding, dilation;
} shape;

static const shape shapes[] = {
  { 3, { 8, 8 }, 16, 16, { 3, 3 }, 1, 1, 1 },
  { 2, { 13, 7 }, 32, 48, { 3, 3 }, 1, 1, 1 },
  { 7, { 5, 6 }, 16, 80, { 3, 3 }, 1, 0, 1 },
  { 2, { 9, 10 }, 48, 16, { 3, 3 }, 1, 2, 1 },
  { 1, { 28, 23 }, 128, 64, { 3, 3 }, 1, 1, 1 },
  { 1, { 4, 4 }, 400, 32, { 3, 3 }, 1, 1, 1 },
  { 1, { 3, 1 }, 16, 16, { 3, 3 }, 1, 1, 1 },
  { 2, { 40, 33 }, 1, 32, { 3, 3 }, 1, 1, 1 },
  { 2, { 16, 17 }, 3, 16, { 3, 3 }, 1, 1, 1 },
  { 2, { 8, 9 }, 20, 24, { 3, 3 }, 1, 1, 1 },
  { 2, { 16, 15 }, 16, 32, { 3, 3 }, 2, 1, 1 },
  { 2, { 16, 15 }, 16, 32, { 1, 1 }, 2, 0, 1 },
  { 2, { 7, 9 }, 17, 33, { 1, 1 }, 1, 0, 1 },
  { 2, { 12, 11 }, 5, 7, { 5, 4 }, 3, 2, 1 },
  { 2, { 12, 11 }, 6, 10, { 3, 3 }, 1, 2, 2 },
  { 2, { 12, 11 }, 6, 10, { 2, 3 }, 2, 1, 3 },
  { 2, { 3, 70 }, 40, 5, { 3, 3 }, 1, 1, 1 },
  { 5, { 6, 5 }, 4, 6, { 6, 5 }, 1, 0, 1 },
  { 0, { 8, 8 }, 16, 16, { 3, 3 }, 1, 1, 1 },
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static cr_conv conv_of(const shape *s) {
  cr_conv v = { .images = s->images, .channels = s->channels, .filters = s->filters, .groups = 1 };
  for (int i = 0; i < 2; i++) {
    v.window.in[i] = s->in[i], v.window.kernel[i] = s->kernel[i], v.window.stride[i] = s->stride;
    v.window.padding[i] = s->padding, v.window.dilation[i] = s->dilation;
  }
  cr_error err;
  assert_true(cr_window_set(&v.window, false, &err));
  return v;
}

static int64_t x_size(const cr_conv *v) {
  return v->images * v->window.in[0] * v->window.in[1] * v->channels;
}
static int64_t y_size(const cr_conv *v) {
  return v->images * v->window.out[0] * v->window.out[1] * v->filters;
}
static int64_t w_size(const cr_conv *v) {
  return v->filters * v->channels * v->window.kernel[0] * v->window.kernel[1];
}

static real *filled(int64_t n, unsigned seed) {
  real *x = aligned_alloc(64, ((size_t)n * sizeof(real) + 127) / 64 * 64);
  assert_non_null(x);
  for (int64_t i = 0; i < n; i++) {
    seed = seed * 1664525u + 1013904223u;
    x[i] = (real)((double)(seed >> 8) / (1 << 23) - 1);
  }
  return x;
}

static void *scratch_of(const cr_conv *v, cr_conv_pass pass) {
  return filled((int64_t)(cr_conv_nhwc_scratch(v, pass) / sizeof(real)), 77);
}

/* to += the definition's products, of a pass's two inputs */
typedef struct { const real *a, *b; double *to; int pass; } sum;

static void definition(const cr_conv *v, sum *s) {
  const cr_window *w = &v->window;
  int64_t C = v->channels, O = v->filters, K = w->kernel[0], L = w->kernel[1];
  for (int64_t n = 0; n < v->images; n++)
    for (int64_t p = 0; p < w->out[0]; p++)
      for (int64_t q = 0; q < w->out[1]; q++)
        for (int64_t i = 0; i < K; i++)
          for (int64_t j = 0; j < L; j++) {
            int64_t row = p * w->stride[0] - w->padding[0] + i * w->dilation[0];
            int64_t column = q * w->stride[1] - w->padding[1] + j * w->dilation[1];
            if (row < 0 || row >= w->in[0] || column < 0 || column >= w->in[1]) continue;
            int64_t ix = ((n * w->in[0] + row) * w->in[1] + column) * C;
            int64_t iy = ((n * w->out[0] + p) * w->out[1] + q) * O;
            for (int64_t o = 0; o < O; o++)
              for (int64_t c = 0; c < C; c++) {
                int64_t iw = ((o*C + c) * K + i) * L + j;
                if (s->pass == CR_CONV_FORWARD)
                  s->to[iy + o] += (double)s->a[ix + c] * (double)s->b[iw];
                else if (s->pass == CR_CONV_GRAD_X)
                  s->to[ix + c] += (double)s->a[iy + o] * (double)s->b[iw];
                else
                  s->to[iw] += (double)s->a[ix + c] * (double)s->b[iy + o];
              }
          }
}

static void compare(const char *what, int64_t n, const double *want, const real *got,
                    double bound) {
  double largest = 0, worst = 0;
  for (int64_t i = 0; i < n; i++) {
    largest = fmax(largest, fabs(want[i]));
    double e = fabs((double)got[i] - want[i]);
    worst = e > worst || isnan(e) ? e : worst;
  }
  if (!(worst <= bound * largest)) fail_msg("%s: error %.3g of %.3g", what, worst, largest);
}

static double bound_of(int algorithm) {
  if (sizeof(real) == 8) return 1e-13;
  return algorithm == CR_CONV_WINOGRAD || algorithm == CR_CONV_AUTO ? 3e-5 : 5e-6;
}

static void check_shape(const shape *s, int algorithm) {
  cr_conv v = conv_of(s);
  v.algorithm = (cr_conv_algorithm)algorithm;
  char what[100];
  real *x = filled(x_size(&v), 1), *w = filled(w_size(&v), 2), *gy = filled(y_size(&v), 3);
  real *bias = filled(v.filters, 4);
  int64_t size[3] = { y_size(&v), x_size(&v), w_size(&v) };
  const real *left[3] = { x, gy, x }, *right[3] = { w, w, gy };
  for (int pass = 0; pass < 3; pass++) {
    snprintf(what, sizeof what, "shape %d, way %d, pass %d", (int)(s - shapes), algorithm, pass);
    double *want = calloc((size_t)size[pass] + 1, sizeof *want);
    real *got = filled(size[pass], 5);
    void *scratch = scratch_of(&v, (cr_conv_pass)pass);
    sum definition_sum = { left[pass], right[pass], want, pass };
    definition(&v, &definition_sum);
    double *sums = calloc((size_t)(2 * v.filters), sizeof *sums);
    if (pass == CR_CONV_FORWARD) {
      for (int64_t i = 0; i < size[0]; i++) want[i] += (double)bias[i % v.filters];
      cr_conv_nhwc_forward(&v, x, w, bias, got, sums, scratch);
      double *sum_want = calloc((size_t)(2 * v.filters), sizeof *sums);
      for (int64_t i = 0; i < size[0]; i++) {
        double y = (double)got[i];
        sum_want[i % v.filters] += y, sum_want[v.filters + i % v.filters] += y * y;
      }
      for (int64_t o = 0; o < v.filters; o++) {
        double most = sqrt(sum_want[v.filters + o] * (double)size[0]) + 1e-300;
        if (fabs(sums[o] - sum_want[o]) > 1e-6 * most) fail_msg("%s: sum", what);
        if (fabs(sums[v.filters + o] - sum_want[v.filters + o]) > 1e-6 * sum_want[v.filters + o])
          fail_msg("%s: sum of squares", what);
      }
      free(sum_want);
    } else if (pass == CR_CONV_GRAD_X) {
      cr_conv_nhwc_grad_x(&v, w, gy, got, scratch);
    } else {
      cr_conv_nhwc_grad_weight(&v, x, gy, got, scratch);
    }
    compare(what, size[pass], want, got, bound_of(algorithm));
    free(want), free(got), free(scratch), free(sums);
  }
  free(x), free(w), free(gy), free(bias);
}

static void every_way_is_the_definition(void **state) {
  (void)state;
  for (int i = 0; i < SHAPES; i++)
    for (int way = CR_CONV_AUTO; way <= CR_CONV_COLUMNS; way++) check_shape(&shapes[i], way);
}

static void has_the_same_bits_on_two_threads_and_alone(void **state) {
  (void)state;
  for (int i = 0; i < SHAPES - 1; i++)
    for (int way = CR_CONV_AUTO; way <= CR_CONV_COLUMNS; way++) {
      shape many = shapes[i];
      many.images = 9;
      cr_conv v = conv_of(&many), one = v;
      v.algorithm = one.algorithm = (cr_conv_algorithm)way;
      one.images = 1;
      int64_t nx = x_size(&v), ny = y_size(&v), nw = w_size(&v);
      real *x = filled(nx, 1), *w = filled(nw, 2), *gy = filled(ny, 3);
      real *y[2] = { filled(ny, 5), filled(ny, 6) }, *gx[2] = { filled(nx, 5), filled(nx, 6) };
      real *gw[2] = { filled(nw, 5), filled(nw, 6) };
      double *sums[2] = { calloc((size_t)(2 * v.filters), 8), calloc((size_t)(2 * v.filters), 8) };
      void *scratch[3];
      for (int pass = 0; pass < 3; pass++) scratch[pass] = scratch_of(&v, (cr_conv_pass)pass);
      for (int t = 0; t < 2; t++) {
        assert_true(cr_pool_set_threads(t + 1, NULL));
        cr_conv_nhwc_forward(&v, x, w, NULL, y[t], sums[t], scratch[0]);
        cr_conv_nhwc_grad_x(&v, w, gy, gx[t], scratch[1]);
        cr_conv_nhwc_grad_weight(&v, x, gy, gw[t], scratch[2]);
      }
      assert_memory_equal(y[0], y[1], (size_t)ny * sizeof(real));
      assert_memory_equal(gx[0], gx[1], (size_t)nx * sizeof(real));
      assert_memory_equal(gw[0], gw[1], (size_t)nw * sizeof(real));
      assert_memory_equal(sums[0], sums[1], (size_t)(2 * v.filters) * sizeof(double));
      cr_conv_nhwc_forward(&one, x + 5 * nx / 9, w, NULL, y[1], NULL, scratch[0]);
      assert_memory_equal(y[0] + 5 * ny / 9, y[1], (size_t)(ny / 9) * sizeof(real));
      cr_conv_nhwc_grad_x(&one, w, gy + 5 * ny / 9, gx[1], scratch[1]);
      assert_memory_equal(gx[0] + 5 * nx / 9, gx[1], (size_t)(nx / 9) * sizeof(real));
      free(x), free(w), free(gy);
      for (int t = 0; t < 2; t++) free(y[t]), free(gx[t]), free(gw[t]), free(sums[t]);
      for (int pass = 0; pass < 3; pass++) free(scratch[pass]);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_way_is_the_definition),
    cmocka_unit_test(has_the_same_bits_on_two_threads_and_alone),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
