/* adam.c - steps scaled by the running size of each gradient
 *
 *   g' = g + weight_decay w
 *   m  = beta1 m + (1 - beta1) g'          v = beta2 v + (1 - beta2) g'^2
 *   w  = w - lr m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)
 *
 * State: mean, square; largest with amsgrad, which divides by the largest v so far. */
#include "autograd/optim_step.h"
#include "kernels/adam.h"

enum { PARAM, GRAD, MEAN, SQUARE, LARGEST };
enum { LR, BETA1, BETA2, EPS, WEIGHT_DECAY, STEP };

static const cr_input inputs[] = {
  [PARAM] = CR_STEP_PARAM, [GRAD] = CR_STEP_GRAD, [MEAN] = CR_STEP_STATE("mean"),
  [SQUARE] = CR_STEP_STATE("square"), [LARGEST] = CR_STEP_OPTIONAL_STATE("largest"), { 0 }
};

static const cr_option options[] = {
  [LR]           = CR_OPTION_LR(1e-3),
  [BETA1]        = CR_OPTION_FRACTION("beta1", 0.9, "share of the mean that stays"),
  [BETA2]        = CR_OPTION_FRACTION("beta2", 0.999, "share of the mean square that stays"),
  [EPS]          = CR_OPTION_EPS(1e-8),
  [WEIGHT_DECAY] = CR_OPTION_WEIGHT_DECAY(0),
  [STEP]         = CR_OPTION_STEP,
  { 0 }
};

static bool check(cr_call *c, cr_error *err) { return cr_step_check(c, 5, err); }

static void step(const cr_call *c, int64_t n, real *const at[]) {
  const double *o = c->option;
  cr_adam a = { .lr = o[LR], .beta1 = o[BETA1], .beta2 = o[BETA2], .eps = o[EPS],
                .step = (int64_t)o[STEP],
                .decay = o[WEIGHT_DECAY], .shrink = 1 };
  cr_kernel_adam(&a, n, at[PARAM], at[GRAD], at[MEAN], at[SQUARE], at[LARGEST]);
}

static void forward(cr_call *c) { cr_step_run(c, step); }

const cr_op cr_optim_adam = {
  .name = "adam", .help = "one step of Adam",
  .formula = "w -= lr mean / (sqrt(square) + eps), both corrected for their start at 0",
  .paper = "Kingma, Ba, \"Adam\", ICLR 2015, algorithm 1; amsgrad: Reddi, Kale, Kumar, ICLR 2018",
  .differs = "amsgrad is asked for by giving the tensor `largest`",
  .inputs = inputs, .outputs = cr_step_no_outputs, .options = options, .check = check,
      .forward = forward,
};
