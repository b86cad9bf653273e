/* rng_test.c - Philox against its published vectors; moments; a draw depends on its place and on nothing else */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/rng.h"

/* kat_vectors of the Random123 distribution, philox4x32 10 */
static void published_vectors(void **state) {
  (void)state;
  static const struct { uint32_t counter[4], key[2], out[4]; } known[] = {
    { { 0, 0, 0, 0 }, { 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
    { { ~0u, ~0u, ~0u, ~0u }, { ~0u, ~0u }, { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
    { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 }, { 0xa4093822, 0x299f31d0 },
      { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
  };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    uint32_t out[4];
    cr_philox4x32(known[i].counter, known[i].key, out);
    for (int k = 0; k < 4; k++) assert_int_equal(out[k], known[i].out[k]);
  }
}

static void words_come_from_counter_blocks(void **state) {
  (void)state;
  cr_rng rng = cr_rng_at(7, 8, 0x123456789abcdefu);
  for (uint32_t block = 0; block < 3; block++) {
    uint32_t counter[4] = { block, 0, 0x89abcdef, 0x01234567 }, out[4];
    cr_philox4x32(counter, rng.key, out);
    for (int k = 0; k < 4; k++) assert_int_equal(cr_rng_u32(&rng), out[k]);
  }
}

static void order_of_places_does_not_matter(void **state) {
  (void)state;
  enum { PLACES = 50, DRAWS = 7 };
  uint64_t forwards[PLACES][DRAWS];
  for (int place = 0; place < PLACES; place++) {
    cr_rng rng = cr_rng_at(1, 2, (uint64_t)place);
    for (int k = 0; k < DRAWS; k++) forwards[place][k] = cr_rng_u64(&rng);
  }
  cr_rng all[PLACES];
  for (int place = PLACES; place-- > 0;) all[place] = cr_rng_at(1, 2, (uint64_t)place);
  for (int k = 0; k < DRAWS; k++)
    for (int place = PLACES; place-- > 0;)
      assert_true(cr_rng_u64(&all[place]) == forwards[place][k]);
}

static void seeds_streams_and_places_differ(void **state) {
  (void)state;
  cr_rng base = cr_rng_at(1, 2, 3), seed = cr_rng_at(2, 2, 3), stream = cr_rng_at(1, 3, 3);
  cr_rng place = cr_rng_at(1, 2, 4), swapped = cr_rng_at(2, 1, 3);
  uint64_t first = cr_rng_u64(&base);
  assert_true(first != cr_rng_u64(&seed) && first != cr_rng_u64(&stream));
  assert_true(first != cr_rng_u64(&place) && first != cr_rng_u64(&swapped));
  assert_true(cr_rng_hash("shuffle") != cr_rng_hash("augment"));
  assert_true(cr_rng_hash("") != cr_rng_hash("a"));
}

static void moments(void **state) {
  (void)state;
  enum { N = 200000 };
  cr_rng rng = cr_rng_at(1, 1, 0);
  double u1 = 0, u2 = 0, n1 = 0, n2 = 0, n3 = 0, n4 = 0, lag = 0, before = 0;
  for (int i = 0; i < N; i++) {
    double u = cr_rng_uniform(&rng), z = cr_rng_normal(&rng);
    assert_true(u >= 0 && u < 1 && isfinite(z));
    u1 += u / N;
    u2 += u * u / N;
    n1 += z / N;
    n2 += z * z / N;
    n3 += z * z * z / N;
    n4 += z * z * z * z / N;
    lag += z * before / N;
    before = z;
  }
  /* five standard errors of each mean: 1/sqrt(N) = 0.0022 times the standard deviation of the summand */
  assert_true(fabs(u1 - 0.5) < 0.0033);
  assert_true(fabs(u2 - 1.0 / 3) < 0.0034);
  assert_true(fabs(n1) < 0.012);
  assert_true(fabs(n2 - 1) < 0.016);
  assert_true(fabs(n3) < 0.044);
  assert_true(fabs(n4 - 3) < 0.11);
  assert_true(fabs(lag) < 0.012);
}

static void below_is_fair_and_in_range(void **state) {
  (void)state;
  enum { N = 60000, SIDES = 6 };
  cr_rng rng = cr_rng_at(3, 1, 4);
  int count[SIDES] = { 0 };
  for (int i = 0; i < N; i++) count[cr_rng_below(&rng, SIDES)]++;
  for (int k = 0; k < SIDES; k++) assert_in_range(count[k], N / SIDES - 460, N / SIDES + 460);
  for (int i = 0; i < 100; i++) {
    assert_true(cr_rng_below(&rng, 1) == 0);
    assert_true(cr_rng_below(&rng, 3ull << 62) < 3ull << 62);    /* a third of the draws is refused */
    double r = cr_rng_range(&rng, -2, 5);
    assert_true(r >= -2 && r < 5);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(published_vectors),
    cmocka_unit_test(words_come_from_counter_blocks),
    cmocka_unit_test(order_of_places_does_not_matter),
    cmocka_unit_test(seeds_streams_and_places_differ),
    cmocka_unit_test(moments),
    cmocka_unit_test(below_is_fair_and_in_range),
  };
  return cmocka_run_group_tests_name("rng", tests, NULL, NULL);
}
