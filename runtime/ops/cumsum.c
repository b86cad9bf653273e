/* cumsum.c - running sum along a dimension
 *
 *   y_i = x_1 + ... + x_i        dL/dx_i = g_i + ... + g_n
 *
 * In double. */
#include "autograd/op.h"
#include "kernels/reduce.h"

enum { DIM };

static const cr_input inputs[] = { { "x", "...", CR_TREAL, 0 }, { 0 } };
static const cr_output outputs[] = { { "y", "=0", CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [DIM] = { "dim", NAN, -CR_MAX_DIMS, CR_MAX_DIMS, "dimension to run along; the last by default", CR_DIM },
  { 0 }
};

static void value(const cr_row *r) {
  double sum = 0;
  for (int64_t i = 0; i < r->n; i++) r->y[i] = (real)(sum += (double)r->x[i]);
}

static void gradient(const cr_row *r) {
  double sum = 0;
  for (int64_t i = r->n - 1; i >= 0; i--) r->gx[i] = (real)(sum += (double)r->g[i]);
}

static bool check(cr_call *c, cr_error *err) {
  cr_reduction r;
  bool mask[CR_MAX_DIMS];
  if (!cr_reduce_plan(c, c->in[0], CR_OVER_ONE_OR_LAST, &r, mask, err)) return false;
  cr_rows_scratch(c, &r, 2, 2);
  return true;
}

static void forward(cr_call *c) { cr_rows_forward(c, CR_OVER_ONE_OR_LAST, true, value); }
static void backward(cr_call *c) { cr_rows_backward(c, CR_OVER_ONE_OR_LAST, true, gradient); }

const cr_op cr_op_cumsum = {
  .name = "cumsum", .help = "running sum along a dimension",
  .formula = "y_i = x_1 + ... + x_i",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = backward,
};
