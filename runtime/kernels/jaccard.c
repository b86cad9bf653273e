/* jaccard.c - see jaccard.h */
#include "kernels/jaccard.h"

#include <string.h>

static size_t aligned(int64_t count, size_t each) {
  return ((size_t)count * each + 63) & ~(size_t)63;
}

size_t cr_jaccard_bytes(int64_t rows, int64_t width) {
  return aligned(rows + 2, sizeof(int64_t)) + aligned(rows * width, sizeof(int32_t)) +
         aligned(rows * width, sizeof(real));
}

/* Where row i ends. */
static int64_t filled(const cr_jaccard *j, int64_t i) {
  int64_t n = 0;
  while (n < j->width && j->index[i * j->width + n] > 0) n++;
  return n;
}

void cr_jaccard_start(cr_jaccard *j, void *scratch) {
  unsigned char *at = scratch;
  j->first = (int64_t *)(void *)at;
  at += aligned(j->rows + 2, sizeof(int64_t));
  j->holder = (int32_t *)(void *)at;
  at += aligned(j->rows * j->width, sizeof(int32_t));
  j->value = (real *)(void *)at;
  /* a counting sort by column; first[] runs one ahead while it is filled */
  memset(j->first, 0, (size_t)(j->rows + 2) * sizeof *j->first);
  for (int64_t i = 0; i < j->rows; i++)
    for (int64_t s = 0, n = filled(j, i); s < n; s++) j->first[j->index[i * j->width + s] + 1]++;
  for (int64_t g = 1; g < j->rows + 2; g++) j->first[g] += j->first[g - 1];
  for (int64_t i = 0; i < j->rows; i++)
    for (int64_t s = 0, n = filled(j, i); s < n; s++) {
      int64_t at_place = j->first[j->index[i * j->width + s]]++;
      j->holder[at_place] = (int32_t)i;
      j->value[at_place] = j->weight[i * j->width + s];
    }
}

void cr_jaccard_row(const cr_jaccard *j, int64_t i, int64_t offset, int64_t n, real *d,
                    real *scratch) {
  double most = 0;
  memset(scratch, 0, (size_t)n * sizeof *scratch);
  for (int64_t s = 0, held = filled(j, i); s < held; s++) {
    int64_t g = j->index[i * j->width + s];
    real own = j->weight[i * j->width + s];
    for (int64_t at = j->first[g - 1]; at < j->first[g]; at++) {
      int64_t other = j->holder[at] - offset;
      if (other >= 0 && other < n) scratch[other] += own < j->value[at] ? own : j->value[at];
    }
  }
  for (int64_t k = 0; k < n; k++)
    if ((double)d[k] > most) most = (double)d[k];
  for (int64_t k = 0; k < n; k++) {
    double s = (double)scratch[k], share = most > 0 ? (double)d[k] / most : (double)d[k];
    d[k] = (real)(j->lambda * share + (1 - j->lambda) * (1 - s / (2 - s)));
  }
}
