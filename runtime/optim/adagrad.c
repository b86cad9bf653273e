/* adagrad.c - steps shrink with the sum of squared gradients so far
 *
 *   g' = g + weight_decay w          s = s + g'^2
 *   w  = w - lr / (1 + (t - 1) lr_decay) g' / (sqrt(s) + eps)
 *
 * State: sum, which starts at the initial accumulator (0). */
#include <tgmath.h>

#include "autograd/optim_step.h"

enum { PARAM, GRAD, SUM };
enum { LR, LR_DECAY, EPS, WEIGHT_DECAY, STEP };

static const cr_input inputs[] = {
  [PARAM] = CR_STEP_PARAM, [GRAD] = CR_STEP_GRAD, [SUM] = CR_STEP_STATE("sum"), { 0 }
};

static const cr_option options[] = {
  [LR]           = CR_OPTION_LR(0.01),
  [LR_DECAY]     = { "lr_decay", 0, 0, 1e30, "how lr falls with steps", CR_NUMBER, NULL, false },
  [EPS]          = CR_OPTION_EPS(1e-10),
  [WEIGHT_DECAY] = CR_OPTION_WEIGHT_DECAY(0),
  [STEP]         = CR_OPTION_STEP,
  { 0 }
};

static bool check(cr_call *c, cr_error *err) { return cr_step_check(c, 3, err); }

CR_VECTOR static void run(int64_t n, real lr, real eps, real decay, real *restrict w,
                          const real *restrict g,
                          real *restrict s) {
  for (int64_t i = 0; i < n; i++) {
    real d = g[i] + decay * w[i];
    s[i] += d * d;
    w[i] -= lr * d / (sqrt(s[i]) + eps);
  }
}

static void step(const cr_call *c, int64_t n, real *const at[]) {
  const double *o = c->option;
  run(n, (real)(o[LR] / (1 + (o[STEP] - 1) * o[LR_DECAY])), (real)o[EPS], (real)o[WEIGHT_DECAY],
      at[PARAM],
      at[GRAD], at[SUM]);
}

static void forward(cr_call *c) { cr_step_run(c, step); }

const cr_op cr_optim_adagrad = {
  .name = "adagrad", .help = "one step of Adagrad",
  .formula = "s += g^2; w -= lr g / (sqrt(s) + eps)",
  .paper = "Duchi, Hazan, Singer, \"Adaptive subgradient methods\", JMLR 2011",
  .inputs = inputs, .outputs = cr_step_no_outputs, .options = options, .check = check,
      .forward = forward,
};
