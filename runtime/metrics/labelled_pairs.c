/* labelled_pairs.c - the distances of the pairs of a labelled set, and whether their labels are
 * equal
 *
 * All pairs i < j, row by row, or `limit` of them when there are more: the numbering of all pairs
 * is cut into `limit` equal stretches and one pair is drawn from each, so that no pair comes twice
 * and the shares of the two kinds stay what they are. `seed` says which.
 *
 * distance as in the losses; cosine is 1 - cos, dot minus the inner product. For histograms, and
 * for metrics.verification, which wants scores: give it minus the distances. */
#include <math.h>

#include "autograd/op.h"
#include "base/pool.h"
#include "base/rng.h"

enum { EMBEDDINGS, LABELS };
enum { DISTANCES, SAME };
enum { DISTANCE, LIMIT, SEED };
enum { EUCLIDEAN, COSINE, DOT };

static const cr_input inputs[] = {
  [EMBEDDINGS] = { "embeddings", "N D", CR_TREAL, CR_NOGRAD },
  [LABELS]     = { "labels",     "N",   CR_TINT,  CR_NOGRAD },
  { 0 }
};

static const cr_output outputs[] = {
  [DISTANCES] = { "distances", NULL, CR_TREAL }, [SAME] = { "same", NULL, CR_TBYTE }, { 0 }
};

static const cr_option options[] = {
  [DISTANCE] = { "distance", EUCLIDEAN, 0, 0, "", CR_CHOICE, "euclidean cosine dot", false },
  [LIMIT] = { "limit", 0, 0, 1e15, "the most pairs; 0: all", CR_COUNT, NULL, false },
  [SEED] = { "seed", 1, 0, 9e15, "of the drawing", CR_COUNT, NULL, false },
  { 0 }
};

static double all_pairs(const cr_call *c) {
  return 0.5 * (double)c->dim['N'] * (double)(c->dim['N'] - 1);
}

static bool check(cr_call *c, cr_error *err) {
  double all = all_pairs(c), limit = c->option[LIMIT];
  int64_t n = (int64_t)(limit > 0 && limit < all ? limit : all);
  if (c->dim['N'] > 60000000)
    return cr_fail(err, CR_EVALUE, "%lld rows are too many", (long long)c->dim['N']);
  cr_out_shape(c, DISTANCES, 1, &n);
  cr_out_shape(c, SAME, 1, &n);
  c->scratch_bytes = (size_t)c->dim['N'] * sizeof(double);       /* norms */
  return true;
}

CR_VECTOR static double dot(int64_t D, const real *restrict x, const real *restrict y) {
  double lane[8] = { 0 }, sum = 0;
  int64_t k = 0;
  for (; k + 8 <= D; k += 8)
    for (int l = 0; l < 8; l++) lane[l] += (double)x[k + l] * (double)y[k + l];
  for (; k < D; k++) sum += (double)x[k] * (double)y[k];
  for (int l = 0; l < 8; l++) sum += lane[l];
  return sum;
}

CR_VECTOR static double square(int64_t D, const real *restrict x, const real *restrict y) {
  double lane[8] = { 0 }, sum = 0;
  int64_t k = 0;
  for (; k + 8 <= D; k += 8)
    for (int l = 0; l < 8; l++) {
      double d = (double)x[k + l] - (double)y[k + l];
      lane[l] += d * d;
    }
  for (; k < D; k++) sum += ((double)x[k] - (double)y[k]) * ((double)x[k] - (double)y[k]);
  for (int l = 0; l < 8; l++) sum += lane[l];
  return sum;
}

/* Pairs before row i: i (2N - i - 1) / 2. */
static int64_t before(int64_t N, int64_t i) { return i * (2 * N - i - 1) / 2; }

static int64_t row_of_pair(int64_t N, int64_t p) {
  double m = (double)N - 0.5;
  int64_t i = (int64_t)(m - sqrt(m * m - 2 * (double)p));
  i = i < 0 ? 0 : i > N - 2 ? N - 2 : i;
  while (i > 0 && before(N, i) > p) i--;
  while (i < N - 2 && before(N, i + 1) <= p) i++;
  return i;
}

static void measure(void *context, int64_t begin, int64_t end) {
  const cr_call *c = context;
  int64_t N = c->dim['N'], D = c->dim['D'], n = c->out[DISTANCES]->shape[0], all = before(N, N);
  const real *x = cr_reals(c->in[EMBEDDINGS]);
  const int64_t *label = cr_ints(c->in[LABELS]);
  const double *norm = c->scratch;
  for (int64_t k = begin; k < end; k++) {
    int64_t p = k;
    if (n < all) {
      cr_rng rng = cr_rng_at((uint64_t)c->option[SEED], cr_rng_hash("labelled_pairs"), (uint64_t)k);
      double stretch = (double)all / (double)n;
      int64_t low = (int64_t)((double)k * stretch), high = (int64_t)((double)(k + 1) * stretch);
      p = low + (int64_t)cr_rng_below(&rng, (uint64_t)(high > low ? high - low : 1));
      p = p < all ? p : all - 1;
    }
    int64_t i = row_of_pair(N, p), j = i + 1 + p - before(N, i);
    const real *a = x + i * D, *b = x + j * D;
    double d = c->option[DISTANCE] == EUCLIDEAN ? sqrt(square(D, a, b)) : dot(D, a, b);
    if (c->option[DISTANCE] == COSINE) d = 1 - d / (norm[i] * norm[j]);
    if (c->option[DISTANCE] == DOT) d = -d;
    cr_reals(c->out[DISTANCES])[k] = (real)d;
    cr_bytes(c->out[SAME])[k] = label[i] == label[j];
  }
}

static void forward(cr_call *c) {
  int64_t N = c->dim['N'], D = c->dim['D'], n = c->out[DISTANCES]->shape[0];
  const real *x = cr_reals(c->in[EMBEDDINGS]);
  double *norm = c->scratch;
  for (int64_t i = 0; i < N; i++) {
    norm[i] = sqrt(dot(D, x + i * D, x + i * D));
    if (norm[i] < 1e-12) norm[i] = 1e-12;
  }
  if (n > 0) cr_pool_for(n, n * D < 20000 ? n : 1024, measure, c);
}

const cr_op cr_metric_labelled_pairs = {
  .name = "labelled_pairs",
      .help = "distances of pairs of a labelled set, and whether their labels are equal",
  .inputs = inputs, .outputs = outputs, .options = options, .check = check, .forward = forward,
};
