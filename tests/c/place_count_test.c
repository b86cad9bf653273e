/* place_count_test.c - counts at places against comparing every number with every bound */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "kernels/place_count.h"

/* Bounds and numbers on a grid of `steps` values, so that ties are as many as wanted; pieces of
 * every length; some of the numbers are not finite. */
static void agree(int64_t k, int64_t n, int64_t steps, bool far) {
  cr_rng rng = cr_rng_at(7, 0, 0);
  real *bound = malloc((size_t)k * sizeof *bound), *v = malloc((size_t)n * sizeof *v);
  real *copy = malloc((size_t)n * sizeof *copy);
  int32_t *tag = malloc((size_t)k * sizeof *tag);
  int64_t *tags = malloc((size_t)n * sizeof *tags), *expected = calloc((size_t)k, sizeof *expected);
  void *block = malloc(cr_places_bytes(k)), *scratch = malloc(cr_places_scratch_bytes(k));
  for (int64_t i = 0; i < k; i++) {
    bound[i] = (real)(cr_rng_below(&rng, (uint64_t)steps)) / 64 - 1;
    tag[i] = (int32_t)(2 * i);
  }
  if (far) bound[k / 2] = CR_REAL_MAX;
  for (int64_t j = 0; j < n; j++) {
    v[j] = copy[j] = j % 97 == 5 ? (real)INFINITY : j % 89 == 7 ? (real)NAN
      : (real)(cr_rng_below(&rng, (uint64_t)(2 * steps))) / 64 - 2;
    tags[j] = 2 * (int64_t)cr_rng_below(&rng, (uint64_t)k) + 1;
  }
  cr_places p;
  cr_places_start(&p, k, bound, tag, block, scratch);
  for (int64_t begin = 0, length = 1; begin < n; begin += length, length = length * 2 % 1021) {
    int64_t some = n - begin < length ? n - begin : length;
    cr_places_count(&p, some, v + begin, tags + begin);
  }
  for (int64_t j = 0; j < n; j++) {
    real x = copy[j] <= CR_REAL_MAX ? copy[j] : CR_REAL_MAX;
    int64_t place = 0;
    for (int64_t i = 0; i < k; i++)
      place += bound[i] < x || (bound[i] == x && tag[i] < tags[j]);
    if (place < k) expected[place]++;
  }
  for (int64_t i = 0; i < k; i++) assert_int_equal(p.count[i], expected[i]);
  free(bound), free(v), free(copy), free(tag), free(tags), free(expected), free(block);
  free(scratch);
}

static void counts_are_those_of_comparing_all(void **state) {
  (void)state;
  static const int64_t bounds[] = { 1, 2, 8, 9, 15, 16, 17, 31, 99, 110, 111, 112, 127, 500, 5000 };
  for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
    for (int64_t steps = 1; steps < 1 << 24; steps *= 37) agree(bounds[i], 3000, steps, false);
    agree(bounds[i], 3000, 100, true);
  }
  agree(40000, 2000, 1 << 20, false);             /* their places do not fit 15 bits */
  agree(40000, 2000, 3, false);
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(counts_are_those_of_comparing_all) };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
