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
#include "kernels/vmath.h"

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
  real *weight;                         /* [columns] */
} settings;

/* out = log w, or -inf for what is never drawn */
CR_VECTOR static void log_weights(int64_t n, real cutoff, real beyond, real width,
                                  const real *restrict d, const uint8_t *restrict kind,
                                  real *restrict out) {
  for (int64_t j = 0; j < n; j++) {
    real at = d[j] > cutoff ? d[j] : cutoff;
    real w = (2 - width) * cr_log(at) - (width - 3) / 2 * cr_log1p((real)-0.25 * at * at);
    out[j] = kind[j] == CR_NEGATIVE && at < beyond ? w : -(real)INFINITY;
  }
}

CR_VECTOR static void exponentials(int64_t n, real most, real *w) {
  for (int64_t j = 0; j < n; j++) w[j] = cr_exp(w[j] - most);
}

/* Fills running; returns the sum of all weights, 0 when there is none. */
static double weigh(const settings *s, const cr_mine_row *r) {
  real most = -(real)INFINITY, *w = s->weight;
  double sum = 0;
  log_weights(r->columns, (real)s->cutoff, (real)(s->beyond < 2 ? s->beyond : 2), (real)s->width,
              r->d, r->kind, w);
  for (int64_t j = 0; j < r->columns; j++) most = w[j] > most ? w[j] : most;
  if (isinf(most)) return 0;
  exponentials(r->columns, most, w);
  for (int64_t j = 0; j < r->columns; j++) s->running[j] = sum += (double)w[j];
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
                 (uint64_t)c->option[STEP], NULL, NULL };
  cr_mine_shape shape;
  cr_miner m;
  if (!cr_mine_options(c, DISTANCE, &shape, err)) return false;
  bool ok = cr_miner_open(&m, c, &shape, err);
  size_t n = ok ? (size_t)m.columns : 0;
  if (ok) s.running = cr_alloc(n * (sizeof *s.running + sizeof *s.weight), err);
  if (s.running != NULL) s.weight = (real *)(void *)(s.running + n);
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
