/* sort.h - stable order of numbers, and the first k of it
 *
 * A number becomes an unsigned key whose order is the wanted one, so floats, integers, rising and
 * falling are one sort. NaN comes last in both directions; -0 equals 0; equal numbers keep their
 * order. */
#ifndef CR_KERNELS_SORT_H
#define CR_KERNELS_SORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/real.h"

typedef struct cr_sort_item { uint64_t key; int64_t index; } cr_sort_item;

uint64_t cr_sort_key_real(real x, bool descending);
uint64_t cr_sort_key_int(int64_t x, bool descending);

/* Sorts by key, stable; spare has room for n items too. */
void cr_sort_items(cr_sort_item *item, cr_sort_item *spare, int64_t n);
/* Brings the k smallest (by key, then index), sorted, to the front of item; 0 <= k <= n. */
void cr_sort_top(cr_sort_item *item, cr_sort_item *spare, int64_t n, int64_t k);

/* Lines along one dimension of a contiguous tensor [outer, n, inner], numbers of one of the two
 * types (the other NULL). The first k of each sorted line: their numbers from 1 go to index [outer,
 * k, inner], and the values, if wanted, to the same places of real_out or int_out. scratch holds
 * cr_sort_lines_bytes(n) bytes. */
typedef struct cr_sort_lines {
  int64_t outer, n, inner, k;
  bool descending;
  const real *reals;
  const int64_t *ints;
  int64_t *index;
  real *real_out;
  int64_t *int_out;
  cr_sort_item *scratch;
} cr_sort_lines;

size_t cr_sort_lines_bytes(int64_t n);
void cr_sort_lines_run(const cr_sort_lines *lines);

#endif
