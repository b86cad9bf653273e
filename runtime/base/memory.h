/* memory.h - the one allocator: aligned, caching, counted, with a ceiling
 *
 * Every block of the engine comes from here. Blocks are 64-byte aligned and NOT cleared. Freed blocks are kept
 * by size class and handed out again, so a steady training step asks the system for nothing. Large blocks are
 * mapped with huge pages advised. Only the main thread allocates; worker threads run kernels and nothing else. */
#ifndef CR_BASE_MEMORY_H
#define CR_BASE_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

/* NULL on failure, with "needs N bytes, ..." in err. bytes may be 0. */
void *cr_alloc(size_t bytes, cr_error *err);
void *cr_alloc_zero(size_t bytes, cr_error *err);
void cr_free(void *block);                          /* NULL is fine */

/* a * b and a + b, or false when they overflow: the only way to work out a byte count from a file's header */
bool cr_size_mul(size_t a, size_t b, size_t *out);
bool cr_size_add(size_t a, size_t b, size_t *out);

typedef struct cr_memory_stats {
  size_t live_bytes;        /* in blocks handed out */
  size_t peak_bytes;        /* the most live_bytes has been */
  size_t held_bytes;        /* live blocks and the cache together */
  size_t ceiling_bytes;     /* 0: none */
  uint64_t allocations;     /* calls so far */
  uint64_t system_calls;    /* of them, those that asked the system for memory */
} cr_memory_stats;

cr_memory_stats cr_memory(void);
void cr_memory_reset_peak(void);
void cr_memory_set_ceiling(size_t bytes);           /* 0 takes it away */
void cr_memory_trim(void);                          /* gives the cache back to the system */
/* For tests: the n-th allocation from now on fails (1: the next), and all after it when `all`. 0: none. */
void cr_memory_fail_at(uint64_t n, bool all);

#endif
