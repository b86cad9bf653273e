/* label_order.c - see label_order.h; a merge sort from the bottom up, so that equal labels keep
 * their order */
#include "kernels/label_order.h"

#include <stdbool.h>
#include <string.h>

static void merge(const int64_t *label, const int64_t *from, int64_t low, int64_t middle,
                  int64_t high, int64_t *to) {
  int64_t a = low, b = middle;
  for (int64_t k = low; k < high; k++) {
    bool first = b >= high || (a < middle && label[from[a]] <= label[from[b]]);
    to[k] = first ? from[a++] : from[b++];
  }
}

void cr_label_order(int64_t n, const int64_t *label, int64_t *order, int64_t *scratch) {
  int64_t *from = order, *to = scratch;
  for (int64_t i = 0; i < n; i++) order[i] = i;
  for (int64_t run = 1; run < n; run *= 2) {
    for (int64_t low = 0; low < n; low += 2 * run) {
      int64_t middle = low + run < n ? low + run : n, high = low + 2 * run < n ? low + 2 * run : n;
      merge(label, from, low, middle, high, to);
    }
    int64_t *swap = from;
    from = to;
    to = swap;
  }
  if (from != order) memcpy(order, from, (size_t)n * sizeof *order);
}

/* The first place whose label is not below `wanted` (or, past, not at or below it). */
static int64_t bound(int64_t n, const int64_t *label, const int64_t *order, int64_t wanted,
                     bool past) {
  int64_t low = 0, high = n;
  while (low < high) {
    int64_t middle = low + (high - low) / 2, at = label[order[middle]];
    if (at < wanted || (past && at == wanted)) low = middle + 1;
    else high = middle;
  }
  return low;
}

void cr_label_slice(int64_t n, const int64_t *label, const int64_t *order, int64_t wanted,
                    int64_t *begin, int64_t *end) {
  *begin = bound(n, label, order, wanted, false);
  *end = bound(n, label, order, wanted, true);
}

int64_t cr_label_largest(int64_t n, const int64_t *label, const int64_t *order) {
  int64_t largest = 0;
  for (int64_t begin = 0, k = 0; k < n; k++) {
    if (label[order[k]] != label[order[begin]]) begin = k;
    if (k - begin + 1 > largest) largest = k - begin + 1;
  }
  return largest;
}
