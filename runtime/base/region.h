/* region.h - one block of memory laid out as many arrays, each at a multiple of 64 bytes
 *
 * The same walk over cr_take measures (base NULL: `used` is then the bytes needed) and hands out. `overflow` tells
 * that a size did not fit in a size_t; whoever measures sizes that come from outside asks for it.
 *
 *     cr_region r = { .base = scratch };
 *     w->mean = cr_take(&r, width, sizeof(real)); */
#ifndef CR_BASE_REGION_H
#define CR_BASE_REGION_H

#include "base/memory.h"

typedef struct cr_region {
  unsigned char *base;
  size_t used;
  bool overflow;
} cr_region;

static inline void *cr_take(cr_region *r, int64_t count, size_t each) {
  size_t bytes = 0;
  void *at = r->base != NULL ? r->base + r->used : NULL;
  r->overflow |= !cr_size_mul((size_t)count, each, &bytes) || !cr_size_add(bytes, 63, &bytes)
              || !cr_size_add(r->used, bytes & ~(size_t)63, &r->used);
  return at;
}

#endif
