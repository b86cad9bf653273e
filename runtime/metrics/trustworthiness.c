/* trustworthiness.c - whether neighbours in a map are neighbours in truth
 *
 *   T = 1 - 2 / (N k (2N - 3k - 1)) sum over i, over the k nearest j of i in the map, of
 *       max(0, r(i, j) - k)
 *
 *   points, stats = crun.metrics.trustworthiness(embeddings, map, { k = 12 })
 *
 * r(i, j) is the place of j among the others by their distance to i in the original space, from 1.
 * 1: every neighbour in the map is a true one; about 0.5: a random map. The output holds the sum of
 * each row scaled to [0, 1] likewise, so that untrue points can be found; T is their mean. Equal
 * distances: the lower number first. k must be below N / 2 (then the factor is that of the worst
 * case); it is lowered to the largest that is, and stats.k says so. N < 4: nan.
 *
 * Venna, Kaski, "Neighborhood preservation in nonlinear projection methods", ICANN 2001. As in
 * scikit-learn (default k there 5). N^2 D time. */
#include <math.h>

#include "autograd/op.h"
#include "base/pool.h"

enum { EMBEDDINGS, MAP };
enum { K };
enum { T, USED };

static const cr_input inputs[] = {
  [EMBEDDINGS] = { "embeddings", "N D", CR_TREAL, CR_NOGRAD },
  [MAP]        = { "map",        "N E", CR_TREAL, CR_NOGRAD },
  { 0 }
};

static const cr_output outputs[] = { { "points", "N", CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [K] = { "k", 12, 1, 1e6, "neighbours of the map that are looked at", CR_COUNT }, { 0 }
};

static const char *const stats[] = { [T] = "trustworthiness", [USED] = "k", NULL };

enum { ROWS = 8 };

typedef struct work { cr_call *c; int64_t n, k; } work;

static bool check(cr_call *c, cr_error *err) {
  for (int input = EMBEDDINGS; input <= MAP; input++) {
    const real *x = cr_reals(c->in[input]);
    int64_t width = c->dim[input == MAP ? 'E' : 'D'];
    for (int64_t k = 0; k < c->dim['N'] * width; k++)
      if (!isfinite(x[k]))
        return cr_fail(err, CR_EVALUE, "%s: row %lld holds a value that is not finite",
                       inputs[input].name, (long long)(k / width + 1));
  }
  c->scratch_bytes = (size_t)cr_pool_threads() * (size_t)c->dim['N'] * 2 * sizeof(double);
  return true;
}

static void distances(const cr_tensor *t, int64_t width, int64_t n, int64_t i, double *d) {
  const real *x = cr_reals(t);
  for (int64_t j = 0; j < n; j++) {
    d[j] = 0;
    for (int64_t c = 0; c < width; c++) {
      double gap = (double)x[i * width + c] - (double)x[j * width + c];
      d[j] += gap * gap;
    }
  }
}

static bool before(const double *d, int64_t a, int64_t b) {
  return d[a] < d[b] || (d[a] == d[b] && a < b);
}

/* How far the k neighbours of i in the map are from being its k neighbours in truth. */
static double intruders(int64_t n, int64_t k, int64_t i, const double *truth, double *map) {
  double sum = 0;
  for (int64_t s = 0; s < k; s++) {
    int64_t nearest = -1, rank = 1;
    for (int64_t j = 0; j < n; j++)
      if (j != i && map[j] >= 0 && (nearest < 0 || map[j] < map[nearest])) nearest = j;
    for (int64_t j = 0; j < n; j++) rank += j != i && before(truth, j, nearest);
    if (rank > k) sum += (double)(rank - k);
    map[nearest] = -1;
  }
  return sum;
}

static void rows(void *context, int64_t block, int worker) {
  const work *w = context;
  const cr_call *c = w->c;
  double *truth = (double *)c->scratch + (int64_t)worker * 2 * w->n, *map = truth + w->n;
  double scale = 2 / (double)(w->k * (2 * w->n - 3 * w->k - 1));
  for (int64_t i = block * ROWS; i < w->n && i < (block + 1) * ROWS; i++) {
    distances(c->in[EMBEDDINGS], c->dim['D'], w->n, i, truth);
    distances(c->in[MAP], c->dim['E'], w->n, i, map);
    cr_reals(c->out[0])[i] = (real)(1 - scale * intruders(w->n, w->k, i, truth, map));
  }
}

static void forward(cr_call *c) {
  work w = { .c = c, .n = c->dim['N'], .k = (int64_t)c->option[K] };
  c->stat[T] = c->stat[USED] = NAN;
  real *out = cr_reals(c->out[0]);
  if (w.n < 4) {
    for (int64_t i = 0; i < w.n; i++) out[i] = (real)NAN;
    return;
  }
  if (w.k > (w.n - 1) / 2) w.k = (w.n - 1) / 2;
  cr_pool_run((w.n + ROWS - 1) / ROWS, rows, &w);
  double sum = 0;
  for (int64_t i = 0; i < w.n; i++) sum += (double)out[i];
  c->stat[T] = sum / (double)w.n;
  c->stat[USED] = (double)w.k;
}

const cr_op cr_metric_trustworthiness = {
  .name = "trustworthiness", .help = "whether neighbours in a map are neighbours in truth",
  .formula = "T = 1 - 2 / (N k (2N - 3k - 1)) sum_i sum_(j in U_k(i)) max(0, r(i, j) - k)",
  .paper = "Venna, Kaski, \"Neighborhood preservation in nonlinear projection methods\", "
           "ICANN 2001",
  .inputs = inputs, .outputs = outputs, .options = options, .stats = stats, .check = check,
  .forward = forward,
};
