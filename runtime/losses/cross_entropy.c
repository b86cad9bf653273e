/* cross_entropy.c - softmax cross-entropy of logits and labels
 *
 *   l_i = sum_c q_ic (lse(u_i) - u_ic)          lse(u) = log sum_c e^u_c
 *
 *   labels int64 [B], class numbers 1 .. C      q_ic = w_c ((1 - s) [c = label_i] + s / C)
 *   labels real [B C], a distribution a row     q_ic = w_c ((1 - s) t_ic + s / C)
 *
 * w: class weights, 1 when not given; s: label_smoothing. mean divides by the sum of the labels'
 * weights (of a distribution: by the rows); rows whose label is ignore_index count nowhere. With no
 * row left the loss is 0.
 *
 * lse(u) - u_c is worked out from differences to the largest logit: no overflow, and logits near
 * 10^4 that differ by 1 keep their digits. A logit of -inf is a class that cannot be, with
 * probability and gradient 0. Labels and weights take no gradient. */
#include <math.h>
#include <tgmath.h>

#include "autograd/term_loss.h"
#include "base/pool.h"
#include "kernels/vmath.h"

enum { LOGITS, LABELS, WEIGHTS };
enum { REDUCTION, LABEL_SMOOTHING, IGNORE_INDEX };
enum { ACCURACY };

static const cr_input inputs[] = {
  [LOGITS]  = { "logits",  "B C", CR_TREAL, 0 },
  [LABELS]  = { "labels",  "...", CR_TANY,  CR_NOGRAD },
  [WEIGHTS] = { "weights", "C",   CR_TREAL, CR_OPTIONAL | CR_NOGRAD },
  { 0 }
};

static const cr_output outputs[] = { { "loss", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [REDUCTION] = CR_REDUCTION_OPTION,
  [LABEL_SMOOTHING] = { "label_smoothing", 0, 0, 1, "share of the target spread over all classes",
                        CR_NUMBER,
                        NULL, false },
  [IGNORE_INDEX] = { "ignore_index", NAN, -1e15, 1e15, "a label that counts nowhere; default none",
                     CR_COUNT,
                     NULL, false },
  { 0 }
};

/* share of rows whose largest logit is the label's */
static const char *const stats[] = { [ACCURACY] = "accuracy", NULL };

/* A row after forward. Backward reads largest, sum and share; 0 for the share of a row that is
 * ignored. */
typedef struct row_state { double largest, sum, share, loss, right; } row_state;

static bool is_soft(const cr_call *c) { return c->in[LABELS]->dtype != CR_INT; }

static bool ignored(const cr_call *c, int64_t label) {
  return (double)label == c->option[IGNORE_INDEX];
}

static bool check(cr_call *c, cr_error *err) {
  int64_t B = c->dim['B'], C = c->dim['C'];
  const cr_tensor *labels = c->in[LABELS];
  char got[CR_SHAPE_TEXT];
  cr_shape_text(labels->ndim, labels->shape, got);
  if (labels->dtype == CR_INT) {
    if (labels->ndim != 1 || labels->shape[0] != B)
      return cr_fail(err, CR_ESHAPE,
                     "labels must have shape [B] with B = %lld as in logits, got %s", (long long)B,
                         got);
    for (int64_t i = 0; i < B; i++) {
      int64_t label = cr_ints(labels)[i];
      if ((label < 1 || label > C) && !ignored(c, label))
        return cr_fail(err, CR_EVALUE,
                       "labels are class numbers from 1 to %lld, got %lld in row %lld",
                           (long long)C,
                       (long long)label, (long long)i + 1);
    }
  } else if (labels->dtype != CR_REAL || labels->ndim != 2 || labels->shape[0] != B
             || labels->shape[1] != C) {
    return cr_fail(err, labels->dtype != CR_REAL ? CR_ETYPE : CR_ESHAPE,
                   "labels must be int64 [B], or " CR_REAL_NAME
                   " [B, C] with B = %lld and C = %lld as in logits, got %s %s",
                   (long long)B, (long long)C, cr_dtype_name(labels->dtype), got);
  }
  c->saved_bytes = (size_t)B * sizeof(row_state);
  cr_out_shape(c, 0, c->option[REDUCTION] == CR_NONE ? 1 : 0, &B);
  return true;
}

CR_VECTOR static double sum_of_exp(int64_t n, const real *x, real largest) {
  double lane[16] = { 0 }, sum = 0;
  int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (int k = 0; k < 16; k++) lane[k] += (double)cr_exp(x[i + k] - largest);
  for (; i < n; i++) sum += (double)cr_exp(x[i] - largest);
  for (int k = 0; k < 16; k++) sum += lane[k];
  return sum;
}

CR_VECTOR static void scaled_exp(int64_t n, const real *restrict x, real largest, real by,
                                 real *restrict g) {
  for (int64_t i = 0; i < n; i++) g[i] = by * cr_exp(x[i] - largest);
}

static double class_weight(const cr_call *c, int64_t k) {
  return c->in[WEIGHTS] != NULL ? (double)cr_reals(c->in[WEIGHTS])[k] : 1;
}

/* The targets q of row i: their sum is returned. loss, if wanted, is sum q (largest - u + log sum);
 * from g, if wanted, by * q is taken. Without smoothing one class has it all. */
static double targets(const cr_call *c, int64_t i, const row_state *r, double *loss, real *g,
                      double by) {
  int64_t C = c->dim['C'];
  const real *u = cr_reals(c->in[LOGITS]) + i * C,
      *t = is_soft(c) ? cr_reals(c->in[LABELS]) + i * C : NULL;
  int64_t label = t == NULL ? cr_ints(c->in[LABELS])[i] - 1 : -1;
  double s = c->option[LABEL_SMOOTHING], total = 0, log_sum = log(r->sum);
  bool one = t == NULL && s == 0;
  for (int64_t k = one ? label : 0; k < (one ? label + 1 : C); k++) {
    double share = t != NULL ? (double)t[k] : k == label;
    double q = class_weight(c, k) * ((1 - s) * share + s / (double)C);
    if (q == 0) continue;
    total += q;
    if (loss != NULL) *loss += q * (r->largest - (double)u[k] + log_sum);
    if (g != NULL) g[k] -= (real)(by * q);
  }
  return total;
}

static void forward_rows(void *context, int64_t begin, int64_t end) {
  const cr_call *c = context;
  int64_t C = c->dim['C'];
  for (int64_t i = begin; i < end; i++) {
    const real *u = cr_reals(c->in[LOGITS]) + i * C;
    row_state *r = (row_state *)c->saved + i;
    int64_t best = 0, label = is_soft(c) ? 0 : cr_ints(c->in[LABELS])[i];
    for (int64_t k = 1; k < C; k++)
      if (u[k] > u[best]) best = k;
    *r = (row_state){ .largest = (double)u[best], .sum = sum_of_exp(C, u, u[best]),
                      .right = best + 1 == label };
    if (!is_soft(c) && ignored(c, label)) continue;
    r->share = is_soft(c) ? 1 : class_weight(c, label - 1);
    targets(c, i, r, &r->loss, NULL, 0);
  }
}

/* what mean divides by */
static double divisor(const cr_call *c) {
  const row_state *r = c->saved;
  double sum = 0;
  for (int64_t i = 0; i < c->dim['B']; i++) sum += r[i].share;
  return c->option[REDUCTION] == CR_MEAN ? sum : 1;
}

static int64_t rows_per_block(const cr_call *c) {
  int64_t C = c->dim['C'];
  return c->dim['B'] * C < 20000 ? c->dim['B'] : C < 8192 ? 8192 / C : 1;
}

static void forward(cr_call *c) {
  int64_t B = c->dim['B'], counted = 0;
  const row_state *r = c->saved;
  double sum = 0, right = 0;
  if (B > 0) cr_pool_for(B, rows_per_block(c), forward_rows, c);
  for (int64_t i = 0; i < B; i++) {
    bool counts = is_soft(c) || !ignored(c, cr_ints(c->in[LABELS])[i]);
    sum += r[i].loss;
    right += counts ? r[i].right : 0;
    counted += counts;
    if (c->option[REDUCTION] == CR_NONE) cr_reals(c->out[0])[i] = (real)r[i].loss;
  }
  if (c->option[REDUCTION] != CR_NONE)
    *cr_reals(c->out[0]) = counted > 0 ? (real)(sum / divisor(c)) : 0;
  c->stat[ACCURACY] = is_soft(c) ? NAN : counted > 0 ? right / (double)counted : 0;
}

/* dl/du_c = e^(u_c - lse) sum q - q_c */
static void backward_rows(void *context, int64_t begin, int64_t end) {
  const cr_call *c = context;
  int64_t C = c->dim['C'];
  const real *gout = cr_reals(c->gout[0]);
  double divide = divisor(c);
  for (int64_t i = begin; i < end; i++) {
    const row_state *r = (const row_state *)c->saved + i;
    real *g = cr_reals(c->gin[LOGITS]) + i * C;
    double by = (double)gout[c->option[REDUCTION] == CR_NONE ? i : 0] / divide;
    if (!is_soft(c) && ignored(c, cr_ints(c->in[LABELS])[i])) {
      for (int64_t k = 0; k < C; k++) g[k] = 0;
      continue;
    }
    double total = targets(c, i, r, NULL, NULL, 0);
    scaled_exp(C, cr_reals(c->in[LOGITS]) + i * C, (real)r->largest, (real)(by * total / r->sum),
               g);
    targets(c, i, r, NULL, g, by);
  }
}

static void backward(cr_call *c) {
  if (c->dim['B'] > 0) cr_pool_for(c->dim['B'], rows_per_block(c), backward_rows, c);
}

const cr_op cr_loss_cross_entropy = {
  .name = "cross_entropy",
      .help = "softmax cross-entropy of logits [B C] and class numbers [B] or distributions [B C]",
  .formula = "mean over rows of log sum_c exp(u_c) - u_label",
  .paper = "label smoothing: Szegedy and others, \"Rethinking the Inception architecture\", "
           "CVPR 2016, section 7",
  .inputs = inputs, .outputs = outputs, .options = options, .stats = stats,
  .check = check, .forward = forward, .backward = backward,
};
