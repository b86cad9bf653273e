/* vmath_test.c - the vectorised functions: a few ulp, right at the edges; sums and broadcasts: the same bits for any number of
 * threads */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "kernels/elementwise.h"
#include "kernels/reduce.h"
#include "kernels/row_softmax.h"
#include "kernels/vmath.h"

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double softplus(double x) { return x > 40 ? x : log1p(exp(x)); }

static inline real exp_at(cr_point e) { return cr_exp(e.x); }
static inline real expm1_at(cr_point e) { return cr_expm1(e.x); }
static inline real log_at(cr_point e) { return cr_log(e.x); }
static inline real log1p_at(cr_point e) { return cr_log1p(e.x); }
static inline real tanh_at(cr_point e) { return cr_tanh(e.x); }
static inline real erf_at(cr_point e) { return cr_erf(e.x); }
static inline real sigmoid_at(cr_point e) { return cr_sigmoid(e.x); }
static inline real softplus_at(cr_point e) { return cr_softplus(e.x); }

/* as operators use them: in vectorised loops */
CR_LOOP(exp_loop, real, exp_at)
CR_LOOP(expm1_loop, real, expm1_at)
CR_LOOP(log_loop, real, log_at)
CR_LOOP(log1p_loop, real, log1p_at)
CR_LOOP(tanh_loop, real, tanh_at)
CR_LOOP(erf_loop, real, erf_at)
CR_LOOP(sigmoid_loop, real, sigmoid_at)
CR_LOOP(softplus_loop, real, softplus_at)

static const struct { const char *name; cr_loop_fn loop; double (*exact)(double); double ulps; } functions[] = {
  { "exp", exp_loop, exp, 2 },          { "expm1", expm1_loop, expm1, 3 },
  { "log", log_loop, log, 2 },          { "log1p", log1p_loop, log1p, 3 },
  { "tanh", tanh_loop, tanh, 3 },       { "erf", erf_loop, erf, 3 },
  { "sigmoid", sigmoid_loop, sigmoid, 4 }, { "softplus", softplus_loop, softplus, 4 },
};
enum { FUNCTIONS = sizeof functions / sizeof *functions };

static void run(cr_loop_fn loop, int64_t n, const real *x, real *y) {
  const double option[2] = { 0, 0 };
  loop(n, y, (const void *const[CR_SLOTS]){ x, x, x, x, x }, option);
}

/* The distance between neighbours near want, as a float */
static double ulp(double want) {
  float size = fabsf((float)want);
  return size < FLT_MIN ? (double)FLT_TRUE_MIN : (double)(nextafterf(size, INFINITY) - size);
}

/* One in 509 of all floats, of either sign, denormals, infinities and nans among them */
static void test_accuracy(void **state) {
  (void)state;
  enum { BATCH = 1000 };
  real x[BATCH], y[BATCH];
  for (int f = 0; f < FUNCTIONS; f++) {
    uint64_t bits = 0;
    while (bits < UINT64_C(1) << 32) {
      int64_t n = 0;
      for (; n < BATCH && bits < UINT64_C(1) << 32; bits += 509) {
        uint32_t word = (uint32_t)bits;
        float value;
        memcpy(&value, &word, sizeof value);
        x[n++] = (real)value;
      }
      run(functions[f].loop, n, x, y);
      for (int64_t i = 0; i < n; i++) {
        double want = functions[f].exact((double)x[i]), got = (double)y[i];
        if (isnan(want) ? isnan(got) : isinf((float)want) ? (float)got == (float)want
                        : fabs(got - want) <= functions[f].ulps * ulp(want)) continue;
        fail_msg("%s(%a) = %.9g, want %.9g", functions[f].name, (double)x[i], got, want);
      }
    }
  }
}

static void test_zeros_keep_their_sign(void **state) {
  (void)state;
  real x[2] = { 0, (real)-0.0 }, y[2];
  cr_loop_fn odd[] = { expm1_loop, log1p_loop, tanh_loop, erf_loop };
  for (int f = 0; f < 4; f++) {
    run(odd[f], 2, x, y);
    assert_true(y[0] == 0 && !signbit(y[0]));
    assert_true(y[1] == 0 && signbit(y[1]));
  }
}

static real *filled(int64_t n, unsigned seed) {
  real *x = malloc((size_t)n * sizeof(real));
  assert_non_null(x);
  for (int64_t i = 0; i < n; i++) {
    seed = seed * 1664525u + 1013904223u;
    x[i] = (real)((double)(seed >> 8) / (1 << 23) - 1);
  }
  return x;
}

/* Sums over every set of dimensions, against a plain loop, and bit for bit with 1, 2 and 3 threads */
static void check_sum(int ndim, const int64_t *shape, unsigned set) {
  bool reduced[CR_SHAPE_MAX] = { false };
  int64_t numel = 1;
  for (int d = 0; d < ndim; d++) reduced[d] = set >> d & 1, numel *= shape[d];
  cr_reduction r;
  cr_reduction_init(&r, ndim, shape, reduced);
  real *x = filled(numel, 7), *out[3];
  double *want = calloc((size_t)r.rows, sizeof *want);
  void *scratch = malloc(cr_kernel_sum_bytes(&r) + 1);
  for (int64_t i = 0; i < numel; i++) {
    int64_t row = 0, rest = i, step = 1;
    for (int d = ndim - 1; d >= 0; d--) {
      if (!reduced[d]) row += rest % shape[d] * step, step *= shape[d];
      rest /= shape[d];
    }
    want[row] += (double)x[i];
  }
  for (int t = 0; t < 3; t++) {
    assert_true(cr_pool_set_threads(t + 1, NULL));
    out[t] = malloc((size_t)r.rows * sizeof(real));
    cr_kernel_sum(&r, x, 0.5, out[t], scratch);
    for (int64_t i = 0; i < r.rows; i++)
      assert_true(fabs((double)out[t][i] - 0.5 * want[i]) <= 1e-6 * (1 + fabs(want[i])));
    assert_memory_equal(out[t], out[0], (size_t)r.rows * sizeof(real));
  }
  for (int t = 0; t < 3; t++) free(out[t]);
  free(x), free(want), free(scratch);
}

static void test_sums(void **state) {
  (void)state;
  static const int64_t shapes[][4] = {
    { 1, 1, 1, 1 }, { 2, 3, 4, 5 }, { 7, 1, 300, 2 }, { 40, 30, 20, 11 }, { 3, 2, 1, 100000 }, { 100000, 1, 3, 2 },
    { 9, 70, 1, 600 },
  };
  for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
    for (unsigned set = 0; set < 16; set++) check_sum(4, shapes[s], set);
}

static inline real product(cr_point e) { return e.x * e.y; }
CR_LOOP(products, real, product)

static void test_broadcast_bits(void **state) {
  (void)state;
  const int64_t shape[2] = { 401, 523 }, packed[2] = { 523, 1 }, column_shape[2] = { 401, 1 }, column[2] = { 1, 1 };
  real *x = filled(401 * 523, 1), *y = filled(401, 2), *out = malloc(401 * 523 * sizeof(real));
  const double option[2] = { 0, 0 };
  for (int threads = 1; threads <= 3; threads++) {
    assert_true(cr_pool_set_threads(threads, NULL));
    cr_operand in[CR_SLOTS] = { { x, sizeof(real), 2, shape, packed }, { y, sizeof(real), 2, column_shape, column } };
    memset(out, 0, 401 * 523 * sizeof(real));
    cr_kernel_broadcast(products, out, sizeof(real), 2, shape, in, option);
    for (int64_t i = 0; i < 401 * 523; i++) assert_true(out[i] == x[i] * y[i / 523]);
  }
  free(x), free(y), free(out);
}

/* Largest and smallest at every length around the vector width, with a nan at every place */
static void test_extremes(void **state) {
  (void)state;
  for (int64_t n = 1; n < 70; n++) {
    real *x = filled(n, (unsigned)n), most = x[0], least = x[0];
    for (int64_t i = 1; i < n; i++) {
      if (x[i] > most) most = x[i];
      if (x[i] < least) least = x[i];
    }
    assert_true(cr_kernel_row_max(x, n) == most && cr_kernel_row_min(x, n) == least);
    for (int64_t i = 0; i < n; i++) {
      real kept = x[i];
      x[i] = NAN;
      assert_true(isnan(cr_kernel_row_max(x, n)) && isnan(cr_kernel_row_min(x, n)));
      assert_true(cr_kernel_row_find(x, n, NAN) == i);
      x[i] = kept;
    }
    free(x);
  }
}

static void test_softmax_rows(void **state) {
  (void)state;
  for (int64_t n = 1; n < 1000; n += 83) {
    real *x = filled(n, 5), *y = malloc((size_t)n * sizeof(real));
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += exp((double)x[i]);
    assert_true(fabs((double)cr_kernel_row_logsumexp(x, n) - log(sum)) < 2e-6);
    cr_kernel_row_softmax(x, n, y);
    for (int64_t i = 0; i < n; i++) assert_true(fabs((double)y[i] - exp((double)x[i]) / sum) < 1e-6);
    cr_kernel_row_log_softmax(x, n, y);
    for (int64_t i = 0; i < n; i++) assert_true(fabs((double)y[i] - ((double)x[i] - log(sum))) < 4e-6);
    free(x), free(y);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_accuracy),
    cmocka_unit_test(test_zeros_keep_their_sign),
    cmocka_unit_test(test_extremes),
    cmocka_unit_test(test_softmax_rows),
    cmocka_unit_test(test_sums),
    cmocka_unit_test(test_broadcast_bits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
