/* gemm_test.c - the matrix product: right to rounding, and the same bits however it is cut */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "kernels/gemm.h"
#include "kernels/gemm_entry.h"

static const int sizes[] = { 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 47, 48, 49, 64, 97 };
enum { SIZES = sizeof sizes / sizeof *sizes };

static real *filled(int64_t n, unsigned seed) {
  real *x = malloc((size_t)(n > 0 ? n : 1) * sizeof(real));
  assert_non_null(x);
  for (int64_t i = 0; i < n; i++) {
    seed = seed * 1664525u + 1013904223u;
    x[i] = (real)((double)(seed >> 8) / (1 << 23) - 1);
  }
  return x;
}

static real *garbage(int64_t n) { return filled(n, 99u); }

/* |got - want| <= bound, want in double from the definition */
static void check_product(bool ta, bool tb, int64_t m, int64_t n, int64_t k, bool accumulate) {
  int64_t lda = (ta ? m : k) + 3, ldb = (tb ? k : n) + 1, ldc = n + 2;
  real *a = filled(lda * (ta ? k : m), 1), *b = filled(ldb * (tb ? n : k), 2);
  real *c = garbage(m*ldc), *before = garbage(m*ldc);
  cr_gemm_serial(ta, tb, m, n, k, a, lda, b, ldb, accumulate, c, ldc);
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < ldc; j++) {
      double want = accumulate ? (double)before[i*ldc + j] : 0;
      if (j >= n) {
        assert_memory_equal(&c[i*ldc + j], &before[i*ldc + j], sizeof(real));
        continue;
      }
      for (int64_t p = 0; p < k; p++)
        want += (double)(ta ? a[p*lda + i] : a[i*lda + p]) * (double)(tb ? b[j*ldb + p]
                                                                      : b[p*ldb + j]);
      if (fabs((double)c[i*ldc + j] - want) > (double)CR_REAL_EPSILON * (8 + (double)k))
        fail_msg("%d%d %dx%dx%d at %d,%d: got %.17g, want %.17g", ta, tb, (int)m, (int)n, (int)k,
                 (int)i, (int)j, (double)c[i*ldc + j], want);
    }
  free(a), free(b), free(c), free(before);
}

static void is_right_for_every_shape(void **state) {
  (void)state;
  for (int i = 0; i < SIZES; i++)
    for (int j = 0; j < SIZES; j++)
      for (int l = 0; l < SIZES; l += 1 + (i + j) % 3)
        for (int flags = 0; flags < 8; flags++)
          check_product(flags & 1, flags & 2, sizes[i], sizes[j], sizes[l], flags & 4);
}

static void is_right_past_the_blocks(void **state) {
  (void)state;
  for (int flags = 0; flags < 8; flags++) {
    check_product(flags & 1, flags & 2, 5, 7, 700, flags & 4);
    check_product(flags & 1, flags & 2, 30, 801, 257, flags & 4);
    check_product(flags & 1, flags & 2, 1, 1, 1025, flags & 4);
  }
}

static void of_nothing_is_zero_or_unchanged(void **state) {
  (void)state;
  real c[4] = { 1, 2, 3, 4 }, x = 0;
  cr_gemm(false, false, 2, 2, 0, &x, 1, &x, 2, true, c, 2);
  assert_true(c[0] == 1 && c[3] == 4);
  cr_gemm(false, false, 2, 2, 0, &x, 1, &x, 2, false, c, 2);
  assert_true(c[0] == 0 && c[3] == 0);
  cr_gemm(false, false, 0, 2, 3, &x, 3, &x, 2, false, c, 2);
}

static void has_the_same_bits_on_any_number_of_threads(void **state) {
  (void)state;
  static const int shape[][3] = { { 300, 200, 300 }, { 1, 4000, 400 }, { 4000, 1, 400 }, { 64, 577,
                                                                                           1000 } };
  for (int s = 0; s < 4; s++) {
    int64_t m = shape[s][0], n = shape[s][1], k = shape[s][2];
    real *a = filled(m*k, 3), *b = filled(k*n, 4), *one = garbage(m*n), *many = garbage(m*n);
    assert_true(cr_pool_set_threads(1, NULL));
    cr_gemm(false, true, m, n, k, a, k, b, k, false, one, n);
    for (int threads = 2; threads <= 5; threads++) {
      assert_true(cr_pool_set_threads(threads, NULL));
      cr_gemm(false, true, m, n, k, a, k, b, k, false, many, n);
      assert_memory_equal(one, many, (size_t)(m*n) * sizeof(real));
    }
    free(a), free(b), free(one), free(many);
  }
}

static void does_not_depend_on_the_rows_around(void **state) {
  (void)state;
  enum { M = 61, N = 70, K = 300 };
  real *a = filled(M*K, 5), *b = filled(K*N, 6), *whole = garbage(M*N), *part = garbage(M*N);
  cr_gemm(false, false, M, N, K, a, K, b, N, false, whole, N);
  for (int64_t first = 0; first < M; first += 7)
    for (int64_t m = 1; first + m <= M; m += 5)
      for (int64_t n = 1; n <= N; n += 23) {
        cr_gemm(false, false, m, n, K, a + first*K, K, b, N, false, part, n);
        for (int64_t i = 0; i < m; i++)
          assert_memory_equal(part + i*n, whole + (first + i)*N, (size_t)n * sizeof(real));
      }
  free(a), free(b), free(whole), free(part);
}

static void of_a_matrix_with_itself_is_symmetric(void **state) {
  (void)state;
  enum { N = 203, K = 515 };
  real *x = filled(N*K, 7), *c = garbage(N*N);
  cr_gemm(false, true, N, N, K, x, K, x, K, false, c, N);
  for (int64_t i = 0; i < N; i++)
    for (int64_t j = 0; j < i; j++)
      assert_memory_equal(&c[i*N + j], &c[j*N + i], sizeof(real));
  free(x), free(c);
}

/* all four ways to store the operands, and both instruction sets with fused multiply-add */
static void has_the_same_bits_by_every_way(void **state) {
  (void)state;
  enum { M = 37, N = 59, K = 330 };
  real *a = filled(M*K, 8), *b = filled(K*N, 9), *at = garbage(M*K), *bt = garbage(K*N);
  real *want = garbage(M*N), *got = garbage(M*N);
  for (int64_t i = 0; i < M; i++) for (int64_t p = 0; p < K; p++) at[p*M + i] = a[i*K + p];
  for (int64_t p = 0; p < K; p++) for (int64_t j = 0; j < N; j++) bt[j*K + p] = b[p*N + j];
  cr_gemm_serial(false, false, M, N, K, a, K, b, N, false, want, N);
  for (int ways = 1; ways < 4; ways++) {
    cr_gemm_serial(ways & 1, ways & 2, M, N, K, ways & 1 ? at : a, ways & 1 ? M : K,
                   ways & 2 ? bt : b, ways & 2 ? K : N, false, got, N);
    assert_memory_equal(want, got, M*N * sizeof(real));
  }
#if defined(__x86_64__)
  cr_gemm_plain(false, true, M, N, K, a, K, bt, K, NULL, 0, got, N);
  for (int i = 0; i < M*N; i++)
    assert_true(fabs((double)(got[i] - want[i])) < 100 * (double)CR_REAL_EPSILON);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("avx512f")) {
    cr_gemm_avx2(false, true, M, N, K, a, K, bt, K, NULL, 0, got, N);
    assert_memory_equal(want, got, M*N * sizeof(real));
  }
#endif
  free(a), free(b), free(at), free(bt), free(want), free(got);
}

static void plus_row_starts_from_the_row(void **state) {
  (void)state;
  enum { M = 70, N = 203, K = 300 };
  real *a = filled(M*K, 3), *b = filled(K*N, 4), *row = filled(N, 5);
  real *got = garbage(M*N), *want = garbage(M*N);
  for (int k = 0; k <= K; k += K) {
    for (int64_t i = 0; i < M; i++) for (int64_t j = 0; j < N; j++) want[i*N + j] = row[j];
    cr_gemm(false, false, M, N, k, a, K, b, N, true, want, N);
    cr_gemm_plus_row(false, false, M, N, k, a, K, b, N, row, got, N);
    assert_memory_equal(want, got, M*N * sizeof(real));
  }
  free(a), free(b), free(row), free(got), free(want);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(is_right_for_every_shape),
    cmocka_unit_test(is_right_past_the_blocks),
    cmocka_unit_test(of_nothing_is_zero_or_unchanged),
    cmocka_unit_test(has_the_same_bits_on_any_number_of_threads),
    cmocka_unit_test(does_not_depend_on_the_rows_around),
    cmocka_unit_test(of_a_matrix_with_itself_is_symmetric),
    cmocka_unit_test(has_the_same_bits_by_every_way),
    cmocka_unit_test(plus_row_starts_from_the_row),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
