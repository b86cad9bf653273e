/* lars.c - momentum whose rate for each tensor follows the ratio of its norm to its gradient's
 *
 *   l = trust |w| / (|g| + weight_decay |w|)          1 where a norm is 0
 *   v = momentum v + lr l (g + weight_decay w)        w = w - v
 *
 * State: velocity (v). */
#include "autograd/optim_step.h"

enum { PARAM, GRAD, VELOCITY };
enum { LR, MOMENTUM, WEIGHT_DECAY, TRUST };

static const cr_input inputs[] = {
  [PARAM] = CR_STEP_PARAM, [GRAD] = CR_STEP_GRAD, [VELOCITY] = CR_STEP_STATE("velocity"), { 0 }
};

static const cr_option options[] = {
  [LR]           = CR_OPTION_LR(0.1),
  [MOMENTUM]     = CR_OPTION_FRACTION("momentum", 0.9, "share of the velocity that stays"),
  [WEIGHT_DECAY] = CR_OPTION_WEIGHT_DECAY(0),
  [TRUST]        = { "trust", 1e-3, 0, 1e30, "length of a step against the norm", CR_NUMBER, NULL,
                     false },
  { 0 }
};

static bool check(cr_call *c, cr_error *err) { return cr_step_check(c, 3, err); }

CR_VECTOR static void move(int64_t n, real keep, real by, real decay, real *restrict w,
                           const real *restrict g,
                           real *restrict v) {
  for (int64_t i = 0; i < n; i++) {
    v[i] = keep * v[i] + by * (g[i] + decay * w[i]);
    w[i] -= v[i];
  }
}

static void forward(cr_call *c) {
  const double *o = c->option;
  int64_t n = cr_tensor_numel(c->in[PARAM]);
  real *w = cr_reals(c->in[PARAM]);
  const real *g = cr_reals(c->in[GRAD]);
  double size = cr_step_norm(n, w), slope = cr_step_norm(n, g);
  double local = size > 0 && slope > 0 ? o[TRUST] * size / (slope + o[WEIGHT_DECAY] * size) : 1;
  move(n, (real)o[MOMENTUM], (real)(o[LR] * local), (real)o[WEIGHT_DECAY], w, g,
       cr_reals(c->in[VELOCITY]));
}

const cr_op cr_optim_lars = {
  .name = "lars", .help = "one step of LARS, for large batches",
  .formula = "v = momentum v + lr trust |w| / (|g| + weight_decay |w|) "
             "(g + weight_decay w); w -= v",
  .paper = "You, Gitman, Ginsburg, \"Large batch training of convolutional networks\", "
           "2017, algorithm 1",
  .inputs = inputs, .outputs = cr_step_no_outputs, .options = options, .check = check,
      .forward = forward,
};
