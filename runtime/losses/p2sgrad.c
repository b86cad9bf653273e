/* p2sgrad.c - mean square error of cosines to the one-hot label
 *
 *   l_i = 1/C sum_c (cos_ic - [c = y_i])^2        cos_ic = <x_i, w_c> / |x_i|
 *
 * The rows of weights are taken to have norm 1, and their gradient is that of this formula, without
 * the part that keeps the norm: the object of crun.losses divides them by their norm before each
 * step, as the authors' code does. There is no scale and no margin to choose.
 *
 * embeddings [B D], labels [B] class numbers from 1, weights [C D], item_weights? [B] multiply the
 * rows' losses; reduction mean (over the rows), sum, none.
 *
 * Cost: B C D, memory a tile of rows by C (autograd/class_loss.h). An embedding of length 0 has
 * cosine 0 and gradient 0. */
#include "autograd/class_loss.h"

enum { REDUCTION };

static const cr_option options[] = { [REDUCTION] = CR_REDUCTION_OPTION, { 0 } };

/* cos = -d inverse; w = by cos where wanted. Returns sum cos^2. */
CR_VECTOR static double squares(int64_t n, const real *restrict d, real inverse, real by,
                                real *restrict w) {
  double lane[16] = { 0 }, sum = 0;
  int64_t c = 0;
  for (; c + 16 <= n; c += 16)
    for (int l = 0; l < 16; l++) {
      double cosine = (double)(d[c + l] * inverse);
      lane[l] += cosine * cosine;
    }
  for (; c < n; c++) sum += (double)(d[c] * inverse) * (double)(d[c] * inverse);
  for (int l = 0; l < 16; l++) sum += lane[l];
  for (c = 0; w != NULL && c < n; c++) w[c] = -by * (d[c] * inverse);
  return sum;
}

static void row(cr_class_row *r) {
  const real *d = r->row->d;
  real *w = r->row->w;
  int64_t n = r->classes, y = r->target;
  double inverse = r->norm > 0 ? 1 / r->norm : 0, by = -2 * r->by * inverse / (double)n;
  double sum = squares(n, d, (real)inverse, (real)by, w), cosine = -(double)d[y] * inverse;
  /* the target's term is (cos - 1)^2 in place of cos^2 */
  r->loss = (sum - 2 * cosine + 1) / (double)n;
  r->along = by * (sum - cosine);
  if (w != NULL) w[y] = (real)(by * (cosine - 1));
  r->right = 1;
  for (int64_t c = 0; c < n; c++)
    if (d[c] < d[y]) r->right = 0;
}

static cr_class_settings settings(const cr_call *c) {
  return (cr_class_settings){
    .row = row, .reduction = (int)c->option[REDUCTION], .metric = CR_DOT,
    .norm = CR_NORM_EMBEDDING,
  };
}

static bool check(cr_call *c, cr_error *err) {
  cr_class_settings s = settings(c);
  return cr_class_check(c, &s, err);
}

static void forward(cr_call *c) {
  cr_class_settings s = settings(c);
  cr_class_forward(c, &s);
}

static void backward(cr_call *c) {
  cr_class_settings s = settings(c);
  cr_class_backward(c, &s);
}

const cr_op cr_loss_p2sgrad = {
  .name = "p2sgrad",
  .help = "mean square error of cosines to the one-hot label; weights have rows of norm 1",
  .formula = "mean over rows and classes of (cos_ic - [c = y_i])^2",
  .paper = "Zhang and others, \"P2SGrad: refined gradients for optimizing deep face models\", "
           "CVPR 2019; as a square error: Wang, Yamagishi, \"A comparative study on recent neural "
           "spoofing countermeasures\", Interspeech 2021",
  .differs = "pytorch-metric-learning gives nan for an embedding of length 0",
  .inputs = cr_class_inputs, .outputs = cr_class_outputs, .options = options,
  .stats = cr_class_stats, .check = check, .forward = forward, .backward = backward,
};
