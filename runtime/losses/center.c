/* center.c - half the squared distance of every embedding to the centre of its class
 *
 *   l_i = 1/2 |x_i - c_{y_i}|^2         dl_i/dx_i = x_i - c_y,   dl_i/dc_y = c_y - x_i
 *
 * embeddings [B D], labels [B] class numbers from 1, weights [C D] the centres, item_weights? [B]
 * multiply the rows' losses; reduction mean (over the rows), sum, none.
 *
 * It pulls and never pushes: it goes beside a softmax loss, with a small weight. The paper does not
 * train the centres by this gradient but moves them by c_j - alpha sum (c_j - x_i) / (1 + n_j),
 * after each batch, n_j rows of which are of class j; the object of crun.losses does that.
 *
 * Cost: B D, and the gradient of the centres C D. */
#include <string.h>

#include "autograd/term_loss.h"

enum { EMBEDDINGS, LABELS, WEIGHTS, ITEM_WEIGHTS };
enum { REDUCTION };
enum { DISTANCE };

static const cr_input inputs[] = {
  [EMBEDDINGS]   = { "embeddings",   "B D", CR_TREAL, 0 },
  [LABELS]       = { "labels",       "B",   CR_TINT,  CR_NOGRAD },
  [WEIGHTS]      = { "weights",      "C D", CR_TREAL, 0 },
  [ITEM_WEIGHTS] = { "item_weights", "B",   CR_TREAL, CR_OPTIONAL | CR_NOGRAD },
  { 0 }
};

static const cr_output outputs[] = { { "loss", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = { [REDUCTION] = CR_REDUCTION_OPTION, { 0 } };

static const char *const stats[] = {
  [DISTANCE] = "positive_distance",   /* the mean of |x_i - c_y|^2 */
  NULL
};

static double item_weight(const cr_call *c, int64_t i) {
  return c->in[ITEM_WEIGHTS] != NULL ? (double)cr_reals(c->in[ITEM_WEIGHTS])[i] : 1;
}

static bool check(cr_call *c, cr_error *err) {
  int64_t B = c->dim['B'], C = c->dim['C'];
  const int64_t *label = cr_ints(c->in[LABELS]);
  for (int64_t i = 0; i < B; i++)
    if (label[i] < 1 || label[i] > C)
      return cr_fail(err, CR_EVALUE,
                     "labels are class numbers from 1 to %lld, got %lld in row %lld", (long long)C,
                     (long long)label[i], (long long)i + 1);
  /* weighted differences: the centres may move before backward */
  c->saved_bytes = c->wants_grad ? (size_t)(B * c->dim['D']) * sizeof(real) +
                                   (size_t)B * sizeof(int64_t) : 0;
  c->backward_scratch_bytes = c->want[WEIGHTS] ? (size_t)(C * c->dim['D']) * sizeof(double) : 0;
  cr_out_shape(c, 0, c->option[REDUCTION] == CR_NONE ? 1 : 0, &B);
  return true;
}

/* out = by (x - centre) if wanted; returns |x - centre|^2 */
CR_VECTOR static double difference(int64_t n, const real *restrict x, const real *restrict centre,
                                   real by, real *restrict out) {
  double sum = 0;
  for (int64_t k = 0; k < n; k++) {
    double d = (double)x[k] - (double)centre[k];
    sum += d * d;
  }
  for (int64_t k = 0; out != NULL && k < n; k++) out[k] = by * (x[k] - centre[k]);
  return sum;
}

static void forward(cr_call *c) {
  int64_t B = c->dim['B'], D = c->dim['D'];
  const int64_t *label = cr_ints(c->in[LABELS]);
  double divisor = c->option[REDUCTION] == CR_MEAN && B > 0 ? (double)B : 1, total = 0, sum = 0;
  int64_t *kept = (int64_t *)c->saved;
  real *saved = c->wants_grad ? (real *)(void *)(kept + B) : NULL;
  for (int64_t i = 0; i < B; i++) {
    double by = item_weight(c, i) / divisor;
    double square = difference(D, cr_reals(c->in[EMBEDDINGS]) + i * D,
                               cr_reals(c->in[WEIGHTS]) + (label[i] - 1) * D, (real)by,
                               saved != NULL ? saved + i * D : NULL);
    total += square;
    sum += by * square / 2;
    if (c->option[REDUCTION] == CR_NONE) cr_reals(c->out[0])[i] = (real)(by * square / 2);
    if (saved != NULL) kept[i] = label[i] - 1;
  }
  if (c->option[REDUCTION] != CR_NONE) *cr_reals(c->out[0]) = (real)sum;
  c->stat[DISTANCE] = B > 0 ? total / (double)B : 0;
}

static void backward(cr_call *c) {
  int64_t B = c->dim['B'], C = c->dim['C'], D = c->dim['D'];
  const int64_t *kept = c->saved;
  const real *saved = (const real *)(const void *)(kept + B), *gout = cr_reals(c->gout[0]);
  real *gx = c->gin[EMBEDDINGS] != NULL ? cr_reals(c->gin[EMBEDDINGS]) : NULL;
  double *pull = c->gin[WEIGHTS] != NULL ? c->scratch : NULL;     /* of the centres */
  if (pull != NULL) memset(pull, 0, (size_t)(C * D) * sizeof *pull);
  for (int64_t i = 0; i < B; i++) {
    real by = gout[c->option[REDUCTION] == CR_NONE ? i : 0];
    for (int64_t k = 0; k < D; k++) {
      real g = by * saved[i * D + k];
      if (gx != NULL) gx[i * D + k] = g;
      if (pull != NULL) pull[kept[i] * D + k] -= (double)g;
    }
  }
  for (int64_t k = 0; pull != NULL && k < C * D; k++)
    cr_reals(c->gin[WEIGHTS])[k] = (real)pull[k];
}

const cr_op cr_loss_center = {
  .name = "center",
  .help = "half the squared distance of every embedding to the centre of its class",
  .formula = "mean of 1/2 |x_i - c_{y_i}|^2",
  .paper = "Wen, Zhang, Li, Qiao, \"A discriminative feature learning approach for deep face "
           "recognition\", ECCV 2016, eq. 2 and 4",
  .inputs = inputs, .outputs = outputs, .options = options, .stats = stats,
  .backward_reads = CR_READS_NOTHING, .check = check, .forward = forward, .backward = backward,
};
