/* distance_weighted.c - negatives drawn evenly over distance, for embeddings on the unit sphere
 *
 *   w(n) = 1 / q(max(d_an, cutoff)),  q(d) ~ d^(D-2) (1 - d^2/4)^((D-3)/2)
 *
 * q is the density of distances between random points of the sphere in D dimensions. A negative is
 * drawn with probability w / sum w; those at nonzero_loss_cutoff or beyond have weight 0. The
 * positive is drawn evenly. An anchor gives as many triplets as its class has rows (in the
 * references, if given), or triplets_per_anchor; none when no negative has a weight. The exponent
 * is taken from the row's own maximum, so no row underflows. Random numbers come from seed and step
 * and the row: the same three draw the same triplets.
 *
 * Wu, Manmatha, Smola, Kraehenbuehl, "Sampling matters in deep embedding learning", ICCV 2017,
 * eq. 3. Distances beyond 2 do not exist on the sphere and weigh 0. Cost B R D. */
#include <math.h>

#include "autograd/miner.h"
#include "base/rng.h"

enum { CUTOFF, NONZERO_LOSS_CUTOFF, TRIPLETS_PER_ANCHOR, SEED, STEP, DISTANCE };

static const cr_option options[] = {
  [CUTOFF] = { "cutoff", 0.5, 1e-6, 2, "nearer negatives weigh as if they were this far", CR_NUMBER,
               NULL, false },
  [NONZERO_LOSS_CUTOFF] = { "nonzero_loss_cutoff", 1.4, 0, 1e30,
                            "negatives this far or farther are never drawn", CR_NUMBER, NULL,
                            false },
  [TRIPLETS_PER_ANCHOR] = { "triplets_per_anchor", NAN, 1, 1e6, "default: the size of its class",
                            CR_COUNT, NULL, false },
  [SEED] = { "seed", 0, 0, 0x1p53, "of the random numbers", CR_COUNT, NULL, false },
  [STEP] = { "step", 0, 0, 0x1p31, "which draw of that seed", CR_COUNT, NULL, false },
  CR_MINER_OPTIONS(CR_EUCLIDEAN),
  { 0 }
};

typedef struct settings {
  double cutoff, beyond, width;
  int64_t per_anchor;                   /* 0: the size of the class */
  uint64_t seed, stream, step;
  double *running;                      /* [columns]: sums of weights so far */
} settings;

/* log w, or -inf for a negative that is never drawn */
static double log_weight(const settings *s, double d) {
  double at = d > s->cutoff ? d : s->cutoff;
  if (!(at < s->beyond && at < 2)) return -INFINITY;
  return (2 - s->width) * log(at) - (s->width - 3) / 2 * log1p(-0.25 * at * at);
}

/* Fills running; returns the sum of all weights, 0 when there is none. */
static double weigh(const settings *s, const cr_mine_row *r) {
  double most = -INFINITY, sum = 0;
  for (int64_t j = 0; j < r->columns; j++) {
    s->running[j] = r->kind[j] == CR_NEGATIVE ? log_weight(s, (double)r->d[j]) : -INFINITY;
    most = fmax(most, s->running[j]);
  }
  if (isinf(most)) return 0;
  for (int64_t j = 0; j < r->columns; j++) s->running[j] = sum += exp(s->running[j] - most);
  return sum;
}

/* The first j whose running sum is above x: one that has a weight. */
static int64_t place_of(const settings *s, int64_t n, double x) {
  int64_t low = 0, high = n - 1;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    if (s->running[middle] > x) high = middle;
    else low = middle + 1;
  }
  return low;
}

static bool row(cr_miner *m, const cr_mine_row *r, void *context, cr_error *err) {
  const settings *s = context;
  double sum = r->positives > 0 ? weigh(s, r) : 0;
  if (!(sum > 0)) return true;
  cr_rng rng = cr_rng_at(s->seed, s->stream, s->step << 32 | (uint64_t)r->i);
  int64_t count = s->per_anchor > 0 ? s->per_anchor : r->positives + (m->pairs.same ? 1 : 0);
  for (int64_t k = 0; k < count; k++) {
    int64_t p = r->positive[cr_rng_below(&rng, (uint64_t)r->positives)];
    double x = fmin(cr_rng_uniform(&rng) * sum, nextafter(sum, 0));
    int64_t n = place_of(s, r->columns, x);
    if (!cr_mine_triplet(m, r->i, p, n, err)) return false;
  }
  return true;
}

static bool check(cr_call *c, cr_error *err) {
  double per = c->option[TRIPLETS_PER_ANCHOR];
  settings s = { c->option[CUTOFF], c->option[NONZERO_LOSS_CUTOFF],
                 (double)c->in[CR_MINER_EMBEDDINGS]->shape[1], isnan(per) ? 0 : (int64_t)per,
                 (uint64_t)c->option[SEED], cr_rng_hash("distance_weighted"),
                 (uint64_t)c->option[STEP], NULL };
  cr_mine_shape shape;
  cr_miner m;
  if (!cr_mine_options(c, DISTANCE, &shape, err)) return false;
  bool ok = cr_miner_open(&m, c, &shape, err);
  if (ok) s.running = cr_alloc((size_t)m.columns * sizeof *s.running, err);
  ok = s.running != NULL && cr_miner_pass(&m, row, &s, err);
  cr_free(s.running);
  return cr_miner_close(&m, ok, err);
}

const cr_op cr_miner_distance_weighted = {
  .name = "distance_weighted", .help = "negatives drawn evenly over distance on the unit sphere",
  .formula = "P(n) ~ 1 / q(max(d(a,n), cutoff)), q(d) ~ d^(D-2) (1 - d^2/4)^((D-3)/2)",
  .paper = "Wu, Manmatha, Smola, Kraehenbuehl, \"Sampling matters in deep embedding learning\", "
           "ICCV 2017, eq. 3",
  .differs = "pytorch-metric-learning normalises rows by default (normalize = true) and takes the "
             "exponent from the maximum of the whole matrix, so that weak rows underflow to none",
  .inputs = cr_miner_inputs, .outputs = cr_triplet_outputs, .options = options,
  .stats = cr_triplet_stats, .check = check, .forward = cr_miner_forward,
};
