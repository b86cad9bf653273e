/* place_count.c - see place_count.h */
#include "kernels/place_count.h"

#include <stdbool.h>
#include <string.h>

#include "kernels/triplet_rows.h"

/* FEW: bounds up to which each is compared with everything. OPEN marks a slot whose cell holds a
 * bound; the rest of the slot is the place of its first bound, shifted where 15 bits do not hold
 * it. */
enum { FEW = 8, LANES = 16, CHUNK = 512, MOST_CELLS = 1 << 15, OPEN = 1 << 15, INDEX = OPEN - 1 };

/* The cells of cr_rank, joined two by two until their number fits. */
static int64_t cells_of_rank(const cr_rank *r, int *joined) {
  int64_t cells = (int64_t)r->cells;
  for (*joined = 0; cells > MOST_CELLS; cells /= 2) ++*joined;
  return cells;
}

static int64_t most_cells(int64_t k) {
  int64_t cells = 16;
  while (cells < 4 * k && cells < MOST_CELLS) cells *= 2;
  return cells;
}

static int64_t slots_for(int64_t cells) { return cells + 1 + LANES; }

size_t cr_places_bytes(int64_t k) {
  size_t each = sizeof(real) + 2 * sizeof(int32_t);
  size_t slots = k <= FEW ? 0 : cr_places_wide(k) ? CR_PLACES_WIDE_CELLS
               : (size_t)slots_for(most_cells(k)) * sizeof(uint16_t);
  return sizeof(real) + (size_t)k * each + LANES * sizeof(int32_t) + slots;
}

size_t cr_places_scratch_bytes(int64_t k) { return cr_rank_bytes(k); }

static void fill_slots(cr_places *p, const cr_rank *r) {
  int joined;
  int64_t cells = cells_of_rank(r, &joined), in_one = (int64_t)1 << joined;
  p->cells = (real)cells;
  p->scale = r->scale / (real)in_one;
  while (p->k >> p->shift > INDEX) p->shift++;
  for (int64_t c = 0; c < slots_for(cells); c++) {
    int32_t here = c <= cells ? r->table[c * in_one] : p->k;
    bool open = (c < cells ? r->table[(c + 1) * in_one] : p->k) > here;
    /* beyond all bounds there is a slot for each lane: what is far away is much, and waits for no
     * increment of its neighbour */
    if (c > cells && p->shift == 0 && p->k + LANES <= INDEX) here += (int32_t)(c - cells - 1);
    p->slot[c] = (uint16_t)(here >> p->shift | (open || p->shift > 0 ? OPEN : 0));
  }
}

void cr_places_start(cr_places *p, int64_t k, const real *bound, const int32_t *tag, void *block,
                     void *scratch) {
  cr_rank r;
  cr_rank_start(&r, k, bound, scratch);
  *p = (cr_places){ .k = (int32_t)k, .low = r.low, .bound = block };
  p->tag = (int32_t *)(p->bound + k + 1);
  p->count = p->tag + k;
  p->slot = (uint16_t *)(p->count + k + LANES);
  memcpy(p->bound, r.u, (size_t)(k + 1) * sizeof *p->bound);
  for (int64_t i = 0; i < k; i++) p->tag[i] = tag[r.order[i]];
  memset(p->count, 0, (size_t)(k + LANES) * sizeof *p->count);
  p->wide = (uint8_t *)p->slot;
  if (k <= FEW) return;
  if (cr_places_wide(k)) cr_places_wide_start(p);
  else fill_slots(p, &r);
}

void cr_places_settle(cr_places *p, real v, int64_t tag, int32_t from) {
  int32_t place = from + (p->bound[from] <= v);         /* usually that is all */
  while (p->bound[place] <= v) place++;
  while (place > 0 && p->bound[place - 1] == v && p->tag[place - 1] > tag) place--;
  p->count[place]++;
}

CR_VECTOR static void make_finite(int64_t n, real *v) {
  for (int64_t j = 0; j < n; j++) v[j] = v[j] <= CR_REAL_MAX ? v[j] : CR_REAL_MAX;
}

/* How many are below u, and how many are not above it */
CR_VECTOR static void below(int64_t n, const real *restrict v, real u, int32_t *less,
                            int32_t *upto) {
  int32_t l = 0, e = 0;
  for (int64_t j = 0; j < n; j++) l += v[j] < u, e += v[j] <= u;
  *less = l, *upto = e;
}

static void count_few(cr_places *p, int64_t n, real *v, const int64_t *tag) {
  int32_t less[FEW], upto, equal = 0;
  make_finite(n, v);
  for (int32_t i = 0; i < p->k; i++) {
    below(n, v, p->bound[i], &less[i], &upto);
    equal += upto - less[i];
  }
  for (int64_t j = 0; equal > 0 && j < n; j++) cr_places_settle(p, v[j], tag[j], 0);
  for (int32_t i = 0; equal == 0 && i < p->k; i++)
    p->count[i] += less[i] - (i > 0 ? less[i - 1] : 0);
}

/* Monotone in v, like the cells of cr_rank and equal to them. Beyond the last cell there is one for
 * each lane. */
CR_VECTOR static void cells_of(int64_t n, real *restrict v, real low, real scale, real cells,
                               uint16_t *restrict cell) {
  for (int64_t j = 0; j < n; j++) {
    real x = v[j] <= CR_REAL_MAX ? v[j] : CR_REAL_MAX, c = (x - low) * scale;
    real most = cells + 1 + (real)(int32_t)(j % LANES);
    c = c > 0 ? c : 0;
    c = c < most ? c : most;
    v[j] = x;
    cell[j] = (uint16_t)(int32_t)c;
  }
}

/* Counts n numbers by their slots, and lists those whose slot is open. */
static int64_t tally(int64_t n, const uint16_t *restrict cell, const uint16_t *restrict slot,
                     int32_t *restrict count, uint16_t *restrict open) {
  int64_t found = 0;
  for (int64_t j = 0; j < n; j++) {
    uint32_t s = slot[cell[j]];
    count[s & INDEX]++;
    open[found] = (uint16_t)j;
    found += s >> 15;
  }
  return found;
}

void cr_places_count(cr_places *p, int64_t n, real *v, const int64_t *tag) {
  if (p->k <= FEW) {
    count_few(p, n, v, tag);
    return;
  }
  if (cr_places_wide(p->k)) {
    cr_places_wide_count(p, n, v, tag);
    return;
  }
  for (int64_t begin = 0; begin < n; begin += CHUNK) {
    uint16_t cell[CHUNK], open[CHUNK];
    int64_t some = n - begin < CHUNK ? n - begin : CHUNK;
    cells_of(some, v + begin, p->low, p->scale, p->cells, cell);
    int64_t found = tally(some, cell, p->slot, p->count, open);
    for (int64_t l = 0; l < found; l++) {
      int64_t j = begin + open[l];
      int32_t from = p->slot[cell[open[l]]] & INDEX;
      p->count[from]--;
      cr_places_settle(p, v[j], tag[j], from << p->shift);
    }
  }
}
