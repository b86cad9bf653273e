/* skip_gram.c - word vectors by negative sampling
 *
 *   l_b = -log sigmoid(u_o . v_c) - sum_k log sigmoid(-u_k . v_c)
 *
 * v: rows of input_table [V D], u: rows of output_table [U D]; center c [B], context o [B] and
 * negatives k [B K] are row numbers from 1. Negatives are drawn outside, in the paper by the
 * frequency of a word to the power 3/4. reduction mean (over b), sum, none.
 *
 * The gradient of a table is 0 but for the rows named, which are all that is worked out; a row
 * named many times receives one sum in double. Scores of any size give finite numbers.
 * Cost: B (K+1) D, and what clearing two gradients of the tables' size takes. */
#include <string.h>

#include "autograd/term_loss.h"
#include "kernels/index.h"
#include "kernels/sampled_logistic.h"

enum { INPUT_TABLE, OUTPUT_TABLE, CENTER, CONTEXT, NEGATIVES };
enum { REDUCTION };
enum { POSITIVE_SCORE, NEGATIVE_SCORE };

static const cr_input inputs[] = {
  [INPUT_TABLE]  = { "input_table",  "V D", CR_TREAL, 0 },
  [OUTPUT_TABLE] = { "output_table", "U D", CR_TREAL, 0 },
  [CENTER]       = { "center",       "B",   CR_TINT,  CR_NOGRAD },
  [CONTEXT]      = { "context",      "B",   CR_TINT,  CR_NOGRAD },
  [NEGATIVES]    = { "negatives",    "B K", CR_TINT,  CR_NOGRAD },
  { 0 }
};

static const cr_output outputs[] = { { "loss", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = { [REDUCTION] = CR_REDUCTION_OPTION, { 0 } };

static const char *const stats[] = {
  [POSITIVE_SCORE] = "positive_score",      /* means of the inner products */
  [NEGATIVE_SCORE] = "negative_score",
  NULL
};

static cr_sampled sampled(const cr_call *c) {
  return (cr_sampled){
    .batch = c->dim['B'], .drawn = c->dim['K'], .width = c->dim['D'],
    .x = cr_reals(c->in[INPUT_TABLE]), .x_row = cr_ints(c->in[CENTER]),
    .table = cr_reals(c->in[OUTPUT_TABLE]), .positive = cr_ints(c->in[CONTEXT]),
    .negative = cr_ints(c->in[NEGATIVES]),
  };
}

static bool in_range(const cr_call *c, int input, int64_t limit, const char *table, cr_error *err) {
  const int64_t *row = cr_ints(c->in[input]);
  int64_t wrong = cr_index_outside(cr_tensor_numel(c->in[input]), row, limit);
  if (wrong < 0) return true;
  return cr_fail(err, CR_EVALUE, "%s are row numbers of %s, from 1 to %lld, got %lld",
                 c->op->inputs[input].name, table, (long long)limit, (long long)row[wrong]);
}

static bool check(cr_call *c, cr_error *err) {
  int64_t B = c->dim['B'], entries = B * (c->dim['K'] + 1);
  if (!in_range(c, CENTER, c->dim['V'], "input_table", err) ||
      !in_range(c, CONTEXT, c->dim['U'], "output_table", err) ||
      !in_range(c, NEGATIVES, c->dim['U'], "output_table", err)) return false;
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
  int64_t B = s.batch, K = s.drawn;
  real *score = c->scratch;
  double *loss = (double *)(void *)((unsigned char *)c->scratch + c->scratch_bytes
                                    - (size_t)B * sizeof(double));
  double total = 0, positive = 0, negative = 0;
  cr_sampled_terms(&s, loss, score, c->wants_grad ? c->saved : NULL);
  for (int64_t b = 0; b < B; b++) {
    total += loss[b];
    positive += (double)score[b * (K + 1)];
    for (int64_t k = 1; k <= K; k++) negative += (double)score[b * (K + 1) + k];
    if (c->option[REDUCTION] == CR_NONE) cr_reals(c->out[0])[b] = (real)loss[b];
  }
  if (c->option[REDUCTION] != CR_NONE) *cr_reals(c->out[0]) = (real)(total / divisor(c));
  c->stat[POSITIVE_SCORE] = B > 0 ? positive / (double)B : 0;
  c->stat[NEGATIVE_SCORE] = B * K > 0 ? negative / (double)(B * K) : 0;
}

static void backward(cr_call *c) {
  cr_sampled s = sampled(c);
  size_t slopes = c->backward_scratch_bytes - cr_sampled_bytes(&s);
  real *scaled = c->scratch;
  cr_sampled_scale(&s, c->saved, cr_reals(c->gout[0]), c->option[REDUCTION] != CR_NONE,
                   1 / divisor(c), scaled);
  cr_sampled_gradient(&s, scaled, c->dim['V'], c->dim['U'], (unsigned char *)c->scratch + slopes,
                      c->gin[INPUT_TABLE] ? cr_reals(c->gin[INPUT_TABLE]) : NULL,
                      c->gin[OUTPUT_TABLE] ? cr_reals(c->gin[OUTPUT_TABLE]) : NULL, NULL);
}

const cr_op cr_loss_skip_gram = {
  .name = "skip_gram",
  .help = "word vectors by negative sampling: a word and its context against drawn words",
  .formula = "mean of -log sigmoid(u_o . v_c) - sum_k log sigmoid(-u_k . v_c)",
  .paper = "Mikolov, Sutskever, Chen, Corrado, Dean, \"Distributed representations of words and "
           "phrases and their compositionality\", NIPS 2013, eq. 4",
  .inputs = inputs, .outputs = outputs, .options = options, .stats = stats,
  .check = check, .forward = forward, .backward = backward,
};
