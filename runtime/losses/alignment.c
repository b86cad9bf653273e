/* alignment.c - how far the two views of an item lie apart
 *
 *   l_i = |x_i - y_i|^alpha
 *
 * x and y [B D] are positive pairs, row by row. Its partner is losses.uniformity:
 *
 *   local loss = alignment(x, y) + weight * (uniformity(x) + uniformity(y)) / 2
 *
 * The paper takes rows of length 1: normalize = true, or an nn.Normalize at the end of the network.
 * reduction = "mean", "sum" or "none" ([B]). A pair at distance 0 has no direction to move in: its
 * gradient is 0. Cost and memory: B D.
 *
 * Wang, Isola, "Understanding Contrastive Representation Learning through Alignment and Uniformity
 * on the Hypersphere", ICML 2020, sec. 4.1. */
#include <math.h>
#include <tgmath.h>

#include "autograd/term_loss.h"
#include "kernels/twin_rows.h"

enum { X, Y };
enum { REDUCTION, ALPHA, NORMALIZE };
enum { DISTANCE };

static const cr_input inputs[] = {
  [X] = { "x", "B D", CR_TREAL, 0 },
  [Y] = { "y", "B D", CR_TREAL, 0 },
  { 0 }
};

static const cr_output outputs[] = { { "loss", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [REDUCTION] = CR_REDUCTION_OPTION,
  [ALPHA]     = { "alpha", 2, 1e-3, 1e3, "power of the distance", CR_NUMBER },
  [NORMALIZE] = { "normalize", 0, 0, 1, "divide rows by their norm first", CR_FLAG },
  { 0 }
};

static const char *const stats[] = { [DISTANCE] = "distance", NULL };   /* mean of |x - y|^alpha */

/* d^alpha and its gradient alpha d^(alpha - 2) (x - y) */
static double power_of_distance(const void *context, int64_t width, const real *x, const real *y,
                                real *gx, real *gy) {
  double alpha = *(const double *)context, square = 0;
  for (int64_t k = 0; k < width; k++) {
    double gap = (double)x[k] - (double)y[k];
    square += gap * gap;
  }
  double loss = alpha == 2 ? square : pow(square, alpha / 2);
  double slope = square == 0 ? 0 : alpha == 2 ? 2 : alpha * pow(square, alpha / 2 - 1);
  for (int64_t k = 0; gx != NULL && k < width; k++) {
    gx[k] = (real)(slope * ((double)x[k] - (double)y[k]));
    gy[k] = -gx[k];
  }
  return loss;
}

static cr_twins twins_of(const cr_call *c) {
  return (cr_twins){ .rows = c->dim['B'], .width = c->dim['D'],
                     .normalize = c->option[NORMALIZE] != 0, .fn = power_of_distance,
                     .context = &c->option[ALPHA] };
}

static bool check(cr_call *c, cr_error *err) {
  cr_twins t = twins_of(c);
  (void)err;
  cr_out_shape(c, 0, c->option[REDUCTION] == CR_NONE ? 1 : 0, &t.rows);
  c->scratch_bytes = (size_t)t.rows * sizeof(double) + cr_twin_bytes(&t);
  if (c->wants_grad) c->saved_bytes = 2 * (size_t)(t.rows * t.width) * sizeof(real);
  return true;
}

static double divisor(const cr_call *c) {
  return c->option[REDUCTION] == CR_MEAN && c->dim['B'] > 0 ? (double)c->dim['B'] : 1;
}

static void forward(cr_call *c) {
  cr_twins t = twins_of(c);
  double *loss = c->scratch, sum = 0;
  t.x = cr_reals(c->in[X]);
  t.y = cr_reals(c->in[Y]);
  cr_twin_forward(&t, loss, c->wants_grad ? c->saved : NULL, loss + t.rows);
  for (int64_t i = 0; i < t.rows; i++) {
    sum += loss[i];
    if (c->option[REDUCTION] == CR_NONE) cr_reals(c->out[0])[i] = (real)loss[i];
  }
  if (c->option[REDUCTION] != CR_NONE) *cr_reals(c->out[0]) = (real)(sum / divisor(c));
  c->stat[DISTANCE] = t.rows > 0 ? sum / (double)t.rows : 0;
}

static void backward(cr_call *c) {
  int64_t B = c->dim['B'], D = c->dim['D'];
  for (int k = X; k <= Y; k++)
    cr_twin_backward(B, D, (const real *)c->saved + k * B * D, 1 / divisor(c),
                     cr_reals(c->gout[0]), c->option[REDUCTION] == CR_NONE,
                     c->gin[k] != NULL ? cr_reals(c->gin[k]) : NULL);
}

const cr_op cr_loss_alignment = {
  .name = "alignment", .help = "how far the two views of an item lie apart",
  .formula = "mean_i |x_i - y_i|^alpha",
  .paper = "Wang, Isola, \"Understanding Contrastive Representation Learning through Alignment and "
           "Uniformity on the Hypersphere\", ICML 2020, sec. 4.1",
  .differs = "rows are normalised only when asked to be",
  .inputs = inputs, .outputs = outputs, .options = options, .stats = stats,
  .backward_reads = CR_READS_NOTHING, .check = check, .forward = forward, .backward = backward,
};
