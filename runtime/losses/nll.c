/* nll.c - negative log-likelihood of log-probabilities and labels
 *
 *   l_i = -w_y x_iy,   y = label_i in 1 .. C          w: class weights, 1 when not given
 *
 * mean divides by the sum of the labels' weights; rows whose label is ignore_index count nowhere,
 * and with no row left the loss is 0. cross_entropy is this after a log-softmax, in one pass. */
#include <math.h>

#include "autograd/term_loss.h"

enum { INPUT, LABELS, WEIGHTS };
enum { REDUCTION, IGNORE_INDEX };

static const cr_input inputs[] = {
  [INPUT]   = { "log_probabilities", "B C", CR_TREAL, 0 },
  [LABELS]  = { "labels",            "B",   CR_TINT,  CR_NOGRAD },
  [WEIGHTS] = { "weights",           "C",   CR_TREAL, CR_OPTIONAL | CR_NOGRAD },
  { 0 }
};

static const cr_output outputs[] = { { "loss", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [REDUCTION] = CR_REDUCTION_OPTION,
  [IGNORE_INDEX] = { "ignore_index", NAN, -1e15, 1e15, "a label that counts nowhere; default none",
                     CR_COUNT,
                     NULL, false },
  { 0 }
};

/* The weight of row i: 0 when it is ignored. */
static double weight(const cr_call *c, int64_t i) {
  int64_t label = cr_ints(c->in[LABELS])[i];
  if ((double)label == c->option[IGNORE_INDEX]) return 0;
  return c->in[WEIGHTS] != NULL ? (double)cr_reals(c->in[WEIGHTS])[label - 1] : 1;
}

static bool check(cr_call *c, cr_error *err) {
  int64_t B = c->dim['B'], C = c->dim['C'];
  for (int64_t i = 0; i < B; i++) {
    int64_t label = cr_ints(c->in[LABELS])[i];
    if ((label < 1 || label > C) && (double)label != c->option[IGNORE_INDEX])
      return cr_fail(err, CR_EVALUE,
                     "labels are class numbers from 1 to %lld, got %lld in row %lld", (long long)C,
                     (long long)label, (long long)i + 1);
  }
  cr_out_shape(c, 0, c->option[REDUCTION] == CR_NONE ? 1 : 0, &B);
  return true;
}

static double divisor(const cr_call *c) {
  double sum = 0;
  for (int64_t i = 0; i < c->dim['B']; i++) sum += weight(c, i);
  return c->option[REDUCTION] == CR_MEAN && sum > 0 ? sum : 1;
}

static void forward(cr_call *c) {
  int64_t C = c->dim['C'];
  const real *x = cr_reals(c->in[INPUT]);
  double sum = 0;
  for (int64_t i = 0; i < c->dim['B']; i++) {
    double w = weight(c, i),
        loss = w == 0 ? 0 : -w * (double)x[i * C + cr_ints(c->in[LABELS])[i] - 1];
    sum += loss;
    if (c->option[REDUCTION] == CR_NONE) cr_reals(c->out[0])[i] = (real)loss;
  }
  if (c->option[REDUCTION] != CR_NONE) *cr_reals(c->out[0]) = (real)(sum / divisor(c));
}

static void backward(cr_call *c) {
  int64_t B = c->dim['B'], C = c->dim['C'];
  const real *gout = cr_reals(c->gout[0]);
  real *g = cr_reals(c->gin[INPUT]);
  double divide = divisor(c);
  for (int64_t k = 0; k < B * C; k++) g[k] = 0;
  for (int64_t i = 0; i < B; i++) {
    double w = weight(c, i), by = (double)gout[c->option[REDUCTION] == CR_NONE ? i : 0] / divide;
    if (w != 0) g[i * C + cr_ints(c->in[LABELS])[i] - 1] = (real)(-w * by);
  }
}

const cr_op cr_loss_nll = {
  .name = "nll", .help = "negative log-likelihood of log-probabilities [B C] and class numbers [B]",
  .formula = "mean over rows of -x_label",
  .inputs = inputs, .outputs = outputs, .options = options,
  .check = check, .forward = forward, .backward = backward,
};
