/* sort.c - see sort.h
 *
 * Short lines: insertion. Long ones: radix sort from the lowest byte, which is stable; bytes in
 * which all keys agree are skipped, so a float costs four passes. Top k keeps a heap of the best k
 * so far, whose root most numbers fail to beat. */
#include "kernels/sort.h"

#include <math.h>
#include <string.h>
#include "base/pool.h"

enum { SHORT = 48, BYTES = 8 };

#ifdef CR_DOUBLE
typedef uint64_t bits;
#else
typedef uint32_t bits;
#endif

uint64_t cr_sort_key_real(real x, bool descending) {
  const bits sign = (bits)1 << (8 * sizeof(bits) - 1);
  bits b;
  if (isnan(x)) return (bits)-1;
  x += 0;                                   /* -0 becomes 0 */
  memcpy(&b, &x, sizeof b);
  b = b & sign ? (bits)~b : b | sign;
  return descending ? (bits)~b : b;
}

uint64_t cr_sort_key_int(int64_t x, bool descending) {
  uint64_t b = (uint64_t)x ^ (uint64_t)1 << 63;
  return descending ? ~b : b;
}

static void sort_short(cr_sort_item *item, int64_t n) {
  for (int64_t i = 1; i < n; i++) {
    cr_sort_item moved = item[i];
    int64_t j = i;
    for (; j > 0 && item[j-1].key > moved.key; j--) item[j] = item[j-1];
    item[j] = moved;
  }
}

void cr_sort_items(cr_sort_item *item, cr_sort_item *spare, int64_t n) {
  if (n <= SHORT) {
    sort_short(item, n);
    return;
  }
  int64_t count[BYTES][256] = { 0 };
  for (int64_t i = 0; i < n; i++)
    for (int b = 0; b < BYTES; b++) count[b][item[i].key >> (8 * b) & 255]++;
  cr_sort_item *from = item, *to = spare;
  for (int b = 0; b < BYTES; b++) {
    if (count[b][from[0].key >> (8 * b) & 255] == n) continue;
    int64_t start[256], total = 0;
    for (int v = 0; v < 256; v++) {
      start[v] = total;
      total += count[b][v];
    }
    for (int64_t i = 0; i < n; i++) to[start[from[i].key >> (8 * b) & 255]++] = from[i];
    cr_sort_item *swap = from;
    from = to;
    to = swap;
  }
  if (from != item) memcpy(item, from, (size_t)n * sizeof *item);
}

static bool before(cr_sort_item a, cr_sort_item b) {
  return a.key < b.key || (a.key == b.key && a.index < b.index);
}

/* heap[0] is the last of its k items; sinks what was put there to its place */
static void sink(cr_sort_item *heap, int64_t k) {
  cr_sort_item moved = heap[0];
  int64_t at = 0;
  for (int64_t child = 1; child < k; child = 2 * at + 1) {
    if (child + 1 < k && before(heap[child], heap[child+1])) child++;
    if (!before(moved, heap[child])) break;
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = moved;
}

void cr_sort_top(cr_sort_item *item, cr_sort_item *spare, int64_t n, int64_t k) {
  if (k == 0) return;
  if (k > n / 8) {
    cr_sort_items(item, spare, n);
    return;
  }
  /* falling order is a heap; rising order reversed gives it */
  cr_sort_items(item, spare, k);
  for (int64_t i = 0; i < k / 2; i++) {
    cr_sort_item swap = item[i];
    item[i] = item[k-1-i];
    item[k-1-i] = swap;
  }
  for (int64_t i = k; i < n; i++) {
    if (!before(item[i], item[0])) continue;
    item[0] = item[i];
    sink(item, k);
  }
  /* take the last out again and again */
  for (int64_t end = k - 1; end > 0; end--) {
    cr_sort_item last = item[0];
    item[0] = item[end];
    sink(item, end);
    item[end] = last;
  }
}

enum { GRAIN = 8192 };

size_t cr_sort_lines_bytes(int64_t n) {
  return (size_t)cr_pool_threads() * 2 * (size_t)n * sizeof(cr_sort_item);
}

static int64_t lines_a_block(int64_t n) { return n < GRAIN / 2 ? GRAIN / (n > 1 ? n : 1) : 1; }

static void sort_block(void *context, int64_t block, int worker) {
  const cr_sort_lines *l = context;
  cr_sort_item *item = l->scratch + (int64_t)worker * 2 * l->n;
  int64_t step = lines_a_block(l->n), begin = block * step, all = l->outer * l->inner;
  int64_t end = begin + step < all ? begin + step : all;
  for (int64_t line = begin; line < end; line++) {
    int64_t from = line / l->inner * l->n * l->inner + line % l->inner;
    int64_t to = line / l->inner * l->k * l->inner + line % l->inner;
    for (int64_t i = 0; i < l->n; i++) {
      int64_t at = from + i * l->inner;
      item[i].key = l->reals ? cr_sort_key_real(l->reals[at], l->descending)
                             : cr_sort_key_int(l->ints[at], l->descending);
      item[i].index = i;
    }
    if (l->k < l->n) cr_sort_top(item, item + l->n, l->n, l->k);
    else cr_sort_items(item, item + l->n, l->n);
    for (int64_t i = 0; i < l->k; i++) {
      int64_t at = from + item[i].index * l->inner;
      l->index[to + i * l->inner] = item[i].index + 1;
      if (l->real_out) l->real_out[to + i * l->inner] = l->reals[at];
      if (l->int_out) l->int_out[to + i * l->inner] = l->ints[at];
    }
  }
}

void cr_sort_lines_run(const cr_sort_lines *lines) {
  int64_t step = lines_a_block(lines->n), all = lines->outer * lines->inner;
  if (all * lines->k == 0) return;
  cr_pool_run((all + step - 1) / step, sort_block, (void *)(uintptr_t)lines);
}
