/* margin_ranking.c - the larger of two scores is the one the target says
 *
 *   l = max(0, -target (x - y) + margin)          target = 1: x shall be larger; -1: y shall be
 *
 * Shapes: x, y and target alike, any; the result is a scalar, or has that shape with reduction =
 * "none". */
#include "autograd/term_loss.h"

enum { X, Y, TARGET };
enum { REDUCTION, MARGIN };

static const cr_input inputs[] = {
  [X]      = { "x",      "...", CR_TREAL, 0 },
  [Y]      = { "y",      "...", CR_TREAL, 0 },
  [TARGET] = { "target", "...", CR_TREAL, CR_NOGRAD },
  { 0 }
};

static const cr_output outputs[] = { { "loss", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [REDUCTION] = CR_REDUCTION_OPTION,
  [MARGIN] = { "margin", 0, -1e30, 1e30, "by how much", CR_NUMBER, NULL, false },
  { 0 }
};

static bool check(cr_call *c, cr_error *err) { return cr_terms_check(c, 3, err); }

static void terms(const cr_call *c, int64_t begin, int64_t n, real *loss, real *const slope[]) {
  const real *x = cr_reals(c->in[X]) + begin, *y = cr_reals(c->in[Y]) + begin;
  const real *target = cr_reals(c->in[TARGET]) + begin;
  real margin = (real)c->option[MARGIN];
  for (int64_t i = 0; i < n; i++) {
    real over = margin - target[i] * (x[i] - y[i]), step = over > 0 ? target[i] : 0;
    if (loss != NULL) loss[i] = over < 0 ? 0 : over;
    if (slope[X] != NULL) slope[X][i] = -step;
    if (slope[Y] != NULL) slope[Y][i] = step;
  }
}

static void forward(cr_call *c) { cr_terms_forward(c, (double)cr_tensor_numel(c->in[0]), terms); }
static void backward(cr_call *c) { cr_terms_backward(c, (double)cr_tensor_numel(c->in[0]), terms); }

const cr_op cr_loss_margin_ranking = {
  .name = "margin_ranking", .help = "the larger of two scores is the one the target says",
  .formula = "mean max(0, -target (x - y) + margin)",
  .inputs = inputs, .outputs = outputs, .options = options,
  .check = check, .forward = forward, .backward = backward,
};
