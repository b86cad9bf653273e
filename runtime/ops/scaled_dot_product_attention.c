/* scaled_dot_product_attention.c - softmax(q k^T scale) v
 *
 *   query [... L D], key [... S D], value [... S E]  ->  [... L E]
 *
 * The leading dimensions (batch, heads) are equal. scale defaults to 1 / sqrt(D). causal: row i of
 * L looks at 1 .. i only. mask [L S], 1 where row i may look at j. A row that may look nowhere
 * gives 0.
 *
 * Vaswani et al., "Attention is all you need", NeurIPS 2017, eq. 1. The L x S matrix is never
 * stored: rows are done in tiles, and backward computes each tile again from the logarithm of its
 * row sums (Dao et al., "FlashAttention", NeurIPS 2022). */
#include <tgmath.h>
#include "autograd/op.h"
#include "base/pool.h"
#include "kernels/batch_stats.h"
#include "kernels/gemm.h"

enum { QUERY, KEY, VALUE, MASK };
enum { CAUSAL, SCALE };
enum { TILE = 64 };             /* rows of L at a time */

static const cr_input inputs[] = {
  [QUERY] = { "query", "... L D", CR_TREAL, 0 },
  [KEY]   = { "key", "... S D", CR_TREAL, 0 },
  [VALUE] = { "value", "... S E", CR_TREAL, 0 },
  [MASK]  = { "mask", "L S", CR_TBYTE, CR_OPTIONAL | CR_NOGRAD },
  { 0 }
};
static const cr_output outputs[] = { { "out", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [CAUSAL] = { "causal", 0, 0, 1, "each row looks at itself and those before", CR_FLAG },
  [SCALE]  = { "scale", NAN, -INFINITY, INFINITY, "default 1 / sqrt(D)", CR_NUMBER },
  { 0 }
};

/* One head is a block. Each worker has two tiles of TILE x S: scores, and their gradient. */
typedef struct job {
  int64_t L, S, D, E, heads;
  bool causal;
  real scale;
  const real *q, *k, *v, *out, *g;
  const uint8_t *mask;
  real *log_sum;                /* saved, [heads L] */
  real *tiles, *y, *gq, *gk, *gv;
} job;

static bool check(cr_call *c, cr_error *err) {
  const cr_tensor *q = c->in[QUERY];
  int64_t shape[CR_MAX_DIMS];
  for (int i = KEY; i <= VALUE; i++) {
    const cr_tensor *t = c->in[i];
    bool fits = t->ndim == q->ndim;
    for (int d = 0; fits && d < q->ndim - 2; d++) fits = t->shape[d] == q->shape[d];
    char want[CR_SHAPE_TEXT], got[CR_SHAPE_TEXT];
    if (!fits)
      return cr_fail(err, CR_ESHAPE,
                     "%s of shape %s must have the leading dimensions of query of shape %s",
                     inputs[i].name, cr_shape_text(t->ndim, t->shape, got),
                     cr_shape_text(q->ndim, q->shape, want));
  }
  for (int d = 0; d < q->ndim; d++) shape[d] = q->shape[d];
  shape[q->ndim - 1] = c->dim['E'];
  cr_out_shape(c, 0, q->ndim, shape);
  c->dim['h'] = 1;
  for (int d = 0; d < q->ndim - 2; d++) c->dim['h'] *= q->shape[d];
  c->dim['t'] = cr_pool_threads();
  c->saved_bytes = (size_t)(c->dim['h'] * c->dim['L']) * sizeof(real);
  c->scratch_bytes = (size_t)cr_pool_threads() * TILE * (size_t)c->dim['S'] * sizeof(real);
  c->backward_scratch_bytes = 2 * c->scratch_bytes;
  return true;
}

static job job_of(const cr_call *c) {
  double scale = c->option[SCALE];
  return (job){
    .L = c->dim['L'],
    .S = c->dim['S'],
    .D = c->dim['D'],
    .E = c->dim['E'],
    .heads = c->dim['h'],
    .causal = c->option[CAUSAL] != 0,
    .scale = (real)(isnan(scale) ? 1 / sqrt((double)c->dim['D']) : scale),
    .q = cr_reals(c->in[QUERY]),
    .k = cr_reals(c->in[KEY]),
    .v = cr_reals(c->in[VALUE]),
    .mask = c->in[MASK] ? cr_bytes(c->in[MASK]) : NULL,
    .log_sum = c->saved,
    .tiles = c->scratch,
  };
}

static bool looks(const job *j, int64_t row, int64_t at) {
  return (!j->causal || at <= row) && (!j->mask || j->mask[row * j->S + at]);
}

/* scores[i, s] = scale q_i . k_s for `rows` rows from `first` of head h, -INFINITY where a row may
 * not look */
static void score(const job *j, int64_t h, int64_t first, int64_t rows, real *scores) {
  cr_gemm_serial(false, true, rows, j->S, j->D, j->q + (h * j->L + first) * j->D, j->D,
                 j->k + h * j->S * j->D, j->D, false, scores, j->S);
  for (int64_t i = 0; i < rows; i++)
    for (int64_t s = 0; s < j->S; s++) {
      real *at = scores + i * j->S + s;
      *at = looks(j, first + i, s) ? *at * j->scale : -INFINITY;
    }
}

static void forward_head(void *context, int64_t h, int worker) {
  const job *j = context;
  real *scores = j->tiles + (int64_t)worker * TILE * j->S;
  for (int64_t first = 0; first < j->L; first += TILE) {
    int64_t rows = j->L - first < TILE ? j->L - first : TILE;
    score(j, h, first, rows, scores);
    for (int64_t i = 0; i < rows; i++) {
      real *row = scores + i * j->S, top = -INFINITY;
      double sum = 0;
      for (int64_t s = 0; s < j->S; s++) top = row[s] > top ? row[s] : top;
      for (int64_t s = 0; s < j->S; s++)
        sum += (double)(row[s] = top > -INFINITY ? exp(row[s] - top) : 0);
      for (int64_t s = 0; s < j->S; s++) row[s] = sum > 0 ? (real)((double)row[s] / sum) : 0;
      j->log_sum[h * j->L + first + i] = sum > 0 ? top + (real)log(sum) : INFINITY;
    }
    cr_gemm_serial(false, false, rows, j->E, j->S, scores, j->S, j->v + h * j->S * j->E, j->E,
                   false, j->y + (h * j->L + first) * j->E, j->E);
  }
}

/* With P the softmax and dP = g v^T:
 *   gv = P^T g,  dS = P (dP - rowsum(g out)) scale,  gq = dS k,  gk = dS^T q */
static void backward_head(void *context, int64_t h, int worker) {
  const job *j = context;
  int64_t S = j->S, D = j->D, E = j->E;
  real *p = j->tiles + (int64_t)worker * 2 * TILE * S, *d = p + TILE * S;
  const real *k = j->k + h * S * D, *v = j->v + h * S * E;
  for (int64_t first = 0; first < j->L; first += TILE) {
    int64_t rows = j->L - first < TILE ? j->L - first : TILE, at = h * j->L + first;
    const real *g = j->g + at * E;
    score(j, h, first, rows, p);
    for (int64_t i = 0; i < rows; i++)
      for (int64_t s = 0; s < S; s++) p[i * S + s] = exp(p[i * S + s] - j->log_sum[at + i]);
    if (j->gv) cr_gemm_serial(true, false, S, E, rows, p, S, g, E, first > 0, j->gv + h * S * E, E);
    if (!j->gq && !j->gk) continue;
    cr_gemm_serial(false, true, rows, S, E, g, E, v, E, false, d, S);
    for (int64_t i = 0; i < rows; i++) {
      real along = (real)cr_stats_dot(g + i * E, j->out + (at + i) * E, E);
      for (int64_t s = 0; s < S; s++)
        d[i * S + s] = p[i * S + s] * (d[i * S + s] - along) * j->scale;
    }
    if (j->gq) cr_gemm_serial(false, false, rows, D, S, d, S, k, D, false, j->gq + at * D, D);
    if (j->gk)
      cr_gemm_serial(true, false, S, D, rows, d, S, j->q + at * D, D, first > 0, j->gk + h * S * D,
                     D);
  }
}

static void forward(cr_call *c) {
  job j = job_of(c);
  j.y = cr_reals(c->out[0]);
  cr_pool_run(j.heads, forward_head, &j);
}

static void backward(cr_call *c) {
  job j = job_of(c);
  j.out = cr_reals(c->out[0]);
  j.g = cr_reals(c->gout[0]);
  j.gq = c->gin[QUERY] ? cr_reals(c->gin[QUERY]) : NULL;
  j.gk = c->gin[KEY] ? cr_reals(c->gin[KEY]) : NULL;
  j.gv = c->gin[VALUE] ? cr_reals(c->gin[VALUE]) : NULL;
  for (int i = KEY; j.L == 0 && i <= VALUE; i++)
    if (c->gin[i]) cr_tensor_fill(c->gin[i], 0);
  /* there are tiles for the threads there were in the forward pass */
  if (cr_pool_threads() <= c->dim['t']) cr_pool_run(j.heads, backward_head, &j);
  else for (int64_t h = 0; h < j.heads; h++) backward_head(&j, h, 0);
}

const cr_op cr_op_scaled_dot_product_attention = {
  .name = "scaled_dot_product_attention", .help = "softmax(q k^T scale) v, head by head",
  .formula = "out = softmax(query key^T / sqrt(D)) value",
  .paper = "Vaswani et al., \"Attention is all you need\", NeurIPS 2017, eq. 1",
  .inputs = inputs, .outputs = outputs, .options = options,
  .backward_reads = CR_READS_IN0 | CR_READS_IN1 | CR_READS_IN2 | CR_READS_IN3 | CR_READS_OUT0,
  .check = check, .forward = forward, .backward = backward,
};
