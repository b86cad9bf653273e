/* nadam.c - Adam with a Nesterov look ahead
 *
 *   mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2)          P_t = mu_1 ... mu_t
 *   g' = g + weight_decay w      m = beta1 m + (1 - beta1) g'      v = beta2 v + (1 - beta2) g'^2
 *   w  = w - lr [ (1 - mu_t) / (1 - P_t) g' + mu_(t+1) / (1 - P_(t+1)) m ] / (sqrt(v / (1 -
 *      beta2^t)) + eps)
 *
 * mu_twice divides by 1 - P_t mu_t mu_(t+1) in place of 1 - P_(t+1): a slip of torch up to 1.13,
 * for those who must have its numbers.
 *
 * State: mean (m), square (v), and product: one element, P so far (step 1 starts it). */
#include <tgmath.h>

#include "autograd/optim_step.h"

enum { PARAM, GRAD, MEAN, SQUARE, PRODUCT };
enum { LR, BETA1, BETA2, EPS, WEIGHT_DECAY, MOMENTUM_DECAY, MU_TWICE, STEP };

static const cr_input inputs[] = {
  [PARAM] = CR_STEP_PARAM, [GRAD] = CR_STEP_GRAD, [MEAN] = CR_STEP_STATE("mean"),
  [SQUARE] = CR_STEP_STATE("square"), [PRODUCT] = CR_STEP_STATE("product"), { 0 }
};

static const cr_option options[] = {
  [LR]             = CR_OPTION_LR(2e-3),
  [BETA1]          = CR_OPTION_FRACTION("beta1", 0.9, "share of the mean that stays"),
  [BETA2]          = CR_OPTION_FRACTION("beta2", 0.999, "share of the mean square that stays"),
  [EPS]            = CR_OPTION_EPS(1e-8),
  [WEIGHT_DECAY]   = CR_OPTION_WEIGHT_DECAY(0),
  [MOMENTUM_DECAY] = { "momentum_decay", 4e-3, 0, 1e30, "how mu grows with steps", CR_NUMBER, NULL,
                       false },
  [MU_TWICE]       = { "mu_twice", 0, 0, 1, "divide the look ahead as torch 1.13 does", CR_FLAG,
                       NULL, false },
  [STEP]           = CR_OPTION_STEP,
  { 0 }
};

static bool check(cr_call *c, cr_error *err) {
  if (cr_tensor_numel(c->in[PRODUCT]) != 1)
    return cr_fail(err, CR_ESHAPE, "product must have one element, got %lld",
                   (long long)cr_tensor_numel(c->in[PRODUCT]));
  return cr_step_check(c, 4, err); }

typedef struct rates { real own, ahead, b1, c1, b2, c2, root, eps, decay; } rates;

CR_VECTOR static void run(int64_t n, rates r, real *restrict w, const real *restrict g,
                          real *restrict m,
                          real *restrict v) {
  for (int64_t i = 0; i < n; i++) {
    real d = g[i] + r.decay * w[i];
    m[i] = r.b1 * m[i] + r.c1 * d;
    v[i] = r.b2 * v[i] + r.c2 * d * d;
    w[i] -= (r.own * d + r.ahead * m[i]) / (sqrt(v[i]) * r.root + r.eps);
  }
}

static double momentum_at(const double *o, double t) {
  return o[BETA1] * (1 - 0.5 * pow(0.96, t * o[MOMENTUM_DECAY]));
}

static void step(const cr_call *c, int64_t n, real *const at[]) {
  const double *o = c->option;
  double t = o[STEP], mu = momentum_at(o, t), next = momentum_at(o, t + 1);
  double product = (double)*cr_reals(c->in[PRODUCT]);      /* forward has multiplied mu in */
  rates r = { .own = (real)(o[LR] * (1 - mu) / (1 - product)),
              .ahead = (real)(o[LR] * next / (1 - product * next * (o[MU_TWICE] != 0 ? mu : 1))),
                  .b1 = (real)o[BETA1],
              .c1 = (real)(1 - o[BETA1]), .b2 = (real)o[BETA2], .c2 = (real)(1 - o[BETA2]),
              .root = (real)(1 / sqrt(1 - pow(o[BETA2], t))), .eps = (real)o[EPS],
              .decay = (real)o[WEIGHT_DECAY] };
  run(n, r, at[PARAM], at[GRAD], at[MEAN], at[SQUARE]);
}

static void forward(cr_call *c) {
  real *product = cr_reals(c->in[PRODUCT]);
  double before = c->option[STEP] == 1 ? 1 : (double)*product;
  *product = (real)(before * momentum_at(c->option, c->option[STEP]));
  cr_step_run(c, step);
}

const cr_op cr_optim_nadam = {
  .name = "nadam", .help = "one step of NAdam",
  .formula = "Adam whose step looks ahead along the mean",
  .paper = "Dozat, \"Incorporating Nesterov momentum into Adam\", ICLR workshop 2016",
  .inputs = inputs, .outputs = cr_step_no_outputs, .options = options, .check = check,
      .forward = forward,
};
