/* tsne.c - a map of embeddings in the plane that keeps neighbours together
 *
 *   points, stats = crun.metrics.tsne(embeddings, start, { perplexity = 30 })
 *
 *   p_ij: how likely i would pick j as its neighbour      minimises KL = sum p_ij log(p_ij / q_ij)
 *   q_ij: the same in the map, with heavy tails           (formulas: kernels/tsne.h)
 *
 * start [N 2] is where the points begin, as a rule the first two principal components: it fixes the
 * result, which is the same for any number of threads, and keeps more of the overall arrangement
 * than a random start (Kobak, Linderman, Nature Biotechnology 2021). It is scaled to a standard
 * deviation of 1e-4 along its first column; when that has none, points start on a small spiral.
 * crun.report's maps call it so.
 *
 * Exact, over all pairs: N^2 memory and N^2 time an iteration, so N is at most 5000. A perplexity
 * that (N - 1) / 3 does not hold is lowered to it; stats.perplexity says what was used. Distances
 * between far groups and the sizes of groups mean nothing: read a map with metrics.trustworthiness
 * beside it. N < 4: the points are those of start.
 *
 * van der Maaten, Hinton, "Visualizing data using t-SNE", JMLR 2008. As scikit-learn's
 * method="exact", learning_rate="auto", init="pca". */
#include <math.h>
#include <tgmath.h>

#include "autograd/op.h"
#include "kernels/tsne.h"

enum { EMBEDDINGS, START };
enum { PERPLEXITY, ITERATIONS, EXAGGERATION };
enum { KL, USED };

static const cr_input inputs[] = {
  [EMBEDDINGS] = { "embeddings", "N D", CR_TREAL, CR_NOGRAD },
  [START]      = { "start",      "N 2", CR_TREAL, CR_NOGRAD },
  { 0 }
};

static const cr_output outputs[] = { { "points", "N 2", CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [PERPLEXITY] = { "perplexity", 30, 1, 1e4, "about how many neighbours a point has" },
  [ITERATIONS] = { "iterations", 750, 0, 1e6, "250 of them with exaggerated p", CR_COUNT },
  [EXAGGERATION] = { "exaggeration", 12, 1, 1e3, "factor of p in the first 250 iterations" },
  { 0 }
};

static const char *const stats[] = { [KL] = "kl", [USED] = "perplexity", NULL };

static bool check(cr_call *c, cr_error *err) {
  int64_t n = c->dim['N'];
  if (n > 5000)
    return cr_fail(err, CR_EVALUE, "all pairs of %lld points are too many: take a sample of 5000 "
                   "or fewer", (long long)n);
  const real *x = cr_reals(c->in[EMBEDDINGS]);
  for (int64_t k = 0; k < n * c->dim['D']; k++)
    if (!isfinite(x[k]))
      return cr_fail(err, CR_EVALUE, "embeddings: row %lld holds a value that is not finite",
                     (long long)(k / c->dim['D'] + 1));
  c->scratch_bytes = cr_tsne_bytes(n);
  return true;
}

/* The start, centred, with a standard deviation of 1e-4 along its first column. */
static void place(int64_t n, const real *start, real *y) {
  double mean[2] = { 0, 0 }, square = 0;
  for (int64_t k = 0; k < 2 * n; k++) mean[k % 2] += (double)start[k] / (double)n;
  for (int64_t i = 0; i < n; i++) {
    double gap = (double)start[2 * i] - mean[0];
    square += gap * gap / (double)n;
  }
  double scale = square > 0 && isfinite(square) ? 1e-4 / sqrt(square) : 0;
  for (int64_t i = 0; i < n; i++) {
    double turn = 2.399963229728653 * (double)i, radius = 1e-4 * sqrt((double)i / (double)n);
    for (int k = 0; k < 2; k++)
      y[2 * i + k] = (real)(scale > 0 ? scale * ((double)start[2 * i + k] - mean[k])
                                      : radius * (k == 0 ? cos(turn) : sin(turn)));
  }
}

static void forward(cr_call *c) {
  int64_t n = c->dim['N'];
  real *y = cr_reals(c->out[0]);
  const real *start = cr_reals(c->in[START]);
  double most = (double)(n - 1) / 3, wanted = c->option[PERPLEXITY];
  cr_tsne t = { .n = n, .width = c->dim['D'], .x = cr_reals(c->in[EMBEDDINGS]),
                .perplexity = wanted < most ? wanted : most,
                .exaggeration = c->option[EXAGGERATION],
                .iterations = (int64_t)c->option[ITERATIONS] };
  c->stat[KL] = c->stat[USED] = NAN;
  if (n < 4) {
    for (int64_t k = 0; k < 2 * n; k++) y[k] = start[k];
    return;
  }
  place(n, start, y);
  c->stat[KL] = cr_tsne_run(&t, y, c->scratch);
  c->stat[USED] = t.perplexity;
}

const cr_op cr_metric_tsne = {
  .name = "tsne", .help = "a map of embeddings in the plane that keeps neighbours together",
  .formula = "min over y of sum p_ij log(p_ij / q_ij),  q_ij = (1 + |y_i - y_j|^2)^-1 / Z",
  .paper = "van der Maaten, Hinton, \"Visualizing data using t-SNE\", JMLR 2008",
  .differs = "scikit-learn: method=\"exact\", init=\"pca\"; the start is an "
             "input here, and the learning rate of fewer than 200 points lower",
  .inputs = inputs, .outputs = outputs, .options = options, .stats = stats, .check = check,
  .forward = forward,
};
