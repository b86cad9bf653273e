/* lamb.c - Adam's direction, each tensor's step as long as its own norm says
 *
 *   m = beta1 m + (1 - beta1) g          v = beta2 v + (1 - beta2) g^2
 *   u = m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps) + weight_decay w
 *   w = w - lr |w| / |u| u               the ratio is 1 where a norm is 0
 *
 * State: mean (m), square (v). */
#include <tgmath.h>

#include "autograd/optim_step.h"

enum { PARAM, GRAD, MEAN, SQUARE };
enum { LR, BETA1, BETA2, EPS, WEIGHT_DECAY, STEP };

static const cr_input inputs[] = {
  [PARAM] = CR_STEP_PARAM, [GRAD] = CR_STEP_GRAD, [MEAN] = CR_STEP_STATE("mean"),
  [SQUARE] = CR_STEP_STATE("square"), { 0 }
};

static const cr_option options[] = {
  [LR]           = CR_OPTION_LR(1e-3),
  [BETA1]        = CR_OPTION_FRACTION("beta1", 0.9, "share of the mean that stays"),
  [BETA2]        = CR_OPTION_FRACTION("beta2", 0.999, "share of the mean square that stays"),
  [EPS]          = CR_OPTION_EPS(1e-6),
  [WEIGHT_DECAY] = CR_OPTION_WEIGHT_DECAY(0.01),
  [STEP]         = CR_OPTION_STEP,
  { 0 }
};

static bool check(cr_call *c, cr_error *err) {
  c->scratch_bytes = (size_t)cr_tensor_numel(c->in[PARAM]) * sizeof(real);
  return cr_step_check(c, 4, err);
}

typedef struct rates { real b1, c1, b2, c2, mean, root, eps, decay; } rates;

CR_VECTOR static void direction(int64_t n, rates r, const real *restrict w, const real *restrict g,
                                real *restrict m, real *restrict v, real *restrict u) {
  for (int64_t i = 0; i < n; i++) {
    m[i] = r.b1 * m[i] + r.c1 * g[i];
    v[i] = r.b2 * v[i] + r.c2 * g[i] * g[i];
    u[i] = m[i] * r.mean / (sqrt(v[i]) * r.root + r.eps) + r.decay * w[i];
  }
}

CR_VECTOR static void move(int64_t n, real by, real *restrict w, const real *restrict u) {
  for (int64_t i = 0; i < n; i++) w[i] -= by * u[i];
}

static void forward(cr_call *c) {
  const double *o = c->option;
  int64_t n = cr_tensor_numel(c->in[PARAM]);
  real *w = cr_reals(c->in[PARAM]), *u = c->scratch;
  rates r = { .b1 = (real)o[BETA1], .c1 = (real)(1 - o[BETA1]), .b2 = (real)o[BETA2],
              .c2 = (real)(1 - o[BETA2]),
              .mean = (real)(1 / (1 - pow(o[BETA1], o[STEP]))), .eps = (real)o[EPS],
              .root = (real)(1 / sqrt(1 - pow(o[BETA2], o[STEP]))),
                  .decay = (real)o[WEIGHT_DECAY] };
  direction(n, r, w, cr_reals(c->in[GRAD]), cr_reals(c->in[MEAN]), cr_reals(c->in[SQUARE]), u);
  double size = cr_step_norm(n, w), length = cr_step_norm(n, u);
  move(n, (real)(o[LR] * (size > 0 && length > 0 ? size / length : 1)), w, u);
}

const cr_op cr_optim_lamb = {
  .name = "lamb", .help = "one step of LAMB, for large batches",
  .formula = "u = Adam's direction + weight_decay w; w -= lr |w| / |u| u",
  .paper = "You and others, \"Large batch optimization for deep learning\", ICLR 2020, algorithm 2",
  .inputs = inputs, .outputs = cr_step_no_outputs, .options = options, .check = check,
      .forward = forward,
};
