/* block_room.h - laying out pieces of one block of memory; counts bytes where base is NULL */
#ifndef CR_KERNELS_BLOCK_ROOM_H
#define CR_KERNELS_BLOCK_ROOM_H

#include <stddef.h>
#include <stdint.h>

typedef struct room { unsigned char *base; size_t bytes; } room;

static inline void *take(room *r, int64_t n, size_t size) {
  void *at = r->base == NULL ? NULL : r->base + r->bytes;
  r->bytes += ((size_t)n * size + 63) & ~(size_t)63;
  return at;
}

#endif
