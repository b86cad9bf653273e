/* core_test.c - the allocator, the pool and the graph where Lua cannot reach */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "autograd/graph.h"
#include "base/memory.h"
#include "base/pool.h"
#include "tensor/tensor.h"

static void blocks_are_aligned_and_reused(void **state) {
  (void)state;
  cr_error err;
  for (size_t bytes = 1; bytes < (1u << 22); bytes = bytes * 3 + 1) {
    unsigned char *p = cr_alloc(bytes, &err);
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % 64, 0);
    memset(p, 0xA5, bytes);
    cr_free(p);
    uint64_t before = cr_memory().system_calls;
    unsigned char *again = cr_alloc(bytes, &err);
#ifndef CR_NO_CACHE
    assert_ptr_equal(again, p);
    assert_int_equal(cr_memory().system_calls, before);
#endif
    cr_free(again);
  }
}

static void live_bytes_come_back_to_where_they_were(void **state) {
  (void)state;
  cr_error err;
  size_t before = cr_memory().live_bytes;
  void *block[100];
  for (int i = 0; i < 100; i++) block[i] = cr_alloc((size_t)(i * 977), &err);
  assert_true(cr_memory().live_bytes >= before + 977u * 4950u);
  for (int i = 0; i < 100; i++) cr_free(block[i]);
  assert_int_equal(cr_memory().live_bytes, before);
}

static void ceiling_and_injected_failures_are_errors(void **state) {
  (void)state;
  cr_error err = { 0 };
  cr_memory_trim();
  cr_memory_set_ceiling(cr_memory().held_bytes + (1u << 20));
  assert_null(cr_alloc(1u << 24, &err));
  assert_int_equal(err.kind, CR_EMEMORY);
  assert_non_null(strstr(err.text, "ceiling"));
  cr_memory_set_ceiling(0);
  cr_memory_fail_at(2, false);
  void *first = cr_alloc(8, &err), *second = cr_alloc(8, &err), *third = cr_alloc(8, &err);
  assert_non_null(first);
  assert_null(second);
  assert_non_null(third);
  cr_free(first);
  cr_free(third);
  assert_null(cr_alloc(SIZE_MAX - 100, &err));
}

static void sizes_that_overflow_are_told(void **state) {
  (void)state;
  size_t out;
  assert_false(cr_size_mul(SIZE_MAX / 2, 3, &out));
  assert_false(cr_size_add(SIZE_MAX, 1, &out));
  assert_true(cr_size_mul(6, 7, &out));
  assert_int_equal(out, 42);
  int64_t numel;
  assert_false(cr_shape_numel(2, (int64_t[]){ INT64_MAX, 2 }, &numel));
  assert_true(cr_shape_numel(2, (int64_t[]){ INT64_MAX, 0 }, &numel));
}

enum { BLOCKS = 1000 };
typedef struct { int hits[BLOCKS]; int workers[BLOCKS]; } tally;

static void mark(void *context, int64_t block, int worker) {
  tally *t = context;
  t->hits[block]++;
  t->workers[block] = worker;
}

static void every_block_runs_once(void **state) {
  (void)state;
  cr_error err;
  for (int threads = 1; threads <= 4; threads++) {
    assert_true(cr_pool_set_threads(threads, &err));
    for (int repeat = 0; repeat < 200; repeat++) {
      tally t = { 0 };
      cr_pool_run(BLOCKS, mark, &t);
      for (int i = 0; i < BLOCKS; i++) {
        assert_int_equal(t.hits[i], 1);
        assert_in_range(t.workers[i], 0, threads - 1);
      }
    }
  }
  assert_false(cr_pool_set_threads(0, &err));
  assert_false(cr_pool_set_threads(CR_POOL_MAX_THREADS + 1, &err));
}

static void nested(void *context, int64_t block, int worker) {
  tally *t = context;
  tally inner = { 0 };
  cr_pool_run(10, mark, &inner);
  for (int i = 0; i < 10; i++) t->hits[block] += inner.hits[i] == 1 && inner.workers[i] == worker;
}

static void a_call_from_inside_a_block_runs_in_place(void **state) {
  (void)state;
  cr_error err;
  assert_true(cr_pool_set_threads(3, &err));
  tally t = { 0 };
  cr_pool_run(50, nested, &t);
  for (int i = 0; i < 50; i++) assert_int_equal(t.hits[i], 10);
}

static void shapes_broadcast_as_numpy_has_it(void **state) {
  (void)state;
  int n;
  int64_t out[CR_MAX_DIMS];
  assert_true(cr_shape_broadcast(2, (int64_t[]){ 3, 1 }, 3, (int64_t[]){ 2, 1, 4 }, &n, out));
  assert_int_equal(n, 3);
  assert_memory_equal(out, ((int64_t[]){ 2, 3, 4 }), sizeof(int64_t) * 3);
  assert_false(cr_shape_broadcast(1, (int64_t[]){ 3 }, 1, (int64_t[]){ 2 }, &n, out));
}

static void copies_convert_and_follow_strides(void **state) {
  (void)state;
  cr_error err;
  cr_tensor *x = cr_tensor_new(CR_BYTE, 2, (int64_t[]){ 2, 3 }, &err);
  for (int i = 0; i < 6; i++) cr_bytes(x)[i] = (uint8_t)(i * 50);
  cr_tensor *t = cr_tensor_view(x, &err);
  t->shape[0] = 3; t->shape[1] = 2; t->stride[0] = 1; t->stride[1] = 3;
  cr_tensor *r = cr_tensor_as(t, CR_REAL, &err);
  const real want[] = { 0, 150, 50, 200, 100, 250 };
  assert_memory_equal(cr_reals(r), want, sizeof want);
  cr_tensor_release(r);
  cr_tensor_release(t);
  cr_tensor_release(x);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(blocks_are_aligned_and_reused),
    cmocka_unit_test(live_bytes_come_back_to_where_they_were),
    cmocka_unit_test(ceiling_and_injected_failures_are_errors),
    cmocka_unit_test(sizes_that_overflow_are_told),
    cmocka_unit_test(every_block_runs_once),
    cmocka_unit_test(a_call_from_inside_a_block_runs_in_place),
    cmocka_unit_test(shapes_broadcast_as_numpy_has_it),
    cmocka_unit_test(copies_convert_and_follow_strides),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
