/* siglip.c - sigmoid loss of two towers
 *
 *   L = 1/B sum_ij log(1 + e^(-z_ij (scale s_ij + bias))),     z_ij = 1 where i = j, else -1
 *
 * Row i of the embeddings belongs to row i of the references; every other pair is a negative, the
 * references past row B included. s is the cosine unless told otherwise. Zhai and others 2023, eq.
 * 1. Each pair stands alone: no sum over a row is needed.
 *
 *   log_scale   a scalar tensor; e^log_scale stands for scale, and has a gradient
 *   bias        a scalar tensor in place of the option bias, with a gradient
 *
 * Terms are rows: "mean" divides by B. Cost: B R D, memory a tile of rows by R. */
#include <math.h>

#include "autograd/pair_loss.h"

enum { EMBEDDINGS, REFERENCES, LOG_SCALE, BIAS_TENSOR };
enum { SCALE, BIAS };

static const cr_input inputs[] = {
  [EMBEDDINGS]  = { "embeddings", "B D", CR_TREAL, 0 },
  [REFERENCES]  = { "references", "R D", CR_TREAL, 0 },
  [LOG_SCALE]   = { "log_scale",  "",    CR_TREAL, CR_OPTIONAL },
  [BIAS_TENSOR] = { "bias",       "",    CR_TREAL, CR_OPTIONAL },
  { 0 }
};

static const cr_option options[] = {
  [SCALE] = { "scale", 10, 1e-6, 1e6, "multiplies similarities", CR_NUMBER, NULL, false },
  [BIAS]  = { "bias", -10, -1e6, 1e6, "added to them; below 0, since most pairs are negative",
              CR_NUMBER, NULL, false },
  CR_PAIR_OPTIONS(CR_COSINE, 0, CR_PAIR_MEAN),
  { 0 }
};

typedef struct settings { double scale, bias, one; } settings;      /* s = one - d */

enum { BY_SCALE = CR_PAIR_OWN, BY_BIAS };

static void row_loss(const cr_row *row, void *context) {
  const settings *s = context;
  double slope, plus = s->scale * s->one + s->bias;
  int64_t own = row->begin;
  double loss = cr_log_one_plus(s->scale * (double)row->d[own] - plus, &slope);
  loss += cr_span_log_one_plus(row->d, cr_span_negatives(row), -s->scale, plus, row->w);
  cr_pair_term(row, loss);
  if (row->w == NULL) return;
  row->w[own] = (real)-slope;
  for (int64_t j = 0; j < row->columns; j++)
    row->sum[BY_SCALE] += (double)row->w[j] * (s->one - (double)row->d[j]);
  row->sum[BY_BIAS] = cr_pairs_sum(row->columns, row->w);
}

static void forward(cr_call *c) {
  const cr_tensor *log_scale = c->in[LOG_SCALE], *bias = c->in[BIAS_TENSOR];
  settings s = { c->option[SCALE], c->option[BIAS], cr_pair_metric(c) == CR_COSINE ? 1 : 0 };
  if (log_scale != NULL) s.scale = exp((double)*cr_reals(log_scale));
  if (bias != NULL) s.bias = (double)*cr_reals(bias);
  cr_tile t;
  double sum[CR_ROW_SUMS];
  cr_pair_start(c, &t);
  cr_tile_pass(&t, row_loss, &s, c->wants_grad, sum);
  double by = cr_pair_scale(c, sum);
  cr_pair_keep(c, 0, by * s.scale * sum[BY_SCALE]);
  cr_pair_keep(c, 1, by * sum[BY_BIAS]);
  /* the weights are by scale s, whose derivative by d is -scale */
  cr_pair_finish(c, &t, -s.scale * by, by * sum[CR_PAIR_LOSS], sum);
}

static void backward(cr_call *c) {
  double gout = (double)*cr_reals(c->gout[0]);
  cr_pair_backward(c);
  for (int k = 0; k < 2; k++)
    if (c->gin[LOG_SCALE + k] != NULL)
      *cr_reals(c->gin[LOG_SCALE + k]) = (real)(cr_pair_kept(c, k) * gout);
}

const cr_op cr_loss_siglip = {
  .name = "siglip", .help = "a yes or no for every pair of an embedding and a reference",
  .formula = "1/B sum_ij log(1 + e^(-z_ij (scale s_ij + bias))), z = 1 on the diagonal, else -1",
  .paper = "Zhai, Mustafa, Kolesnikov, Beyer, \"Sigmoid loss for language image pre-training\", "
           "ICCV 2023, eq. 1",
  .inputs = inputs, .options = options, .stats = cr_pair_loss_stats,
  .backward_reads = CR_READS_NOTHING,
  .check = cr_pair_check, .forward = forward, .backward = backward,
};
