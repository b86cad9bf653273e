/* conv_ready.c - see conv_ready.h */
#include "kernels/conv_ready.h"

#include <stdatomic.h>
#include <string.h>

#include "base/memory.h"
#include "base/pool.h"

enum { MOST_ENTRIES = 64, PIECE = 16384 };
static const size_t MOST_BYTES = 16 << 20;

/* One block of memory: the weights turned, then the scales and the weights they come from */
typedef struct entry {
  const real *weight;                   /* where the weights lie; NULL: a free entry */
  cr_conv conv;                         /* images is of no account */
  bool filled;
  size_t bytes, ready_bytes;
  uint64_t used;
  unsigned char *memory;
} entry;

static entry entries[MOST_ENTRIES];
static size_t all_bytes;
static uint64_t clock_hand;

static int64_t weights_of(const cr_conv *v) {
  return v->filters * v->channels * v->window.kernel[0] * v->window.kernel[1];
}

static size_t on_lines(size_t bytes) { return (bytes + 63) & ~(size_t)63; }
static double *scales_of(const entry *e) { return (double *)(void *)(e->memory + e->ready_bytes); }
static real *copy_of(const entry *e) {
  size_t scales = on_lines((size_t)e->conv.filters * sizeof(double));
  return (real *)(void *)(e->memory + e->ready_bytes + scales);
}

void cr_conv_scale_weights(const cr_conv *v, const real *weight, const double *scale,
                           real *scaled) {
  int64_t each = v->channels * v->window.kernel[0] * v->window.kernel[1];
  for (int64_t o = 0; o < v->filters; o++)
    for (int64_t k = o * each; k < (o + 1) * each; k++)
      scaled[k] = (real)((double)weight[k] * scale[o]);
}

static bool is_for(const entry *e, const cr_conv *v, const real *weight) {
  const cr_conv *c = &e->conv;
  return e->weight == weight && c->channels == v->channels && c->filters == v->filters &&
         c->algorithm == v->algorithm && memcmp(&c->window, &v->window, sizeof c->window) == 0;
}

static void drop(entry *e) {
  if (e->weight == NULL) return;
  cr_free(e->memory);
  all_bytes -= e->bytes;
  *e = (entry){ 0 };
}

static entry *oldest(void) {
  entry *old = NULL;
  for (entry *e = entries; e < entries + MOST_ENTRIES; e++)
    if (e->weight != NULL && (old == NULL || e->used < old->used)) old = e;
  return old;
}

static entry *entry_of(const cr_conv *v, const real *weight) {
  for (entry *e = entries; e < entries + MOST_ENTRIES; e++)
    if (is_for(e, v, weight)) return e;
  return NULL;
}

bool cr_conv_ready_has(const cr_conv *v, const real *weight) { return entry_of(v, weight) != NULL; }

void cr_conv_ready_reserve(const cr_conv *v, const real *weight) {
  if (cr_conv_ready_has(v, weight)) return;
  entry *place = NULL;
  for (entry *e = entries; e < entries + MOST_ENTRIES; e++)
    if (e->weight == NULL) place = e;
  entry e = { .weight = weight, .conv = *v, .used = clock_hand };
  e.ready_bytes = on_lines(cr_conv_nhwc_ready_bytes(v));
  e.bytes = e.ready_bytes + on_lines((size_t)v->filters * sizeof(double)) +
            (size_t)weights_of(v) * sizeof(real);
  if (e.bytes > MOST_BYTES) return;
  while (place == NULL || all_bytes + e.bytes > MOST_BYTES) drop(place = oldest());
  cr_error ignored;
  e.memory = cr_alloc(e.bytes, &ignored);
  if (e.memory == NULL) return;
  all_bytes += e.bytes;
  *place = e;
}

typedef struct { const real *a, *b; int64_t n; atomic_bool differ; } comparison;

static void compare(void *context, int64_t begin, int64_t end) {
  comparison *c = context;
  if (memcmp(c->a + begin, c->b + begin, (size_t)(end - begin) * sizeof(real)) != 0)
    c->differ = true;
}

static bool equal(const real *a, const real *b, int64_t n) {
  comparison c = { .a = a, .b = b };
  cr_pool_for(n, PIECE, compare, &c);
  return !c.differ;
}

const void *cr_conv_ready_find(const cr_conv *v, const real *weight, const double *scale) {
  entry *e = entry_of(v, weight);
  int64_t n = weights_of(v);
  size_t scales = (size_t)v->filters * sizeof(double);
  e->used = ++clock_hand;
  if (e->filled && memcmp(scales_of(e), scale, scales) == 0 && equal(copy_of(e), weight, n))
    return e->memory;
  real *copy = copy_of(e);
  cr_conv_scale_weights(v, weight, scale, copy);
  cr_conv_nhwc_ready(v, copy, e->memory);
  memcpy(copy, weight, (size_t)n * sizeof(real));
  memcpy(scales_of(e), scale, scales);
  e->filled = true;
  return e->memory;
}
