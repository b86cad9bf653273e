/* nce.c - noise-contrastive estimation: tell the true class from K drawn ones
 *
 *   s_c = <x, w_c> + bias_c                            taken as log p(c | x), sum over c not needed
 *   l_b = -log sigmoid(s_y - log(K q_y)) - sum_k log sigmoid(log(K q_k) - s_k)
 *
 * embeddings [B D], labels [B] and negatives [B K] class numbers from 1, weights [C D], log_noise
 * [C] = log q, the logarithm of the distribution that negatives were drawn from, bias? [C].
 * reduction mean (over b), sum, none.
 *
 * With log_noise = -log K it is negative sampling, skip_gram.c. Only rows named receive a gradient.
 * Cost: B (K+1) D, whatever C, and what clearing a gradient of the size of weights takes. */
#include <math.h>
#include <string.h>

#include "autograd/term_loss.h"
#include "kernels/index.h"
#include "kernels/sampled_logistic.h"

enum { EMBEDDINGS, LABELS, WEIGHTS, NEGATIVES, LOG_NOISE, BIAS };
enum { REDUCTION };
enum { ACCURACY };

static const cr_input inputs[] = {
  [EMBEDDINGS] = { "embeddings", "B D", CR_TREAL, 0 },
  [LABELS]     = { "labels",     "B",   CR_TINT,  CR_NOGRAD },
  [WEIGHTS]    = { "weights",    "C D", CR_TREAL, 0 },
  [NEGATIVES]  = { "negatives",  "B K", CR_TINT,  CR_NOGRAD },
  [LOG_NOISE]  = { "log_noise",  "C",   CR_TREAL, CR_NOGRAD },
  [BIAS]       = { "bias",       "C",   CR_TREAL, CR_OPTIONAL },
  { 0 }
};

static const cr_output outputs[] = { { "loss", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = { [REDUCTION] = CR_REDUCTION_OPTION, { 0 } };

/* share of entries, true and drawn, that are told rightly */
static const char *const stats[] = { [ACCURACY] = "accuracy", NULL };

static cr_sampled sampled(const cr_call *c) {
  return (cr_sampled){
    .batch = c->dim['B'], .drawn = c->dim['K'], .width = c->dim['D'],
    .x = cr_reals(c->in[EMBEDDINGS]), .table = cr_reals(c->in[WEIGHTS]),
    .bias = c->in[BIAS] != NULL ? cr_reals(c->in[BIAS]) : NULL,
    .shift = cr_reals(c->in[LOG_NOISE]), .shift_all = log((double)c->dim['K']),
    .positive = cr_ints(c->in[LABELS]), .negative = cr_ints(c->in[NEGATIVES]),
  };
}

static bool in_range(const cr_call *c, int input, cr_error *err) {
  const int64_t *class = cr_ints(c->in[input]);
  int64_t wrong = cr_index_outside(cr_tensor_numel(c->in[input]), class, c->dim['C']);
  if (wrong < 0) return true;
  return cr_fail(err, CR_EVALUE, "%s are class numbers from 1 to %lld, got %lld",
                 c->op->inputs[input].name, (long long)c->dim['C'], (long long)class[wrong]);
}

static bool check(cr_call *c, cr_error *err) {
  int64_t B = c->dim['B'], entries = B * (c->dim['K'] + 1);
  if (c->dim['K'] < 1)
    return cr_fail(err, CR_ESHAPE, "negatives must have a column or more, got none");
  if (!in_range(c, LABELS, err) || !in_range(c, NEGATIVES, err)) return false;
  cr_sampled s = sampled(c);
  size_t slopes = ((size_t)entries * sizeof(real) + 63) & ~(size_t)63;
  c->saved_bytes = c->wants_grad ? slopes : 0;
  c->scratch_bytes = slopes + (size_t)B * sizeof(double);
  c->backward_scratch_bytes = slopes + cr_sampled_bytes(&s);
  cr_out_shape(c, 0, c->option[REDUCTION] == CR_NONE ? 1 : 0, &B);
  return true;
}

static double divisor(const cr_call *c) {
  return c->option[REDUCTION] == CR_MEAN && c->dim['B'] > 0 ? (double)c->dim['B'] : 1;
}

static void forward(cr_call *c) {
  cr_sampled s = sampled(c);
  int64_t B = s.batch, K = s.drawn, right = 0;
  real *score = c->scratch;
  double *loss = (double *)(void *)((unsigned char *)c->scratch + c->scratch_bytes
                                    - (size_t)B * sizeof(double));
  double total = 0;
  cr_sampled_terms(&s, loss, score, c->wants_grad ? c->saved : NULL);
  for (int64_t b = 0; b < B; b++) {
    total += loss[b];
    for (int64_t k = 0; k <= K; k++) right += (score[b * (K + 1) + k] > 0) == (k == 0);
    if (c->option[REDUCTION] == CR_NONE) cr_reals(c->out[0])[b] = (real)loss[b];
  }
  if (c->option[REDUCTION] != CR_NONE) *cr_reals(c->out[0]) = (real)(total / divisor(c));
  c->stat[ACCURACY] = B > 0 ? (double)right / (double)(B * (K + 1)) : 0;
}

static void backward(cr_call *c) {
  cr_sampled s = sampled(c);
  size_t slopes = c->backward_scratch_bytes - cr_sampled_bytes(&s);
  real *scaled = c->scratch;
  cr_sampled_scale(&s, c->saved, cr_reals(c->gout[0]), c->option[REDUCTION] != CR_NONE,
                   1 / divisor(c), scaled);
  cr_sampled_gradient(&s, scaled, c->dim['B'], c->dim['C'], (unsigned char *)c->scratch + slopes,
                      c->gin[EMBEDDINGS] ? cr_reals(c->gin[EMBEDDINGS]) : NULL,
                      c->gin[WEIGHTS] ? cr_reals(c->gin[WEIGHTS]) : NULL,
                      c->gin[BIAS] ? cr_reals(c->gin[BIAS]) : NULL);
}

const cr_op cr_loss_nce = {
  .name = "nce",
  .help = "noise-contrastive estimation: tell the true class from a few drawn ones",
  .formula = "mean of -log sigmoid(s_y - log(K q_y)) - sum_k log sigmoid(log(K q_k) - s_k), "
             "s_c = x . w_c + bias_c",
  .paper = "Gutmann, Hyvarinen, \"Noise-contrastive estimation\", AISTATS 2010; Mnih, Teh, \"A "
           "fast and simple algorithm for training neural probabilistic language models\", "
           "ICML 2012",
  .inputs = inputs, .outputs = outputs, .options = options, .stats = stats,
  .check = check, .forward = forward, .backward = backward,
};
