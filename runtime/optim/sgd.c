/* sgd.c - stochastic gradient descent with momentum
 *
 *   g' = g + weight_decay w
 *   v  = momentum v + (1 - dampening) g'          at step 1: v = g'
 *   w  = w - lr v                                 nesterov: w - lr (g' + momentum v)
 *
 * State: velocity; may be left out when momentum is 0. */
#include "autograd/optim_step.h"

enum { PARAM, GRAD, VELOCITY };
enum { LR, MOMENTUM, DAMPENING, NESTEROV, WEIGHT_DECAY, STEP };

static const cr_input inputs[] = {
  [PARAM] = CR_STEP_PARAM, [GRAD] = CR_STEP_GRAD, [VELOCITY] = CR_STEP_OPTIONAL_STATE("velocity"),
      { 0 }
};

static const cr_option options[] = {
  [LR]           = CR_OPTION_LR(0.01),
  [MOMENTUM]     = CR_OPTION_FRACTION("momentum", 0, "share of the velocity that stays"),
  [DAMPENING]    = CR_OPTION_FRACTION("dampening", 0, "share of the gradient kept from it"),
  [NESTEROV]     = { "nesterov", 0, 0, 1, "look ahead along the velocity", CR_FLAG, NULL, false },
  [WEIGHT_DECAY] = CR_OPTION_WEIGHT_DECAY(0),
  [STEP]         = CR_OPTION_STEP,
  { 0 }
};

static bool check(cr_call *c, cr_error *err) {
  if (c->option[MOMENTUM] > 0 && c->in[VELOCITY] == NULL)
    return cr_fail(err, CR_EVALUE, "momentum needs a velocity tensor to keep");
  if (c->option[NESTEROV] != 0 && (c->option[MOMENTUM] == 0 || c->option[DAMPENING] != 0))
    return cr_fail(err, CR_EVALUE, "nesterov needs momentum above 0 and dampening 0");
  return cr_step_check(c, 3, err);
}

CR_VECTOR static void plain(int64_t n, real lr, real decay, real *restrict w,
                            const real *restrict g) {
  for (int64_t i = 0; i < n; i++) w[i] -= lr * (g[i] + decay * w[i]);
}

/* v = keep v + take g', w -= lr (own g' + ahead v) */
CR_VECTOR static void moving(int64_t n, real lr, real decay, real keep, real take, real own,
                             real ahead,
                             real *restrict w, const real *restrict g, real *restrict v) {
  for (int64_t i = 0; i < n; i++) {
    real d = g[i] + decay * w[i];
    v[i] = keep * v[i] + take * d;
    w[i] -= lr * (own * d + ahead * v[i]);
  }
}

static void step(const cr_call *c, int64_t n, real *const at[]) {
  real lr = (real)c->option[LR], decay = (real)c->option[WEIGHT_DECAY],
      momentum = (real)c->option[MOMENTUM];
  bool first = c->option[STEP] == 1, nesterov = c->option[NESTEROV] != 0;
  if (momentum == 0) {
    plain(n, lr, decay, at[PARAM], at[GRAD]);
    return;
  }
  if (first)
    for (int64_t i = 0; i < n; i++) at[VELOCITY][i] = 0;
  moving(n, lr, decay, momentum, first ? 1 : (real)(1 - c->option[DAMPENING]), nesterov ? 1 : 0,
         nesterov ? momentum : 1, at[PARAM], at[GRAD], at[VELOCITY]);
}

static void forward(cr_call *c) { cr_step_run(c, step); }

const cr_op cr_optim_sgd = {
  .name = "sgd", .help = "one step of gradient descent, with momentum if wished",
  .formula = "v = momentum v + (1 - dampening) g; w -= lr v",
  .paper = "Sutskever and others, \"On the importance of initialization and momentum\", ICML 2013",
  .differs = "lr multiplies the velocity, it is not part of it",
  .inputs = inputs, .outputs = cr_step_no_outputs, .options = options, .check = check,
      .forward = forward,
};
