/* all.c - whether every element is not 0
 *
 *   y = 1 where every x_i != 0, else 0        (uint8, no gradient)
 *
 * nan counts as true. 1 for no elements. */
#include "autograd/op.h"
#include "kernels/reduce.h"

enum { DIM, KEEPDIM };

static const cr_input inputs[] = { { "x", "...", CR_TREAL, CR_NOGRAD }, { 0 } };
static const cr_output outputs[] = { { "y", NULL, CR_TBYTE }, { 0 } };

static const cr_option options[] = {
  [DIM] = { "dim", NAN, 0, 0, "dimensions to reduce; all by default", CR_DIMS },
  [KEEPDIM] = { "keepdim", 0, 0, 1, "leave reduced dimensions in place with size 1", CR_FLAG },
  { 0 }
};

static void value(const cr_row *r) {
  int64_t i = 0;
  while (i < r->n && r->x[i] != 0) i++;
  *r->flag = i == r->n;
}

static bool check(cr_call *c, cr_error *err) {
  cr_reduction r;
  if (!cr_reduce_check(c, CR_OVER_DIMS, 1, &r, err)) return false;
  cr_rows_scratch(c, &r, 1, 0);
  return true;
}

static void forward(cr_call *c) { cr_rows_forward(c, CR_OVER_DIMS, false, value); }

const cr_op cr_op_all = {
  .name = "all", .help = "1 where every element is not 0",
  .formula = "y = [every x_i != 0]",
  .inputs = inputs, .outputs = outputs, .options = options,
  .check = check, .forward = forward,
};
