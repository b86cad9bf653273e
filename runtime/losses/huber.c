/* huber.c - squared near 0, linear beyond
 *
 *   l = (x - y)^2 / 2                     where |x - y| <= delta
 *       delta (|x - y| - delta / 2)       beyond
 *
 * Shapes: input and target alike, any; the result is a scalar, or has that shape with reduction =
 * "none". */
#include <math.h>
#include <tgmath.h>

#include "autograd/term_loss.h"

enum { X, Y };
enum { REDUCTION, DELTA };

static const cr_input inputs[] = {
  [X] = { "input", "...", CR_TREAL, 0 },
  [Y] = { "target", "...", CR_TREAL, 0 },
  { 0 }
};

static const cr_output outputs[] = { { "loss", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [REDUCTION] = CR_REDUCTION_OPTION,
  [DELTA] = { "delta", 1, 0, INFINITY, "where the square ends", CR_NUMBER, NULL, false },
  { 0 }
};

static bool check(cr_call *c, cr_error *err) { return cr_terms_check(c, 2, err); }

static void terms(const cr_call *c, int64_t begin, int64_t n, real *loss, real *const slope[]) {
  const real *x = cr_reals(c->in[X]) + begin, *y = cr_reals(c->in[Y]) + begin;
  real delta = (real)c->option[DELTA];
  for (int64_t i = 0; i < n; i++) {
    real d = x[i] - y[i], size = fabs(d);
    real step = size <= delta ? d : d > 0 ? delta : -delta;
    if (d != d) step = d;
    if (loss != NULL) loss[i] = size > delta ? delta * (size - delta / 2) : d * d / 2;
    if (slope[X] != NULL) slope[X][i] = step;
    if (slope[Y] != NULL) slope[Y][i] = -step;
  }
}

static void forward(cr_call *c) { cr_terms_forward(c, (double)cr_tensor_numel(c->in[0]), terms); }
static void backward(cr_call *c) { cr_terms_backward(c, (double)cr_tensor_numel(c->in[0]), terms); }

const cr_op cr_loss_huber = {
  .name = "huber", .help = "squared near 0, linear beyond delta",
  .formula = "mean (x - y)^2 / 2, or delta (|x - y| - delta / 2) beyond delta",
  .paper = "Huber, \"Robust estimation of a location parameter\", "
           "Annals of Mathematical Statistics, 1964",
  .inputs = inputs, .outputs = outputs, .options = options,
  .check = check, .forward = forward, .backward = backward,
};
