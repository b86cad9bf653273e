/* embedding.c - rows of a table
 *
 *   weight [V D], index [...] of row numbers from 1  ->  [... D]
 *
 * No gradient reaches the row `padding`; its values are used as they are. */
#include <math.h>
#include "autograd/op.h"
#include "kernels/index.h"

enum { WEIGHT, INDEX };
enum { PADDING };

static const cr_input inputs[] = {
  [WEIGHT] = { "weight", "V D", CR_TREAL, 0 },
  [INDEX]  = { "index", "...", CR_TINT, CR_NOGRAD },
  { 0 }
};
static const cr_output outputs[] = { { "out", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [PADDING] = { "padding", NAN, -INFINITY, INFINITY, "row that is never trained", CR_INDEX },
  { 0 }
};

static bool in_range(const cr_tensor *index, int64_t limit, cr_error *err) {
  int64_t n = cr_tensor_numel(index), at = cr_index_outside(n, cr_ints(index), limit);
  if (at < 0) return true;
  return cr_fail(err, CR_EVALUE, "index %lld is out of range 1..%lld",
                 (long long)cr_ints(index)[at], (long long)limit);
}

static bool check(cr_call *c, cr_error *err) {
  const cr_tensor *index = c->in[INDEX];
  int64_t V = c->dim['V'], n = cr_tensor_numel(index), shape[CR_MAX_DIMS];
  double padding = c->option[PADDING];
  if (!in_range(index, V, err)) return false;
  if (padding < 0 || padding >= (double)V)
    return cr_fail(err, CR_EVALUE, "padding = %.0f is out of range 1..%lld",
                   padding < 0 ? padding : padding + 1, (long long)V);
  if (index->ndim == CR_MAX_DIMS)
    return cr_fail(err, CR_ESHAPE, "index may have at most %d dimensions", CR_MAX_DIMS - 1);
  for (int d = 0; d < index->ndim; d++) shape[d] = index->shape[d];
  shape[index->ndim] = c->dim['D'];
  cr_out_shape(c, 0, index->ndim + 1, shape);
  cr_axis rows = { V, n, cr_ints(index) };
  c->scratch_bytes = (size_t)n * sizeof(int64_t);
  c->backward_scratch_bytes = c->scratch_bytes + cr_index_axes_sum_bytes(1, &rows);
  return true;
}

static void table(const cr_call *c, int64_t untrained, cr_axis axis[2]) {
  int64_t n = cr_tensor_numel(c->in[INDEX]), *row = c->scratch;
  for (int64_t i = 0; i < n; i++) {
    row[i] = cr_ints(c->in[INDEX])[i] - 1;
    if (row[i] == untrained) row[i] = -1;
  }
  axis[0] = (cr_axis){ c->dim['V'], n, row };
  axis[1] = (cr_axis){ c->dim['D'], c->dim['D'], NULL };
}

static void forward(cr_call *c) {
  cr_axis axis[2];
  table(c, -1, axis);
  cr_index_axes(2, axis, sizeof(real), cr_reals(c->in[WEIGHT]), NULL, cr_reals(c->out[0]));
}

static void backward(cr_call *c) {
  cr_axis axis[2];
  table(c, isnan(c->option[PADDING]) ? -1 : (int64_t)c->option[PADDING], axis);
  cr_index_axes_sum(2, axis, cr_reals(c->gout[0]), (int64_t *)c->scratch + axis[0].n_out,
                    cr_reals(c->gin[WEIGHT]));
}

const cr_op cr_op_embedding = {
  .name = "embedding", .help = "rows of a table, by number",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_IN1,
  .check = check, .forward = forward, .backward = backward,
};
