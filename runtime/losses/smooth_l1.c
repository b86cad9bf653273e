/* smooth_l1.c - absolute error with a round bottom
 *
 *   l = (x - y)^2 / (2 beta)              where |x - y| < beta
 *       |x - y| - beta / 2                beyond
 *
 * beta = 0 is the absolute error. This is huber with delta = beta, divided by beta.
 *
 * Shapes: input and target alike, any; the result is a scalar, or has that shape with reduction =
 * "none". */
#include <math.h>
#include <tgmath.h>

#include "autograd/term_loss.h"

enum { X, Y };
enum { REDUCTION, BETA };

static const cr_input inputs[] = {
  [X] = { "input", "...", CR_TREAL, 0 },
  [Y] = { "target", "...", CR_TREAL, 0 },
  { 0 }
};

static const cr_output outputs[] = { { "loss", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [REDUCTION] = CR_REDUCTION_OPTION,
  [BETA] = { "beta", 1, 0, INFINITY, "where the square ends", CR_NUMBER, NULL, false },
  { 0 }
};

static bool check(cr_call *c, cr_error *err) { return cr_terms_check(c, 2, err); }

static void terms(const cr_call *c, int64_t begin, int64_t n, real *loss, real *const slope[]) {
  const real *x = cr_reals(c->in[X]) + begin, *y = cr_reals(c->in[Y]) + begin;
  real beta = (real)c->option[BETA];
  for (int64_t i = 0; i < n; i++) {
    real d = x[i] - y[i], size = fabs(d);
    real step = size < beta ? d / beta : d != d ? d : (real)((d > 0) - (d < 0));
    if (loss != NULL) loss[i] = size < beta ? d * d / (2 * beta) : size - beta / 2;
    if (slope[X] != NULL) slope[X][i] = step;
    if (slope[Y] != NULL) slope[Y][i] = -step;
  }
}

static void forward(cr_call *c) { cr_terms_forward(c, (double)cr_tensor_numel(c->in[0]), terms); }
static void backward(cr_call *c) { cr_terms_backward(c, (double)cr_tensor_numel(c->in[0]), terms); }

const cr_op cr_loss_smooth_l1 = {
  .name = "smooth_l1", .help = "absolute error with a round bottom",
  .formula = "mean (x - y)^2 / (2 beta), or |x - y| - beta / 2 beyond beta",
  .paper = "Girshick, \"Fast R-CNN\", ICCV 2015, eq. 3",
  .inputs = inputs, .outputs = outputs, .options = options,
  .check = check, .forward = forward, .backward = backward,
};
