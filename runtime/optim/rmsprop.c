/* rmsprop.c - gradients divided by their running root mean square
 *
 *   g' = g + weight_decay w          s = alpha s + (1 - alpha) g'^2
 *   u  = g' / (sqrt(s) + eps)        with `mean`: a = alpha a + (1 - alpha) g', sqrt(s - a^2)
 *   w  = w - lr u                    with momentum: v = momentum v + u, w - lr v
 *
 * State: square (s); velocity (v) with momentum; mean (a), which asks for the centred form. */
#include <tgmath.h>

#include "autograd/optim_step.h"

enum { PARAM, GRAD, SQUARE, VELOCITY, MEAN };
enum { LR, ALPHA, EPS, MOMENTUM, WEIGHT_DECAY };

static const cr_input inputs[] = {
  [PARAM] = CR_STEP_PARAM, [GRAD] = CR_STEP_GRAD, [SQUARE] = CR_STEP_STATE("square"),
  [VELOCITY] = CR_STEP_OPTIONAL_STATE("velocity"), [MEAN] = CR_STEP_OPTIONAL_STATE("mean"), { 0 }
};

static const cr_option options[] = {
  [LR]           = CR_OPTION_LR(0.01),
  [ALPHA]        = CR_OPTION_FRACTION("alpha", 0.99, "share of the square that stays"),
  [EPS]          = CR_OPTION_EPS(1e-8),
  [MOMENTUM]     = CR_OPTION_FRACTION("momentum", 0, "share of the velocity that stays"),
  [WEIGHT_DECAY] = CR_OPTION_WEIGHT_DECAY(0),
  { 0 }
};

static bool check(cr_call *c, cr_error *err) {
  if (c->option[MOMENTUM] > 0 && c->in[VELOCITY] == NULL)
    return cr_fail(err, CR_EVALUE, "momentum needs a velocity tensor to keep");
  return cr_step_check(c, 5, err); }

typedef struct rates { real lr, alpha, rest, eps, momentum, decay; } rates;

/* velocity and mean may be NULL: the tests do not change along the loop, which is compiled once for
 * each case */
CR_VECTOR static void run(int64_t n, rates r, real *restrict w, const real *restrict g,
                          real *restrict s,
                          real *restrict velocity, real *restrict mean) {
  for (int64_t i = 0; i < n; i++) {
    real d = g[i] + r.decay * w[i];
    s[i] = r.alpha * s[i] + r.rest * d * d;
    real square = s[i];
    if (mean != NULL) {
      mean[i] = r.alpha * mean[i] + r.rest * d;
      square -= mean[i] * mean[i];
    }
    real u = d / (sqrt(square) + r.eps);
    if (velocity != NULL) u = velocity[i] = r.momentum * velocity[i] + u;
    w[i] -= r.lr * u;
  }
}

static void step(const cr_call *c, int64_t n, real *const at[]) {
  const double *o = c->option;
  rates r = { (real)o[LR], (real)o[ALPHA], (real)(1 - o[ALPHA]), (real)o[EPS], (real)o[MOMENTUM],
              (real)o[WEIGHT_DECAY] };
  run(n, r, at[PARAM], at[GRAD], at[SQUARE], o[MOMENTUM] > 0 ? at[VELOCITY] : NULL, at[MEAN]);
}

static void forward(cr_call *c) { cr_step_run(c, step); }

const cr_op cr_optim_rmsprop = {
  .name = "rmsprop", .help = "one step of RMSprop",
  .formula = "s = alpha s + (1 - alpha) g^2; w -= lr g / (sqrt(s) + eps)",
  .paper = "Tieleman, Hinton, lecture 6.5 of \"Neural networks for machine learning\", "
           "2012; centred: Graves 2013",
  .inputs = inputs, .outputs = cr_step_no_outputs, .options = options, .check = check,
      .forward = forward,
};
