/* argmin.c - where the smallest element along a dimension is
 *
 *   index = the first i with x_i = min_j x_j, counted from 1        (int64, no gradient)
 *
 * Along one dimension, or over the whole tensor, where the index counts in row-major order. nan wins. */
#include "autograd/op.h"
#include "kernels/reduce.h"

enum { DIM, KEEPDIM };

static const cr_input inputs[] = { { "x", "...", CR_TREAL, CR_NOGRAD }, { 0 } };
static const cr_output outputs[] = { { "indices", NULL, CR_TINT }, { 0 } };

static const cr_option options[] = {
  [DIM] = { "dim", NAN, -CR_MAX_DIMS, CR_MAX_DIMS, "dimension to search along; all of them by default", CR_DIM },
  [KEEPDIM] = { "keepdim", 0, 0, 1, "leave reduced dimensions in place with size 1", CR_FLAG },
  { 0 }
};

static void value(const cr_row *r) {
  *r->at = 1 + cr_kernel_row_find(r->x, r->n, cr_kernel_row_min(r->x, r->n));
}

static bool check(cr_call *c, cr_error *err) {
  cr_reduction r;
  if (!cr_reduce_check(c, CR_OVER_ONE_OR_ALL, 1, &r, err) || !cr_reduce_needs_elements(&r, err)) return false;
  cr_rows_scratch(c, &r, 1, 0);
  return true;
}

static void forward(cr_call *c) { cr_rows_forward(c, CR_OVER_ONE_OR_ALL, false, value); }

const cr_op cr_op_argmin = {
  .name = "argmin", .help = "the row number (from 1) of the smallest element along a dimension",
  .formula = "the first i with x_i = min_j x_j",
  .inputs = inputs, .outputs = outputs, .options = options,
  .check = check, .forward = forward,
};
