/* kl_div.c - Kullback-Leibler divergence of log-probabilities from a target distribution
 *
 *   l = t (log t - x)             x: log-probabilities; a target of 0 adds nothing
 *       e^t (t - x)               log_target: t holds logarithms too
 *
 * reduction = "batchmean" divides the sum by the size of the first dimension, which is the
 * divergence as it is defined; "mean" divides by the number of elements. Shapes: input and target
 * alike, any. The target takes no gradient. */
#include <math.h>
#include <tgmath.h>

#include "autograd/term_loss.h"

enum { INPUT, TARGET };
enum { REDUCTION, LOG_TARGET };
enum { BATCH_MEAN = CR_NONE + 1 };

static const cr_input inputs[] = {
  [INPUT]  = { "input",  "...", CR_TREAL, 0 },
  [TARGET] = { "target", "...", CR_TREAL, CR_NOGRAD },
  { 0 }
};

static const cr_output outputs[] = { { "loss", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [REDUCTION]  = { "reduction", BATCH_MEAN, 0, 0, "what becomes of the terms", CR_CHOICE,
                   "mean sum none batchmean", false },
  [LOG_TARGET] = { "log_target", 0, 0, 1, "the target holds log-probabilities", CR_FLAG, NULL,
                   false },
  { 0 }
};

static bool check(cr_call *c, cr_error *err) { return cr_terms_check(c, 2, err); }

static void terms(const cr_call *c, int64_t begin, int64_t n, real *loss, real *const slope[]) {
  const real *x = cr_reals(c->in[INPUT]) + begin, *t = cr_reals(c->in[TARGET]) + begin;
  bool logs = c->option[LOG_TARGET] != 0;
  for (int64_t i = 0; i < n; i++) {
    real p = logs ? exp(t[i]) : t[i], log_p = logs ? t[i] : log(p);
    if (loss != NULL) loss[i] = p == 0 ? 0 : p * (log_p - x[i]);
    if (slope[INPUT] != NULL) slope[INPUT][i] = -p;
  }
}

static double divisor(const cr_call *c) {
  const cr_tensor *x = c->in[INPUT];
  if (c->option[REDUCTION] == BATCH_MEAN) return x->ndim > 0 ? (double)x->shape[0] : 1;
  return (double)cr_tensor_numel(x);
}

static void forward(cr_call *c) { cr_terms_forward(c, divisor(c), terms); }
static void backward(cr_call *c) { cr_terms_backward(c, divisor(c), terms); }

const cr_op cr_loss_kl_div = {
  .name = "kl_div", .help = "divergence of log-probabilities from a target distribution",
  .formula = "sum t (log t - x) / rows",
  .paper = "Kullback, Leibler, \"On information and sufficiency\", "
           "Annals of Mathematical Statistics, 1951",
  .inputs = inputs, .outputs = outputs, .options = options,
  .check = check, .forward = forward, .backward = backward,
};
