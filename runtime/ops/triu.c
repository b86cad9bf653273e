/* triu.c - a matrix with zeros below a diagonal
 *
 *   out[i, j] = x[i, j] where j - i >= diagonal, else 0             each matrix of x [... M N] */
#include "autograd/op.h"

enum { DIAGONAL };

static const cr_input inputs[] = { { "x", "... M N", CR_TREAL, 0 }, { 0 } };
static const cr_output outputs[] = { { "out", "=0", CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [DIAGONAL] = { "diagonal", 0, -9e15, 9e15, "0: the main diagonal, 1: the one above", CR_COUNT },
  { 0 }
};

static void keep(const cr_call *c, const cr_tensor *from, cr_tensor *to) {
  int64_t M = c->dim['M'], N = c->dim['N'], k = (int64_t)c->option[DIAGONAL];
  const real *x = cr_reals(from);
  real *out = cr_reals(to);
  for (int64_t row = 0, rows = M * N > 0 ? cr_tensor_numel(from) / N : 0; row < rows; row++)
    for (int64_t i = row % M, j = 0; j < N; j++)
      out[row*N + j] = j - i >= k ? x[row*N + j] : 0;
}

static void forward(cr_call *c) { keep(c, c->in[0], c->out[0]); }
static void backward(cr_call *c) { keep(c, c->gout[0], c->gin[0]); }

const cr_op cr_op_triu = {
  .name = "triu", .help = "a matrix with zeros below a diagonal",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_NOTHING,
  .forward = forward, .backward = backward,
};
