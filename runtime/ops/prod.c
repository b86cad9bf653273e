/* prod.c - product over dimensions
 *
 *   y = prod_i x_i        dL/dx_i = g prod_{j != i} x_j
 *
 * The gradient is made of the product of what comes before i and the product of what comes after, so zeros need
 * no special care. In double. An empty product is 1. */
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

static void value(const cr_row *r) {
  double y = 1;
  for (int64_t i = 0; i < r->n; i++) y *= (double)r->x[i];
  *r->y = (real)y;
}

static void gradient(const cr_row *r) {
  double before = (double)*r->g, after = 1;
  for (int64_t i = 0; i < r->n; i++) {
    r->gx[i] = (real)before;
    before *= (double)r->x[i];
  }
  for (int64_t i = r->n - 1; i >= 0; i--) {
    r->gx[i] = (real)((double)r->gx[i] * after);
    after *= (double)r->x[i];
  }
}

static bool check(cr_call *c, cr_error *err) {
  cr_reduction r;
  if (!cr_reduce_check(c, CR_OVER_DIMS, 1, &r, err)) return false;
  cr_rows_scratch(c, &r, 1, 2);
  return true;
}

static void forward(cr_call *c) { cr_rows_forward(c, CR_OVER_DIMS, false, value); }
static void backward(cr_call *c) { cr_rows_backward(c, CR_OVER_DIMS, false, gradient); }

const cr_op cr_op_prod = {
  .name = "prod", .help = "product over dimensions",
  .formula = "y = prod_i x_i",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_IN0,
  .check = check, .forward = forward, .backward = backward,
};
