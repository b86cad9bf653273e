/* hinge_embedding.c - a distance shall be small for pairs, past a margin for others
 *
 *   l = d                       where target = 1
 *       max(0, margin - d)      where target = -1
 *
 * Shapes: distances and target alike, any; the result is a scalar, or has that shape with reduction
 * = "none". */
#include <math.h>

#include "autograd/term_loss.h"

enum { X, Y };
enum { REDUCTION, MARGIN };

static const cr_input inputs[] = {
  [X] = { "distances", "...", CR_TREAL, 0 },
  [Y] = { "target", "...", CR_TREAL, CR_NOGRAD },
  { 0 }
};

static const cr_output outputs[] = { { "loss", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [REDUCTION] = CR_REDUCTION_OPTION,
  [MARGIN] = { "margin", 1, -1e30, 1e30, "distance past which a pair of target -1 is free",
               CR_NUMBER, NULL, false },
  { 0 }
};

static bool check(cr_call *c, cr_error *err) { return cr_terms_check(c, 2, err); }

static void terms(const cr_call *c, int64_t begin, int64_t n, real *loss, real *const slope[]) {
  const real *x = cr_reals(c->in[X]) + begin, *y = cr_reals(c->in[Y]) + begin;
  real margin = (real)c->option[MARGIN];
  for (int64_t i = 0; i < n; i++) {
    real gap = margin - x[i];
    bool together = y[i] > 0;
    if (loss != NULL) loss[i] = together ? x[i] : gap < 0 ? 0 : gap;
    if (slope[X] != NULL) slope[X][i] = together ? 1 : gap > 0 ? -1 : 0;
  }
}

static void forward(cr_call *c) { cr_terms_forward(c, (double)cr_tensor_numel(c->in[0]), terms); }
static void backward(cr_call *c) { cr_terms_backward(c, (double)cr_tensor_numel(c->in[0]), terms); }

const cr_op cr_loss_hinge_embedding = {
  .name = "hinge_embedding", .help = "distances small for target 1, past a margin for target -1",
  .formula = "d where target is 1, max(0, margin - d) where it is -1",
  .inputs = inputs, .outputs = outputs, .options = options,
  .check = check, .forward = forward, .backward = backward,
};
