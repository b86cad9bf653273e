/* hdc.c - the hardest share of the positive pairs and of the negative pairs
 *
 *   the ceil(filter_percentage P) positive pairs of greatest distance, of P in all, and
 *   the ceil(filter_percentage N) negative pairs of least distance, of N in all
 *
 * over the whole batch, from hardest to easiest; of equals the lexicographically first. Cascaded
 * networks mine the pairs that an earlier one kept: hand them on as a relation. Yuan, Yang, Zhang,
 * "Hard-aware deeply cascaded embedding", ICCV 2017.
 *
 * Cost 2 B R D: one pass counts distances by their 16 leading bits, one gathers the pairs up to the
 * bucket where the share ends. 32 bytes for each pair kept. */
#include <math.h>

#include "autograd/miner.h"
#include "kernels/sort.h"

enum { FILTER_PERCENTAGE, DISTANCE };
enum { BUCKETS = 1 << 16, SHIFT = 8 * sizeof(real) - 16 };

static const cr_option options[] = {
  [FILTER_PERCENTAGE] = { "filter_percentage", 0.5, 0, 1, "share of the pairs that is kept",
                          CR_NUMBER, NULL, false },
  CR_MINER_OPTIONS(CR_EUCLIDEAN),
  { 0 }
};

/* Positive and negative pairs, in this order. */
typedef struct work {
  int64_t *count[2];                    /* by bucket */
  uint64_t last[2];                     /* the bucket where the share ends */
  int64_t share[2], candidates[2];
  cr_sort_item *item[2];
  int64_t n[2];
} work;

static uint64_t key_of(const cr_mine_row *r, int64_t j) {
  return cr_sort_key_real(r->d[j], r->kind[j] == CR_POSITIVE);
}

static bool count_row(cr_miner *m, const cr_mine_row *r, void *context, cr_error *err) {
  work *w = context;
  (void)m, (void)err;
  for (int64_t j = 0; j < r->columns; j++)
    if (r->kind[j] != CR_NEITHER) w->count[r->kind[j] == CR_NEGATIVE][key_of(r, j) >> SHIFT]++;
  return true;
}

static bool gather_row(cr_miner *m, const cr_mine_row *r, void *context, cr_error *err) {
  work *w = context;
  (void)m, (void)err;
  for (int64_t j = 0; j < r->columns; j++) {
    int side = r->kind[j] == CR_NEGATIVE;
    if (r->kind[j] == CR_NEITHER || w->candidates[side] == 0) continue;
    uint64_t key = key_of(r, j);
    if (key >> SHIFT <= w->last[side])
      w->item[side][w->n[side]++] = (cr_sort_item){ key, r->i * r->columns + j };
  }
  return true;
}

static void find_borders(const cr_miner *m, work *w, double share) {
  int64_t pairs[] = { m->positive_pairs, m->negative_pairs };
  for (int side = 0; side < 2; side++) {
    w->share[side] = (int64_t)ceil(share * (double)pairs[side]);
    for (uint64_t b = 0; b < BUCKETS && w->candidates[side] < w->share[side]; b++) {
      w->candidates[side] += w->count[side][b];
      w->last[side] = b;
    }
  }
}

static bool keep(cr_miner *m, const work *w, cr_error *err) {
  for (int side = 0; side < 2; side++)
    for (int64_t k = 0; k < w->share[side]; k++) {
      int64_t place = w->item[side][k].index;
      if (!cr_mine_pair(m, side ? CR_NEGATIVE : CR_POSITIVE, place / m->columns, place % m->columns,
                        err)) return false;
    }
  return true;
}

static bool mine(cr_miner *m, double share, work *w, cr_error *err) {
  if (!cr_miner_pass(m, count_row, w, err)) return false;
  find_borders(m, w, share);
  for (int side = 0; side < 2; side++) {
    w->item[side] = cr_alloc(2 * (size_t)w->candidates[side] * sizeof(cr_sort_item), err);
    if (w->item[side] == NULL) return false;
  }
  if (!cr_miner_pass(m, gather_row, w, err)) return false;
  for (int side = 0; side < 2; side++)
    cr_sort_top(w->item[side], w->item[side] + w->candidates[side], w->candidates[side],
                w->share[side]);
  return keep(m, w, err);
}

static bool check(cr_call *c, cr_error *err) {
  cr_mine_shape shape;
  cr_miner m;
  work w = { 0 };
  if (!cr_mine_options(c, DISTANCE, &shape, err)) return false;
  bool ok = cr_miner_open(&m, c, &shape, err);
  if (ok) w.count[0] = cr_alloc_zero(2 * BUCKETS * sizeof(int64_t), err);
  if (w.count[0] != NULL) w.count[1] = w.count[0] + BUCKETS;
  ok = w.count[0] != NULL && mine(&m, c->option[FILTER_PERCENTAGE], &w, err);
  cr_free(w.item[0]);
  cr_free(w.item[1]);
  cr_free(w.count[0]);
  return cr_miner_close(&m, ok, err);
}

const cr_op cr_miner_hdc = {
  .name = "hdc", .help = "the hardest share of the positive and of the negative pairs",
  .formula = "the ceil(f P) farthest positive pairs and the ceil(f N) nearest negative pairs",
  .paper = "Yuan, Yang, Zhang, \"Hard-aware deeply cascaded embedding\", ICCV 2017",
  .differs = "pytorch-metric-learning normalises rows by default: normalize = true",
  .inputs = cr_miner_inputs, .outputs = cr_pair_outputs, .options = options,
  .stats = cr_pair_stats, .check = check, .forward = cr_miner_forward,
};
