/* max.c - the largest element along a dimension, and where it is
 *
 *   value = max_i x_i        index = the first i that has it, counted from 1
 *   dL/dx_i = g at the index, else 0
 *
 * Along one dimension, or over the whole tensor, where the index counts in row-major order. nan wins. */
#include "autograd/op.h"
#include "kernels/reduce.h"

enum { DIM, KEEPDIM };

static const cr_input inputs[] = { { "x", "...", CR_TREAL, 0 }, { 0 } };
static const cr_output outputs[] = { { "values", NULL, CR_TREAL }, { "indices", NULL, CR_TINT }, { 0 } };

static const cr_option options[] = {
  [DIM] = { "dim", NAN, -CR_MAX_DIMS, CR_MAX_DIMS, "dimension to search along; all of them by default", CR_DIM },
  [KEEPDIM] = { "keepdim", 0, 0, 1, "leave reduced dimensions in place with size 1", CR_FLAG },
  { 0 }
};

static void value(const cr_row *r) {
  *r->y = cr_kernel_row_max(r->x, r->n);
  *r->at = 1 + cr_kernel_row_find(r->x, r->n, *r->y);
}

static void gradient(const cr_row *r) {
  for (int64_t i = 0; i < r->n; i++) r->gx[i] = 0;
  r->gx[*r->at - 1] = *r->g;
}

static bool check(cr_call *c, cr_error *err) {
  cr_reduction r;
  if (!cr_reduce_check(c, CR_OVER_ONE_OR_ALL, 2, &r, err) || !cr_reduce_needs_elements(&r, err)) return false;
  cr_rows_scratch(c, &r, 1, 1);
  return true;
}

static void forward(cr_call *c) { cr_rows_forward(c, CR_OVER_ONE_OR_ALL, false, value); }
static void backward(cr_call *c) { cr_rows_backward(c, CR_OVER_ONE_OR_ALL, false, gradient); }

const cr_op cr_op_max = {
  .name = "max", .help = "the largest element along a dimension, and its row number (from 1)",
  .formula = "max_i x_i and the first i that has it",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_OUT1,
  .check = check, .forward = forward, .backward = backward,
};
