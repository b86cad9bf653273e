/* topk.c - the k largest numbers along a dimension, in order, and where they are
 *
 *   values, index = x:topk(5)            of each row      x:topk{k = 2, dim = 1, largest = false}
 *
 * Of equal numbers the first ones are taken. NaN is taken last either way. index holds numbers from
 * 1. */
#include <math.h>
#include "autograd/op.h"
#include "kernels/index.h"
#include "kernels/sort.h"

enum { K, DIM, LARGEST };
enum { VALUES, INDEX };

static const cr_input inputs[] = { { "x", "...", CR_TANY, 0 }, { 0 } };
static const cr_output outputs[] = {
  [VALUES] = { "values", NULL, CR_TSAME },
  [INDEX]  = { "index", NULL, CR_TINT },
  { 0 }
};

static const cr_option options[] = {
  [K]       = { "k", NAN, 0, 9e15, "how many", CR_COUNT, NULL, true },
  [DIM]     = { "dim", -1, -CR_MAX_DIMS, CR_MAX_DIMS, "dimension to look along", CR_DIM },
  [LARGEST] = { "largest", 1, 0, 1, "false: the smallest", CR_FLAG },
  { 0 }
};

static bool check(cr_call *c, cr_error *err) {
  const cr_tensor *x = c->in[0];
  int64_t shape[CR_MAX_DIMS];
  int dim;
  if (x->dtype == CR_BYTE) return cr_fail(err, CR_ETYPE, "x must be real or int64, got uint8");
  if (!cr_option_dim(c, DIM, x->ndim, &dim, err)) return false;
  for (int d = 0; d < x->ndim; d++) shape[d] = x->shape[d];
  shape[dim] = (int64_t)c->option[K];
  if (shape[dim] > x->shape[dim])
    return cr_fail(err, CR_EVALUE, "k = %lld is more than the %lld places of dimension %d",
                   (long long)shape[dim], (long long)x->shape[dim], dim + 1);
  cr_out_shape(c, VALUES, x->ndim, shape);
  cr_out_shape(c, INDEX, x->ndim, shape);
  c->scratch_bytes = cr_sort_lines_bytes(x->shape[dim]);
  c->backward_scratch_bytes = (size_t)cr_tensor_numel(x) * sizeof(int64_t);
  return true;
}

static void forward(cr_call *c) {
  const cr_tensor *x = c->in[0];
  int dim;
  cr_option_dim(c, DIM, x->ndim, &dim, NULL);
  cr_sort_lines lines = {
    .outer = 1, .n = x->shape[dim], .inner = 1, .k = c->out[INDEX]->shape[dim],
    .descending = c->option[LARGEST] != 0, .index = cr_ints(c->out[INDEX]), .scratch = c->scratch,
  };
  for (int d = 0; d < dim; d++) lines.outer *= x->shape[d];
  for (int d = dim + 1; d < x->ndim; d++) lines.inner *= x->shape[d];
  if (x->dtype == CR_REAL) lines.reals = cr_reals(x), lines.real_out = cr_reals(c->out[VALUES]);
  else lines.ints = cr_ints(x), lines.int_out = cr_ints(c->out[VALUES]);
  cr_sort_lines_run(&lines);
}

static void backward(cr_call *c) {
  const cr_tensor *index = c->out[INDEX];
  int dim;
  cr_option_dim(c, DIM, index->ndim, &dim, NULL);
  cr_index_places(index->ndim, index->shape, c->gin[0]->shape, dim, cr_ints(index), c->scratch);
  cr_tensor_fill(c->gin[0], 0);
  cr_index_put(cr_tensor_numel(index), c->scratch, sizeof(real), cr_reals(c->gout[VALUES]),
               cr_reals(c->gin[0]));
}

const cr_op cr_op_topk = {
  .name = "topk", .help = "the k largest numbers along a dimension, and where they are",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_OUT1,
  .check = check, .forward = forward, .backward = backward,
};
