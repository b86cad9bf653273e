/* outer.c - every product of an element of x with an element of y
 *
 *   out[i, j] = x[i] y[j]           x [M], y [N] -> [M N]
 *   dL/dx = (dL/dout) y,   dL/dy = (dL/dout)^T x */
#include "autograd/op.h"
#include "base/pool.h"
#include "kernels/gemm.h"

enum { X, Y };

static const cr_input inputs[] = {
  [X] = { "x", "M", CR_TREAL, 0 },
  [Y] = { "y", "N", CR_TREAL, 0 },
  { 0 }
};
static const cr_output outputs[] = { { "out", "M N", CR_TREAL }, { 0 } };

static void rows(void *context, int64_t begin, int64_t end) {
  const cr_call *c = context;
  int64_t n = c->dim['N'];
  const real *x = cr_reals(c->in[X]), *restrict y = cr_reals(c->in[Y]);
  real *restrict out = cr_reals(c->out[0]);
  for (int64_t i = begin; i < end; i++)
    for (int64_t j = 0; j < n; j++) out[i*n + j] = x[i] * y[j];
}

static void forward(cr_call *c) {
  cr_pool_for(c->dim['M'], (1 << 16) / (c->dim['N'] + 1) + 1, rows, c);
}

static void backward(cr_call *c) {
  int64_t m = c->dim['M'], n = c->dim['N'];
  const real *g = cr_reals(c->gout[0]);
  const real *x = cr_reals(c->in[X]), *y = cr_reals(c->in[Y]);
  if (c->gin[X]) cr_gemm(false, false, m, 1, n, g, n, y, 1, false, cr_reals(c->gin[X]), 1);
  if (c->gin[Y]) cr_gemm(true, false, n, 1, m, g, n, x, 1, false, cr_reals(c->gin[Y]), 1);
}

const cr_op cr_op_outer = {
  .name = "outer", .help = "every product of an element of x [M] with an element of y [N]",
  .formula = "out[i,j] = x[i] y[j]",
  .inputs = inputs, .outputs = outputs, .forward = forward, .backward = backward,
};
