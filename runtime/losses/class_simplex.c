/* class_simplex.c - square error to the vertices of a regular simplex, one a class
 *
 *   l_i = 1/D |x_i - v_{y_i}|^2       v_1 .. v_C: unit vectors, <v_a, v_b> = -1/(C-1) for a != b
 *
 * embeddings [B D] with D >= C-1, labels [B] class numbers from 1, classes = C; coordinates past
 * C-1 shall be 0. reduction mean (over the rows), sum, none.
 *
 * Nothing is learnt: the classes are as far apart as C directions can be from the start.
 * Coordinate j of v_y is own_j for j = y, rest_j for j < y and 0 for j > y, so two numbers a class
 * are all that is kept, and the vertex nearest to a row (stats.accuracy) is found in time D.
 * Cost: B D. */
#include <math.h>
#include <tgmath.h>

#include "autograd/term_loss.h"

enum { EMBEDDINGS, LABELS };
enum { CLASSES, REDUCTION };
enum { ACCURACY };

static const cr_input inputs[] = {
  [EMBEDDINGS] = { "embeddings", "B D", CR_TREAL, 0 },
  [LABELS]     = { "labels",     "B",   CR_TINT,  CR_NOGRAD },
  { 0 }
};

static const cr_output outputs[] = { { "loss", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [CLASSES] = { "classes", 0, 2, 1e9, "how many classes there are", CR_COUNT, NULL, true },
  [REDUCTION] = CR_REDUCTION_OPTION,
  { 0 }
};

/* share of rows that are nearest to the vertex of their class */
static const char *const stats[] = { [ACCURACY] = "accuracy", NULL };

typedef struct vertex { double own, rest; } vertex;

static bool check(cr_call *c, cr_error *err) {
  int64_t B = c->dim['B'], C = (int64_t)c->option[CLASSES];
  const int64_t *label = cr_ints(c->in[LABELS]);
  if (c->dim['D'] < C - 1)
    return cr_fail(err, CR_ESHAPE, "embeddings of %lld classes must have a width of %lld or more, "
                   "got %lld", (long long)C, (long long)C - 1, (long long)c->dim['D']);
  for (int64_t i = 0; i < B; i++)
    if (label[i] < 1 || label[i] > C)
      return cr_fail(err, CR_EVALUE,
                     "labels are class numbers from 1 to %lld, got %lld in row %lld", (long long)C,
                     (long long)label[i], (long long)i + 1);
  c->scratch_bytes = c->backward_scratch_bytes = (size_t)C * sizeof(vertex);
  cr_out_shape(c, 0, c->option[REDUCTION] == CR_NONE ? 1 : 0, &B);
  return true;
}

/* Each vertex uses up what length is left, and all later ones make the inner product right. */
static void fill(int64_t C, vertex *v) {
  double used = 0, product = -1 / (double)(C - 1);
  for (int64_t j = 0; j < C; j++) {
    v[j].own = j < C - 1 ? sqrt(1 - used) : 0;
    v[j].rest = j < C - 1 ? (product - used) / v[j].own : 0;
    used += v[j].rest * v[j].rest;
  }
}

static double coordinate(const vertex *v, int64_t y, int64_t j) {
  return j < y ? v[j].rest : j == y ? v[j].own : 0;
}

/* <x, v_y> is a running sum and one term: the largest wins */
static int64_t nearest(int64_t C, int64_t D, const real *x, const vertex *v) {
  double running = 0, most = -INFINITY;
  int64_t best = 0;
  for (int64_t y = 0; y < C; y++) {
    double here = y < D ? (double)x[y] : 0;
    if (running + here * v[y].own > most) {
      most = running + here * v[y].own;
      best = y;
    }
    running += here * v[y].rest;
  }
  return best;
}

static double divisor(const cr_call *c) {
  bool mean = c->option[REDUCTION] == CR_MEAN && c->dim['B'] > 0;
  return (double)c->dim['D'] * (mean ? (double)c->dim['B'] : 1);
}

static void forward(cr_call *c) {
  int64_t B = c->dim['B'], D = c->dim['D'], C = (int64_t)c->option[CLASSES], right = 0;
  const int64_t *label = cr_ints(c->in[LABELS]);
  vertex *v = c->scratch;
  double total = 0;
  fill(C, v);
  for (int64_t i = 0; i < B; i++) {
    const real *x = cr_reals(c->in[EMBEDDINGS]) + i * D;
    int64_t y = label[i] - 1;
    double sum = 0;
    for (int64_t j = 0; j < D; j++) {
      double off = (double)x[j] - coordinate(v, y, j);
      sum += off * off;
    }
    total += sum;
    right += nearest(C, D, x, v) == y;
    if (c->option[REDUCTION] == CR_NONE) cr_reals(c->out[0])[i] = (real)(sum / divisor(c));
  }
  if (c->option[REDUCTION] != CR_NONE) *cr_reals(c->out[0]) = (real)(total / divisor(c));
  c->stat[ACCURACY] = B > 0 ? (double)right / (double)B : 0;
}

static void backward(cr_call *c) {
  int64_t B = c->dim['B'], D = c->dim['D'];
  const int64_t *label = cr_ints(c->in[LABELS]);
  const real *gout = cr_reals(c->gout[0]), *x = cr_reals(c->in[EMBEDDINGS]);
  vertex *v = c->scratch;
  fill((int64_t)c->option[CLASSES], v);
  for (int64_t i = 0; i < B; i++) {
    double by = 2 * (double)gout[c->option[REDUCTION] == CR_NONE ? i : 0] / divisor(c);
    for (int64_t j = 0; j < D; j++)
      cr_reals(c->gin[EMBEDDINGS])[i * D + j] =
          (real)(by * ((double)x[i * D + j] - coordinate(v, label[i] - 1, j)));
  }
}

const cr_op cr_loss_class_simplex = {
  .name = "class_simplex",
  .help = "square error to the vertices of a regular simplex, one a class; nothing is learnt",
  .formula = "mean of |x_i - v_{y_i}|^2 / D, v the vertices of a regular simplex of norm 1",
  .paper = "as in Torch7 (nn.ClassSimplexCriterion)",
  .inputs = inputs, .outputs = outputs, .options = options, .stats = stats,
  .check = check, .forward = forward, .backward = backward,
};
