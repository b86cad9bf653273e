/* cube.c - a loss in a C module: the mean of |x_i - x_j|^power over positive pairs
 *
 *   L = 1/P sum_{i<j, y_i = y_j} |x_i - x_j|^power
 *
 *   local crun = require "crun"
 *   local cube = require "cube"
 *   local loss = cube { power = 3 } (z, labels)         crun.losses.cube is the same
 *
 * Plain on purpose: two loops over pairs, distances worked out again in backward. */
#include <crun.h>
#include <math.h>
#include <string.h>

enum { EMBEDDINGS, LABELS };
enum { POWER };
enum { PAIRS };

static const crun_input inputs[] = {
  [EMBEDDINGS] = { "embeddings", "B D", 0, 0 },
  [LABELS]     = { "labels",     "B",   1, 0 },
  { 0 }
};
static const crun_option options[] = {
  [POWER] = { "power", 3, 1, 10, "of the distance" },
  { 0 }
};
static const char *const stats[] = { [PAIRS] = "pairs", NULL };

static double distance(crun_view x, int64_t i, int64_t j) {
  int64_t D = x.shape[1];
  double sum = 0;
  for (int64_t k = 0; k < D; k++) {
    double step = crun_get(x, i * D + k) - crun_get(x, j * D + k);
    sum += step * step;
  }
  return sqrt(sum);
}

static double pairs_of(crun_view labels) {
  const int64_t *y = labels.data;
  double pairs = 0;
  for (int64_t i = 0; i < labels.shape[0]; i++)
    for (int64_t j = 0; j < i; j++) pairs += y[i] == y[j];
  return pairs;
}

static const char *check(const crun_call *c, size_t *saved_bytes, size_t *scratch_bytes) {
  (void)saved_bytes;
  *scratch_bytes = (size_t)c->in[EMBEDDINGS].shape[1] * sizeof(double);
  return c->in[EMBEDDINGS].shape[1] > 0 ? NULL : "embeddings must have a column or more";
}

static void forward(crun_call *c) {
  const int64_t *y = c->in[LABELS].data;
  double pairs = pairs_of(c->in[LABELS]), sum = 0;
  for (int64_t i = 0; i < c->in[LABELS].shape[0]; i++)
    for (int64_t j = 0; j < i; j++)
      if (y[i] == y[j]) sum += pow(distance(c->in[EMBEDDINGS], i, j), c->option[POWER]);
  c->stat[PAIRS] = pairs;
  c->loss = pairs > 0 ? sum / pairs : 0;
}

static void backward(crun_call *c) {
  crun_view x = c->in[EMBEDDINGS], g = c->gin[EMBEDDINGS];
  const int64_t *y = c->in[LABELS].data;
  int64_t B = x.shape[0], D = x.shape[1];
  double pairs = pairs_of(c->in[LABELS]), power = c->option[POWER], *row = c->scratch;
  for (int64_t i = 0; i < B; i++) {
    memset(row, 0, (size_t)D * sizeof *row);
    for (int64_t j = 0; j < B; j++) {
      double d = i != j && y[i] == y[j] ? distance(x, i, j) : 0;
      if (d == 0) continue;                             /* no direction to move in */
      double by = c->gloss / pairs * power * pow(d, power - 2);
      for (int64_t k = 0; k < D; k++)
        row[k] += by * (crun_get(x, i * D + k) - crun_get(x, j * D + k));
    }
    for (int64_t k = 0; k < D; k++) crun_set(g, i * D + k, row[k]);
  }
}

static const crun_loss loss = {
  .abi = CRUN_ABI, .name = "cube", .help = "the mean power of the distance of positive pairs",
  .formula = "mean over positive pairs of |x_i - x_j|^power",
  .inputs = inputs, .options = options, .stats = stats,
  .check = check, .forward = forward, .backward = backward,
};

int luaopen_cube(lua_State *L) {
  const crun_api *crun = crun_open(L);
  crun->register_loss(L, &loss);
  return 1;
}
