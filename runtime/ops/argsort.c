/* argsort.c - where the numbers along a dimension come from when they are put in order
 *
 * The second result of sort alone: numbers from 1, stable, NaN last either way. */
#include <math.h>
#include "autograd/op.h"
#include "kernels/sort.h"

enum { DIM, DESCENDING };

static const cr_input inputs[] = { { "x", "...", CR_TANY, CR_NOGRAD }, { 0 } };
static const cr_output outputs[] = { { "index", "=0", CR_TINT }, { 0 } };

static const cr_option options[] = {
  [DIM]        = { "dim", -1, -CR_MAX_DIMS, CR_MAX_DIMS, "dimension to sort along", CR_DIM },
  [DESCENDING] = { "descending", 0, 0, 1, "largest first", CR_FLAG },
  { 0 }
};

static bool check(cr_call *c, cr_error *err) {
  const cr_tensor *x = c->in[0];
  int dim;
  if (x->dtype == CR_BYTE) return cr_fail(err, CR_ETYPE, "x must be real or int64, got uint8");
  if (!cr_option_dim(c, DIM, x->ndim, &dim, err)) return false;
  c->scratch_bytes = cr_sort_lines_bytes(x->shape[dim]);
  return true;
}

static void forward(cr_call *c) {
  const cr_tensor *x = c->in[0];
  int dim;
  cr_option_dim(c, DIM, x->ndim, &dim, NULL);
  cr_sort_lines lines = {
    .outer = 1, .n = x->shape[dim], .inner = 1, .k = x->shape[dim],
    .descending = c->option[DESCENDING] != 0, .index = cr_ints(c->out[0]), .scratch = c->scratch,
  };
  for (int d = 0; d < dim; d++) lines.outer *= x->shape[d];
  for (int d = dim + 1; d < x->ndim; d++) lines.inner *= x->shape[d];
  if (x->dtype == CR_REAL) lines.reals = cr_reals(x);
  else lines.ints = cr_ints(x);
  cr_sort_lines_run(&lines);
}

const cr_op cr_op_argsort = {
  .name = "argsort", .help = "where numbers come from when they are put in order",
  .inputs = inputs, .outputs = outputs, .options = options, .check = check, .forward = forward,
};
