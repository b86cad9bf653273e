/* softmax.c - exponentials of a row, divided by their sum
 *
 *   y_i = e^(x_i) / sum_j e^(x_j)        dL/dx_i = y_i (g_i - sum_j g_j y_j)
 *
 * Along one dimension. An element of -inf has probability 0; a row of nothing but -inf has no answer: nan. */
#include "autograd/op.h"
#include "kernels/reduce.h"
#include "kernels/row_softmax.h"

enum { DIM };

static const cr_input inputs[] = { { "x", "...", CR_TREAL, 0 }, { 0 } };
static const cr_output outputs[] = { { "y", "=0", CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [DIM] = { "dim", NAN, -CR_MAX_DIMS, CR_MAX_DIMS, "dimension to run along; the last by default", CR_DIM },
  { 0 }
};

static void value(const cr_row *r) { cr_kernel_row_softmax(r->x, r->n, r->y); }
static void gradient(const cr_row *r) { cr_kernel_row_softmax_backward(r->y, r->g, r->n, r->gx); }

static bool check(cr_call *c, cr_error *err) {
  cr_reduction r;
  bool mask[CR_MAX_DIMS];
  if (!cr_reduce_plan(c, c->in[0], CR_OVER_ONE_OR_LAST, &r, mask, err)) return false;
  cr_rows_scratch(c, &r, 2, 3);
  return true;
}

static void forward(cr_call *c) { cr_rows_forward(c, CR_OVER_ONE_OR_LAST, true, value); }
static void backward(cr_call *c) { cr_rows_backward(c, CR_OVER_ONE_OR_LAST, true, gradient); }

const cr_op cr_op_softmax = {
  .name = "softmax", .help = "exponentials along a dimension, divided by their sum",
  .formula = "y_i = e^(x_i) / sum_j e^(x_j)",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_OUT0,
  .check = check, .forward = forward, .backward = backward,
};
