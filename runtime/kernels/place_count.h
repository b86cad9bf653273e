/* place_count.h - of many numbers, how many fall between each two of a few
 *
 * The few, k bounds, are put in order once. Then numbers come by in pieces, in any order, and each
 * adds 1 to count[p], p = how many bounds are not above it. Where the bounds are few indeed, each
 * is compared with every number in vector registers. Otherwise their range is cut into equal cells,
 * several for each bound: a number in a cell without a bound has its place from a table, and only
 * what shares its cell with a bound is compared. So most of the work is one increment for each
 * number, whatever k is, and what is kept between pieces is small: some 24 bytes for each bound.
 * Counts are exact and do not depend on the order of the pieces.
 *
 * Equal numbers: the one with the lower tag comes first. Infinity and nan count as CR_REAL_MAX. */
#ifndef CR_KERNELS_PLACE_COUNT_H
#define CR_KERNELS_PLACE_COUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/real.h"

typedef struct cr_places {
  int32_t k, shift;
  real low, scale, cells;
  real *bound;                /* ascending, then infinity */
  int32_t *tag;
  int32_t *count;             /* count[p] for p < k; from there on what lies beyond all bounds */
  /* of each cell: its place, or where to look for it; in one of two forms */
  uint16_t *slot;
  uint8_t *wide;
} cr_places;

size_t cr_places_bytes(int64_t k);
size_t cr_places_scratch_bytes(int64_t k);    /* only while starting */
/* k > 0 finite bounds, tags ascending. block holds cr_places_bytes(k), on 8 bytes. */
void cr_places_start(cr_places *p, int64_t k, const real *bound, const int32_t *tag, void *block,
                     void *scratch);
/* n numbers, each with its tag; v may be made finite */
void cr_places_count(cr_places *p, int64_t n, real *v, const int64_t *tag);

/* ---- between place_count.c and place_count_avx512.c: up to k bounds, on this processor ---- */

enum { CR_PLACES_WIDE_CELLS = 256 };
bool cr_places_wide(int64_t k);
void cr_places_wide_start(cr_places *p);
void cr_places_wide_count(cr_places *p, int64_t n, const real *v, const int64_t *tag);
/* Counts a number that has `from` bounds below it, or more. */
void cr_places_settle(cr_places *p, real v, int64_t tag, int32_t from);

#endif
