/* adadelta.c - steps in units of the parameter, from running squares of both
 *
 *   g' = g + weight_decay w          s = rho s + (1 - rho) g'^2
 *   u  = sqrt(a + eps) / sqrt(s + eps) g'
 *   a  = rho a + (1 - rho) u^2       w = w - lr u
 *
 * State: square (s), step_square (a). */
#include <tgmath.h>

#include "autograd/optim_step.h"

enum { PARAM, GRAD, SQUARE, STEP_SQUARE };
enum { LR, RHO, EPS, WEIGHT_DECAY };

static const cr_input inputs[] = {
  [PARAM] = CR_STEP_PARAM, [GRAD] = CR_STEP_GRAD, [SQUARE] = CR_STEP_STATE("square"),
  [STEP_SQUARE] = CR_STEP_STATE("step_square"), { 0 }
};

static const cr_option options[] = {
  [LR]           = CR_OPTION_LR(1),
  [RHO]          = CR_OPTION_FRACTION("rho", 0.9, "share of the squares that stays"),
  [EPS]          = CR_OPTION_EPS(1e-6),
  [WEIGHT_DECAY] = CR_OPTION_WEIGHT_DECAY(0),
  { 0 }
};

static bool check(cr_call *c, cr_error *err) { return cr_step_check(c, 4, err); }

CR_VECTOR static void run(int64_t n, real lr, real rho, real rest, real eps, real decay,
                          real *restrict w,
                          const real *restrict g, real *restrict s, real *restrict a) {
  for (int64_t i = 0; i < n; i++) {
    real d = g[i] + decay * w[i];
    s[i] = rho * s[i] + rest * d * d;
    real u = sqrt(a[i] + eps) / sqrt(s[i] + eps) * d;
    a[i] = rho * a[i] + rest * u * u;
    w[i] -= lr * u;
  }
}

static void step(const cr_call *c, int64_t n, real *const at[]) {
  const double *o = c->option;
  run(n, (real)o[LR], (real)o[RHO], (real)(1 - o[RHO]), (real)o[EPS], (real)o[WEIGHT_DECAY],
      at[PARAM], at[GRAD],
      at[SQUARE], at[STEP_SQUARE]);
}

static void forward(cr_call *c) { cr_step_run(c, step); }

const cr_op cr_optim_adadelta = {
  .name = "adadelta", .help = "one step of Adadelta",
  .formula = "w -= lr sqrt(step_square + eps) / sqrt(square + eps) g",
  .paper = "Zeiler, \"ADADELTA\", 2012",
  .inputs = inputs, .outputs = cr_step_no_outputs, .options = options, .check = check,
      .forward = forward,
};
