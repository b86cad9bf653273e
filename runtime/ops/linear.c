/* linear.c - an affine map of the last dimension
 *
 *   y[..., o] = bias[o] + sum_i weight[o, i] x[..., i]
 *   x [... I], weight [O I], bias [O] or nil -> [... O]
 *
 *   dL/dx = g weight,   dL/dweight = g^T x,   dL/dbias = sum of the rows of g, in double */
#include "autograd/op.h"
#include "base/pool.h"
#include "kernels/gemm.h"

enum { X, WEIGHT, BIAS };

static const cr_input inputs[] = {
  [X]      = { "x",      "... I", CR_TREAL, 0 },
  [WEIGHT] = { "weight", "O I",   CR_TREAL, 0 },
  [BIAS]   = { "bias",   "O",     CR_TREAL, CR_OPTIONAL },
  { 0 }
};
static const cr_output outputs[] = { { "y", NULL, CR_TREAL }, { 0 } };

static bool check(cr_call *c, cr_error *err) {
  (void)err;
  const cr_tensor *x = c->in[X];
  int64_t shape[CR_MAX_DIMS];
  for (int d = 0; d < x->ndim - 1; d++) shape[d] = x->shape[d];
  shape[x->ndim - 1] = c->dim['O'];
  cr_out_shape(c, 0, x->ndim, shape);
  return true;
}

static int64_t rows_of(const cr_tensor *t) {
  int64_t rows = 1;
  for (int d = 0; d < t->ndim - 1; d++) rows *= t->shape[d];
  return rows;
}

static void forward(cr_call *c) {
  int64_t rows = rows_of(c->out[0]), I = c->dim['I'], O = c->dim['O'];
  real *y = cr_reals(c->out[0]);
  const real *x = cr_reals(c->in[X]), *weight = cr_reals(c->in[WEIGHT]);
  if (c->in[BIAS])
    cr_gemm_plus_row(false, true, rows, O, I, x, I, weight, I, cr_reals(c->in[BIAS]), y, O);
  else
    cr_gemm(false, true, rows, O, I, x, I, weight, I, false, y, O);
}

typedef struct { int64_t rows, columns; const real *g; real *sum; } job;

CR_VECTOR static void sum_columns(void *context, int64_t begin, int64_t end) {
  enum { AT_ONCE = 32 };
  const job *j = context;
  for (int64_t o = begin; o < end; o += AT_ONCE) {
    int64_t n = end - o < AT_ONCE ? end - o : AT_ONCE;
    double sum[AT_ONCE] = { 0 };
    for (int64_t r = 0; r < j->rows; r++) {
      const real *restrict g = j->g + r*j->columns + o;
      if (n == AT_ONCE) for (int64_t l = 0; l < AT_ONCE; l++) sum[l] += (double)g[l];
      else              for (int64_t l = 0; l < n; l++) sum[l] += (double)g[l];
    }
    for (int64_t l = 0; l < n; l++) j->sum[o + l] = (real)sum[l];
  }
}

static void backward(cr_call *c) {
  int64_t rows = rows_of(c->gout[0]), I = c->dim['I'], O = c->dim['O'];
  const real *g = cr_reals(c->gout[0]);
  if (c->gin[X])
    cr_gemm(false, false, rows, I, O, g, O, cr_reals(c->in[WEIGHT]), I, false,
            cr_reals(c->gin[X]), I);
  if (c->gin[WEIGHT])
    cr_gemm(true, false, O, I, rows, g, O, cr_reals(c->in[X]), I, false,
            cr_reals(c->gin[WEIGHT]), I);
  if (c->gin[BIAS]) {
    job j = { rows, O, g, cr_reals(c->gin[BIAS]) };
    cr_pool_for(O, rows * 64 > 20000 ? 64 : O, sum_columns, &j);
  }
}

const cr_op cr_op_linear = {
  .name = "linear",
  .help = "an affine map of the last dimension: x [... I], weight [O I], bias [O]",
  .formula = "y = x weight^T + bias",
  .inputs = inputs, .outputs = outputs, .backward_reads = CR_READS_IN0 | CR_READS_IN1,
  .check = check, .forward = forward, .backward = backward,
};
