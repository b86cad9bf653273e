/* binary_cross_entropy.c - logistic loss of predictions against targets in 0 .. 1
 *
 *   l = w [ -v t log p - (1 - t) log(1 - p) ]          w: weights, v: pos_weight, both 1 when not
 *                                                      given
 *
 * from = "logits"          p = 1 / (1 + e^-u); worked out as (1 - t) u + (1 + (v - 1) t) log(1 +
 *                          e^-u), with no overflow for any u
 *        "probabilities"   p given; logarithms are taken as no less than -100, and the slope (p -
 *                          t) / (p (1 - p)) divides by no less than 1e-12, so that p = 0 and p = 1
 *                          are finite
 *
 * Shapes: predictions and targets alike, any. weights and pos_weight have that shape, or that of
 * its last dimension, or one element. mean divides by the number of predictions. Targets and
 * weights take no gradient. */
#include <math.h>
#include <tgmath.h>

#include "autograd/term_loss.h"

enum { PREDICTIONS, TARGETS, WEIGHTS, POS_WEIGHT };
enum { REDUCTION, FROM };
enum { LOGITS, PROBABILITIES };

static const cr_input inputs[] = {
  [PREDICTIONS] = { "predictions", "...", CR_TREAL, 0 },
  [TARGETS]     = { "targets",     "...", CR_TREAL, CR_NOGRAD },
  [WEIGHTS]     = { "weights",     "...", CR_TREAL, CR_OPTIONAL | CR_NOGRAD },
  [POS_WEIGHT]  = { "pos_weight",  "...", CR_TREAL, CR_OPTIONAL | CR_NOGRAD },
  { 0 }
};

static const cr_output outputs[] = { { "loss", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [REDUCTION] = CR_REDUCTION_OPTION,
  [FROM] = { "from", LOGITS, 0, 0, "what the predictions are", CR_CHOICE, "logits probabilities",
             false },
  { 0 }
};

static bool check(cr_call *c, cr_error *err) {
  const cr_tensor *x = c->in[PREDICTIONS];
  int64_t numel = cr_tensor_numel(x), last = x->ndim > 0 ? x->shape[x->ndim - 1] : 1;
  for (int i = WEIGHTS; i <= POS_WEIGHT; i++) {
    int64_t n = c->in[i] != NULL ? cr_tensor_numel(c->in[i]) : 1;
    if (n != 1 && n != last && n != numel)
      return cr_fail(err, CR_ESHAPE, "%s must have 1, %lld or %lld elements, got %lld",
                     inputs[i].name, (long long)last,
                     (long long)numel, (long long)n);
  }
  return cr_terms_check(c, 2, err);
}

/* Element i of an optional input that repeats. */
static real repeated(const cr_tensor *t, int64_t i) {
  return t == NULL ? 1 : cr_reals(t)[i % cr_tensor_numel(t)];
}

static real clamped_log(real p) {
  real l = log(p);
  return l < -100 ? -100 : l;
}

static void terms(const cr_call *c, int64_t begin, int64_t n, real *loss, real *const slope[]) {
  const real *x = cr_reals(c->in[PREDICTIONS]) + begin, *target = cr_reals(c->in[TARGETS]) + begin;
  bool logits = c->option[FROM] == LOGITS;
  for (int64_t i = 0; i < n; i++) {
    real w = repeated(c->in[WEIGHTS], begin + i), v = repeated(c->in[POS_WEIGHT], begin + i);
    real u = x[i], t = target[i], l, g;
    if (logits) {
      real e = exp(-fabs(u)), left = (u > 0 ? e : 1) / (1 + e);      /* 1 - p */
      l = (1 - t) * u + (1 + (v - 1) * t) * (log1p(e) + (u < 0 ? -u : 0));
      g = (1 - t) - (1 + (v - 1) * t) * left;
    } else {
      real spread = u * (1 - u), least = (real)1e-12;
      l = -v * t * clamped_log(u) - (1 - t) * clamped_log(1 - u);
      g = ((1 - t) * u - v * t * (1 - u)) / (spread < least ? least : spread);
    }
    if (loss != NULL) loss[i] = w * l;
    if (slope[PREDICTIONS] != NULL) slope[PREDICTIONS][i] = w * g;
  }
}

static void forward(cr_call *c) { cr_terms_forward(c, (double)cr_tensor_numel(c->in[0]), terms); }
static void backward(cr_call *c) { cr_terms_backward(c, (double)cr_tensor_numel(c->in[0]), terms); }

const cr_op cr_loss_binary_cross_entropy = {
  .name = "binary_cross_entropy",
      .help = "logistic loss of logits or probabilities against targets in 0 .. 1",
  .formula = "mean -t log p - (1 - t) log(1 - p)",
  .inputs = inputs, .outputs = outputs, .options = options,
  .check = check, .forward = forward, .backward = backward,
};
