/* amin.c - the smallest element over dimensions
 *
 *   y = min_i x_i        dL/dx_i = g / T where x_i = y, else 0        (T: how many there are)
 *
 * The gradient is shared by all that tie; min gives it to the first. nan wins, and then the gradient goes to the
 * nans. */
#include "autograd/op.h"
#include "kernels/reduce.h"

enum { DIM, KEEPDIM };

static const cr_input inputs[] = { { "x", "...", CR_TREAL, 0 }, { 0 } };
static const cr_output outputs[] = { { "y", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [DIM] = { "dim", NAN, 0, 0, "dimensions to reduce; all by default", CR_DIMS },
  [KEEPDIM] = { "keepdim", 0, 0, 1, "leave reduced dimensions in place with size 1", CR_FLAG },
  { 0 }
};

static void value(const cr_row *r) { *r->y = cr_kernel_row_min(r->x, r->n); }

static void gradient(const cr_row *r) { cr_kernel_row_share(r->x, r->n, *r->y, *r->g, r->gx); }

static bool check(cr_call *c, cr_error *err) {
  cr_reduction r;
  if (!cr_reduce_check(c, CR_OVER_DIMS, 1, &r, err) || !cr_reduce_needs_elements(&r, err)) return false;
  cr_rows_scratch(c, &r, 1, 2);
  return true;
}

static void forward(cr_call *c) { cr_rows_forward(c, CR_OVER_DIMS, false, value); }
static void backward(cr_call *c) { cr_rows_backward(c, CR_OVER_DIMS, false, gradient); }

const cr_op cr_op_amin = {
  .name = "amin", .help = "the smallest element over dimensions",
  .formula = "y = min_i x_i",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_IN0 | CR_READS_OUT0,
  .check = check, .forward = forward, .backward = backward,
};
