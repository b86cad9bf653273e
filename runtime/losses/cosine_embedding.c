/* cosine_embedding.c - cosine of two rows, 1 for pairs that belong together, below a margin for
 * others
 *
 *   l_i = 1 - s_i                    where target_i = 1          s = <x, y> / (|x| |y|)
 *         max(0, s_i - margin)       where target_i = -1
 *
 * Norms are taken as no less than 1e-8. Shapes: x and y [B D], target [B]; the result is a scalar,
 * or [B] with reduction = "none". */
#include <math.h>
#include <tgmath.h>

#include "autograd/term_loss.h"

enum { X, Y, TARGET };
enum { REDUCTION, MARGIN };

static const cr_input inputs[] = {
  [X]      = { "x",      "B D", CR_TREAL, 0 },
  [Y]      = { "y",      "B D", CR_TREAL, 0 },
  [TARGET] = { "target", "B",   CR_TREAL, CR_NOGRAD },
  { 0 }
};

static const cr_output outputs[] = { { "loss", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [REDUCTION] = CR_REDUCTION_OPTION,
  [MARGIN] = { "margin", 0, -1, 1, "cosine below which a pair of target -1 is free", CR_NUMBER,
               NULL, false },
  { 0 }
};

static bool check(cr_call *c, cr_error *err) {
  (void)err;
  cr_out_shape(c, 0, c->option[REDUCTION] == CR_NONE ? 1 : 0, &c->dim['B']);
  return true;
}

typedef struct row {
  double cosine, inverse_x, inverse_y, loss, slope;
  bool bounded_x, bounded_y;
} row;

static row row_of(const cr_call *c, int64_t i) {
  int64_t D = c->dim['D'];
  const real *x = cr_reals(c->in[X]) + i * D, *y = cr_reals(c->in[Y]) + i * D;
  double xx = 0, yy = 0, xy = 0, margin = c->option[MARGIN];
  for (int64_t k = 0; k < D; k++) {
    xx += (double)x[k] * (double)x[k];
    yy += (double)y[k] * (double)y[k];
    xy += (double)x[k] * (double)y[k];
  }
  row r = { .bounded_x = sqrt(xx) < 1e-8, .bounded_y = sqrt(yy) < 1e-8 };
  r.inverse_x = 1 / (r.bounded_x ? 1e-8 : sqrt(xx));
  r.inverse_y = 1 / (r.bounded_y ? 1e-8 : sqrt(yy));
  r.cosine = xy * r.inverse_x * r.inverse_y;
  bool together = cr_reals(c->in[TARGET])[i] > 0;
  r.loss = together ? 1 - r.cosine : r.cosine < margin ? 0 : r.cosine - margin;
  r.slope = together ? -1 : r.cosine > margin;
  return r;
}

static double divisor(const cr_call *c) {
  return c->option[REDUCTION] == CR_MEAN && c->dim['B'] > 0 ? (double)c->dim['B'] : 1;
}

static void forward(cr_call *c) {
  double sum = 0;
  for (int64_t i = 0; i < c->dim['B']; i++) {
    double loss = row_of(c, i).loss;
    sum += loss;
    if (c->option[REDUCTION] == CR_NONE) cr_reals(c->out[0])[i] = (real)loss;
  }
  if (c->option[REDUCTION] != CR_NONE) *cr_reals(c->out[0]) = (real)(sum / divisor(c));
}

/* ds/dx = (y / |y| - s x / |x|) / |x| */
static void push(int64_t D, double by, double s, const real *x, double inverse_x, bool bounded,
                 const real *y,
                 double inverse_y, real *g) {
  for (int64_t k = 0; k < D; k++)
    g[k] = (real)(by * inverse_x * ((double)y[k] * inverse_y
                                    - (bounded ? 0 : s * (double)x[k] * inverse_x)));
}

static void backward(cr_call *c) {
  int64_t D = c->dim['D'];
  const real *x = cr_reals(c->in[X]), *y = cr_reals(c->in[Y]), *gout = cr_reals(c->gout[0]);
  for (int64_t i = 0; i < c->dim['B']; i++) {
    row r = row_of(c, i);
    double by = r.slope * (double)gout[c->option[REDUCTION] == CR_NONE ? i : 0] / divisor(c);
    if (c->gin[X] != NULL)
      push(D, by, r.cosine, x + i * D, r.inverse_x, r.bounded_x, y + i * D, r.inverse_y,
           cr_reals(c->gin[X]) + i * D);
    if (c->gin[Y] != NULL)
      push(D, by, r.cosine, y + i * D, r.inverse_y, r.bounded_y, x + i * D, r.inverse_x,
           cr_reals(c->gin[Y]) + i * D);
  }
}

const cr_op cr_loss_cosine_embedding = {
  .name = "cosine_embedding",
      .help = "cosine 1 for pairs of target 1, below a margin for those of target -1",
  .formula = "1 - cos where target is 1, max(0, cos - margin) where it is -1",
  .inputs = inputs, .outputs = outputs, .options = options,
  .check = check, .forward = forward, .backward = backward,
};
