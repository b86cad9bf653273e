/* adamax.c - Adam with the largest gradient in place of the root mean square
 *
 *   g' = g + weight_decay w          m = beta1 m + (1 - beta1) g'
 *   u  = max(beta2 u, |g'| + eps)    w = w - lr / (1 - beta1^t) m / u
 *
 * State: mean (m), largest (u). */
#include <tgmath.h>

#include "autograd/optim_step.h"

enum { PARAM, GRAD, MEAN, LARGEST };
enum { LR, BETA1, BETA2, EPS, WEIGHT_DECAY, STEP };

static const cr_input inputs[] = {
  [PARAM] = CR_STEP_PARAM, [GRAD] = CR_STEP_GRAD, [MEAN] = CR_STEP_STATE("mean"),
  [LARGEST] = CR_STEP_STATE("largest"), { 0 }
};

static const cr_option options[] = {
  [LR]           = CR_OPTION_LR(2e-3),
  [BETA1]        = CR_OPTION_FRACTION("beta1", 0.9, "share of the mean that stays"),
  [BETA2]        = CR_OPTION_FRACTION("beta2", 0.999, "share of the largest that stays"),
  [EPS]          = CR_OPTION_EPS(1e-8),
  [WEIGHT_DECAY] = CR_OPTION_WEIGHT_DECAY(0),
  [STEP]         = CR_OPTION_STEP,
  { 0 }
};

static bool check(cr_call *c, cr_error *err) { return cr_step_check(c, 4, err); }

CR_VECTOR static void run(int64_t n, real rate, real b1, real c1, real b2, real eps, real decay,
                          real *restrict w, const real *restrict g, real *restrict m,
                              real *restrict u) {
  for (int64_t i = 0; i < n; i++) {
    real d = g[i] + decay * w[i], size = fabs(d) + eps;
    m[i] = b1 * m[i] + c1 * d;
    u[i] = b2 * u[i] > size ? b2 * u[i] : size;
    w[i] -= rate * m[i] / u[i];
  }
}

static void step(const cr_call *c, int64_t n, real *const at[]) {
  const double *o = c->option;
  run(n, (real)(o[LR] / (1 - pow(o[BETA1], o[STEP]))), (real)o[BETA1], (real)(1 - o[BETA1]),
      (real)o[BETA2],
      (real)o[EPS], (real)o[WEIGHT_DECAY], at[PARAM], at[GRAD], at[MEAN], at[LARGEST]);
}

static void forward(cr_call *c) { cr_step_run(c, step); }

const cr_op cr_optim_adamax = {
  .name = "adamax", .help = "one step of AdaMax",
  .formula = "u = max(beta2 u, |g| + eps); w -= lr mean / u",
  .paper = "Kingma, Ba, \"Adam\", ICLR 2015, algorithm 2",
  .inputs = inputs, .outputs = cr_step_no_outputs, .options = options, .check = check,
      .forward = forward,
};
