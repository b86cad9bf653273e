/* memory.c - see memory.h
 *
 * A block is [header][user bytes]. Sizes are rounded up to classes, eight to a power of two, so a class wastes at most an
 * eighth. Small classes are carved from 64 KiB slabs that stay; larger ones come from the system one by one, by mmap with
 * huge pages advised from 1 MiB on. A freed block goes to the list of its class. In sanitizer builds (CR_NO_CACHE)
 * every block goes straight back, so that a stray access is seen. */
#define _GNU_SOURCE
#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
  HEADER_BYTES = 64,                  /* keeps the user's part 64-byte aligned */
  SLAB_BYTES = 64 * 1024,
  SMALL_BYTES = 2048,                 /* classes up to here live in slabs */
  CLASSES = 48 * 8
};
static const size_t MAP_BYTES = 1u << 20;         /* classes from here are mapped */
static const size_t HUGE_PAGE = 2u << 20;

typedef struct block {
  struct block *next;                 /* in the free list of its class */
  size_t class_bytes;                 /* header included */
  int class_number;
} block;

_Static_assert(sizeof(block) <= HEADER_BYTES, "the header holds a block");

static block *free_blocks[CLASSES];
static unsigned char *slab, *slab_end;
static cr_memory_stats stats;
static uint64_t fail_countdown;
static bool fail_all;

/* The class of a size and its size, header included: 128, 192, 256, 320 ... then eight steps to each power of two. */
static int class_of(size_t bytes, size_t *class_bytes) {
  size_t total = bytes + HEADER_BYTES;
  if (total < 512) {
    int number = (int)((total + 63) / 64);
    *class_bytes = (size_t)number * 64;
    return number;
  }
  int power = 63 - __builtin_clzll(total - 1);            /* 2^power < total <= 2^(power+1), or equal */
  size_t step = (size_t)1 << (power - 3);
  size_t steps = (total + step - 1) >> (power - 3);       /* 8 .. 16 */
  *class_bytes = steps << (power - 3);
  return (power - 8) * 8 + (int)steps - 8;
}

static void system_free(block *b) {
  stats.held_bytes -= b->class_bytes;
  if (b->class_bytes >= MAP_BYTES) munmap(b, b->class_bytes);
  else free(b);
}

void cr_memory_trim(void) {
  for (int i = 0; i < CLASSES; i++) {
    block *b = free_blocks[i];
    if (b == NULL || b->class_bytes <= SMALL_BYTES) continue;
    free_blocks[i] = NULL;
    while (b != NULL) {
      block *next = b->next;
      system_free(b);
      b = next;
    }
  }
}

static void *map(size_t bytes) {
  if (bytes < 2 * HUGE_PAGE) {
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
  }
  /* map more than asked and cut, so that the block starts on a huge page */
  unsigned char *p = mmap(NULL, bytes + HUGE_PAGE, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return NULL;
  size_t before = (HUGE_PAGE - (uintptr_t)p % HUGE_PAGE) % HUGE_PAGE;
  if (before > 0) munmap(p, before);
  size_t after = HUGE_PAGE - before;
  if (after > 0) munmap(p + before + bytes, after);
  madvise(p + before, bytes, MADV_HUGEPAGE);
  return p + before;
}

static bool within_ceiling(size_t bytes) {
  return stats.ceiling_bytes == 0 || stats.held_bytes + bytes <= stats.ceiling_bytes;
}

static block *from_system(size_t class_bytes) {
  if (!within_ceiling(class_bytes)) cr_memory_trim();
  if (!within_ceiling(class_bytes)) return NULL;
  stats.system_calls++;
  bool mapped = class_bytes >= MAP_BYTES;
  block *b = mapped ? map(class_bytes) : aligned_alloc(64, class_bytes);
  if (b == NULL) {
    cr_memory_trim();
    b = mapped ? map(class_bytes) : aligned_alloc(64, class_bytes);
    if (b == NULL) return NULL;
  }
  stats.held_bytes += class_bytes;
  return b;
}

static block *from_slab(size_t class_bytes) {
  if ((size_t)(slab_end - slab) < class_bytes) {
    if (!within_ceiling(SLAB_BYTES)) cr_memory_trim();
    if (!within_ceiling(SLAB_BYTES)) return NULL;
    unsigned char *fresh = aligned_alloc(64, SLAB_BYTES);
    if (fresh == NULL) return NULL;
    stats.system_calls++;
    stats.held_bytes += SLAB_BYTES;
    slab = fresh;
    slab_end = fresh + SLAB_BYTES;
  }
  block *b = (block *)(void *)slab;
  slab += class_bytes;
  return b;
}

static bool injected_failure(void) {
  if (fail_countdown == 0) return false;
  if (fail_countdown == 1) {
    if (!fail_all) fail_countdown = 0;
    return true;
  }
  fail_countdown--;
  return false;
}

static void *out_of_memory(size_t bytes, cr_error *err) {
  if (stats.ceiling_bytes > 0)
    cr_fail(err, CR_EMEMORY, "out of memory: needs %zu bytes, %zu of a ceiling of %zu are in use",
            bytes, stats.live_bytes, stats.ceiling_bytes);
  else
    cr_fail(err, CR_EMEMORY, "out of memory: needs %zu bytes, %zu are in use", bytes,
            stats.live_bytes);
  return NULL;
}

void *cr_alloc(size_t bytes, cr_error *err) {
  stats.allocations++;
  if (fail_countdown > 0 && injected_failure()) return out_of_memory(bytes, err);
  if (bytes > ((size_t)1 << 46)) return out_of_memory(bytes, err);
  size_t class_bytes;
  int number = class_of(bytes, &class_bytes);
  block *b = free_blocks[number];
  if (b != NULL) {
    free_blocks[number] = b->next;
  } else {
#ifdef CR_NO_CACHE
    b = from_system(class_bytes);
#else
    b = class_bytes <= SMALL_BYTES ? from_slab(class_bytes) : from_system(class_bytes);
#endif
    if (b == NULL) return out_of_memory(bytes, err);
    b->class_bytes = class_bytes;
    b->class_number = number;
  }
  stats.live_bytes += class_bytes;
  if (stats.live_bytes > stats.peak_bytes) stats.peak_bytes = stats.live_bytes;
  return (unsigned char *)b + HEADER_BYTES;
}

void *cr_alloc_zero(size_t bytes, cr_error *err) {
  void *p = cr_alloc(bytes, err);
  if (p != NULL) memset(p, 0, bytes);
  return p;
}

void cr_free(void *p) {
  if (p == NULL) return;
  block *b = (block *)(void *)((unsigned char *)p - HEADER_BYTES);
  stats.live_bytes -= b->class_bytes;
#ifdef CR_NO_CACHE
  system_free(b);
#else
  b->next = free_blocks[b->class_number];
  free_blocks[b->class_number] = b;
#endif
}

bool cr_size_mul(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }
bool cr_size_add(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }

cr_memory_stats cr_memory(void) { return stats; }
void cr_memory_reset_peak(void) { stats.peak_bytes = stats.live_bytes; }
void cr_memory_set_ceiling(size_t bytes) { stats.ceiling_bytes = bytes; }

void cr_memory_fail_at(uint64_t n, bool all) {
  fail_countdown = n;
  fail_all = all;
}
