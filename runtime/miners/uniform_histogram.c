/* uniform_histogram.c - pairs drawn evenly over the range of distances
 *
 * The distances of all positive pairs, from the least to the greatest, are cut into num_bins equal
 * bins, and from each bin that holds a pair, pos_per_bin are drawn with replacement; the same for
 * negative pairs with neg_per_bin. Random numbers come from seed and step: the same two draw the
 * same pairs. Of distances that are not finite none is drawn.
 *
 * Cost 3 B R D (range, counts, drawing; once where a tile holds the batch). */
#include <math.h>
#include <stdlib.h>

#include "autograd/miner.h"
#include "base/rng.h"

enum { NUM_BINS, POS_PER_BIN, NEG_PER_BIN, SEED, STEP, DISTANCE };

static const cr_option options[] = {
  [NUM_BINS] = { "num_bins", 100, 1, 1e6, "", CR_COUNT, NULL, false },
  [POS_PER_BIN] = { "pos_per_bin", 10, 0, 1e6, "positive pairs from each bin", CR_COUNT, NULL,
                    false },
  [NEG_PER_BIN] = { "neg_per_bin", 10, 0, 1e6, "negative pairs from each bin", CR_COUNT, NULL,
                    false },
  [SEED] = { "seed", 0, 0, 0x1p53, "of the random numbers", CR_COUNT, NULL, false },
  [STEP] = { "step", 0, 0, 0x1p31, "which draw of that seed", CR_COUNT, NULL, false },
  CR_MINER_OPTIONS(CR_EUCLIDEAN),
  { 0 }
};

/* Of one side. seen, drawn: by bin; rank: for each bin its rising numbers among the pairs of it. */
typedef struct side {
  double least, most, scale;            /* bins for each unit of distance */
  int64_t bins, per_bin, *count, *seen, *drawn, *rank;
} side;

static int64_t bin_of(const side *s, real d) {
  int64_t bin = (int64_t)(((double)d - s->least) * s->scale);
  return bin < s->bins ? bin : s->bins - 1;
}

static bool counts(const cr_mine_row *r, int64_t j) {
  return r->kind[j] != CR_NEITHER && isfinite(r->d[j]);
}

static bool range_row(cr_miner *m, const cr_mine_row *r, void *context, cr_error *err) {
  side *sides = context;
  (void)m, (void)err;
  for (int64_t j = 0; j < r->columns; j++) {
    if (!counts(r, j)) continue;
    side *s = &sides[r->kind[j] == CR_NEGATIVE];
    double d = (double)r->d[j];
    if (d < s->least) s->least = d;
    if (d > s->most) s->most = d;
  }
  return true;
}

static bool count_row(cr_miner *m, const cr_mine_row *r, void *context, cr_error *err) {
  side *sides = context;
  (void)m, (void)err;
  for (int64_t j = 0; j < r->columns; j++) {
    side *s = &sides[r->kind[j] == CR_NEGATIVE];
    if (counts(r, j)) s->count[bin_of(s, r->d[j])]++;
  }
  return true;
}

static bool draw_row(cr_miner *m, const cr_mine_row *r, void *context, cr_error *err) {
  side *sides = context;
  for (int64_t j = 0; j < r->columns; j++) {
    if (!counts(r, j)) continue;
    side *s = &sides[r->kind[j] == CR_NEGATIVE];
    int64_t bin = bin_of(s, r->d[j]), at = s->seen[bin]++, *rank = s->rank + bin * s->per_bin;
    for (; s->drawn[bin] < s->per_bin && rank[s->drawn[bin]] == at; s->drawn[bin]++)
      if (!cr_mine_pair(m, r->kind[j], r->i, j, err)) return false;
  }
  return true;
}

static int by_size(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

static void draw_ranks(side *s, cr_rng *rng) {
  for (int64_t bin = 0; bin < s->bins && s->per_bin > 0; bin++) {
    int64_t *rank = s->rank + bin * s->per_bin;
    for (int64_t k = 0; k < s->per_bin && s->count[bin] > 0; k++)
      rank[k] = (int64_t)cr_rng_below(rng, (uint64_t)s->count[bin]);
    qsort(rank, (size_t)s->per_bin, sizeof *rank, by_size);
  }
}

static bool mine(cr_miner *m, side sides[2], cr_rng *rng, cr_error *err) {
  if (!cr_miner_pass(m, range_row, sides, err)) return false;
  for (int k = 0; k < 2; k++) {
    double width = sides[k].most - sides[k].least;
    double scale = width > 0 ? (double)sides[k].bins / width : 0;
    sides[k].scale = isfinite(scale) ? scale : 0;
  }
  if (!cr_miner_pass(m, count_row, sides, err)) return false;
  draw_ranks(&sides[0], rng);
  draw_ranks(&sides[1], rng);
  return cr_miner_pass(m, draw_row, sides, err);
}

static bool check(cr_call *c, cr_error *err) {
  cr_mine_shape shape;
  cr_miner m;
  int64_t bins = (int64_t)c->option[NUM_BINS], numbers = 0, *memory = NULL, *at;
  side s[2];
  cr_rng rng = cr_rng_at((uint64_t)c->option[SEED], cr_rng_hash("uniform_histogram"),
                         (uint64_t)c->option[STEP]);
  if (!cr_mine_options(c, DISTANCE, &shape, err)) return false;
  for (int k = 0; k < 2; k++) {
    s[k] = (side){ .least = INFINITY, .most = -INFINITY, .bins = bins,
                   .per_bin = (int64_t)c->option[POS_PER_BIN + k] };
    numbers += bins * (3 + s[k].per_bin);
  }
  bool ok = cr_miner_open(&m, c, &shape, err);
  if (ok) at = memory = cr_alloc_zero((size_t)numbers * sizeof *memory, err);
  ok = memory != NULL;
  for (int k = 0; ok && k < 2; k++) {
    s[k].count = at;
    s[k].seen = at + bins;
    s[k].drawn = at + 2 * bins;
    s[k].rank = at + 3 * bins;
    at += bins * (3 + s[k].per_bin);
  }
  ok = ok && mine(&m, s, &rng, err);
  cr_free(memory);
  return cr_miner_close(&m, ok, err);
}

const cr_op cr_miner_uniform_histogram = {
  .name = "uniform_histogram", .help = "pairs drawn evenly over the range of distances",
  .formula = "per bin of [min d, max d]: pos_per_bin (neg_per_bin) pairs with replacement",
  .differs = "pytorch-metric-learning normalises rows by default (normalize = true) and draws from "
             "a global generator",
  .inputs = cr_miner_inputs, .outputs = cr_pair_outputs, .options = options,
  .stats = cr_pair_stats, .check = check, .forward = cr_miner_forward,
};
