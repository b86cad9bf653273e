/* l1.c - mean absolute error
 *
 *   l = |x - y|
 *
 * Shapes: input and target alike, any; the result is a scalar, or has that shape with reduction =
 * "none". The slope at x = y is 0. */
#include <math.h>
#include <tgmath.h>

#include "autograd/term_loss.h"

enum { X, Y };
enum { REDUCTION };

static const cr_input inputs[] = {
  [X] = { "input", "...", CR_TREAL, 0 },
  [Y] = { "target", "...", CR_TREAL, 0 },
  { 0 }
};

static const cr_output outputs[] = { { "loss", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [REDUCTION] = CR_REDUCTION_OPTION,
  { 0 }
};

static bool check(cr_call *c, cr_error *err) { return cr_terms_check(c, 2, err); }

static void terms(const cr_call *c, int64_t begin, int64_t n, real *loss, real *const slope[]) {
  const real *x = cr_reals(c->in[X]) + begin, *y = cr_reals(c->in[Y]) + begin;
  for (int64_t i = 0; i < n; i++) {
    real d = x[i] - y[i], sign = (real)((d > 0) - (d < 0));
    if (loss != NULL) loss[i] = fabs(d);
    if (slope[X] != NULL) slope[X][i] = sign;
    if (slope[Y] != NULL) slope[Y][i] = -sign;
  }
}

static void forward(cr_call *c) { cr_terms_forward(c, (double)cr_tensor_numel(c->in[0]), terms); }
static void backward(cr_call *c) { cr_terms_backward(c, (double)cr_tensor_numel(c->in[0]), terms); }

const cr_op cr_loss_l1 = {
  .name = "l1", .help = "mean absolute error",
  .formula = "mean |x - y|",
  .inputs = inputs, .outputs = outputs, .options = options,
  .check = check, .forward = forward, .backward = backward,
};
