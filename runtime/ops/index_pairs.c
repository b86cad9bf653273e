/* index_pairs.c - single elements of a matrix
 *
 *   out[i] = x[row[i], column[i]]        x [M N], row and column [P], numbers from 1
 *
 * What a list of mined pairs does to a distance matrix. A pair named several times sums its
 * gradient. */
#include "autograd/op.h"
#include "kernels/index.h"

enum { X, ROW, COLUMN };

static const cr_input inputs[] = {
  [X]      = { "x", "M N", CR_TANY, 0 },
  [ROW]    = { "row", "P", CR_TINT, CR_NOGRAD },
  [COLUMN] = { "column", "P", CR_TINT, CR_NOGRAD },
  { 0 }
};
static const cr_output outputs[] = { { "out", "P", CR_TSAME }, { 0 } };

static void *data(const cr_tensor *t) {
  return t->storage->data + (size_t)t->offset * cr_dtype_size(t->dtype);
}

static bool in_range(const char *name, const cr_tensor *index, int64_t limit, cr_error *err) {
  int64_t at = cr_index_outside(cr_tensor_numel(index), cr_ints(index), limit);
  if (at < 0) return true;
  return cr_fail(err, CR_EVALUE, "%s %lld is out of range 1..%lld", name,
                 (long long)cr_ints(index)[at], (long long)limit);
}

static int64_t *places(cr_call *c) {
  const int64_t *row = cr_ints(c->in[ROW]), *column = cr_ints(c->in[COLUMN]), N = c->dim['N'];
  int64_t *where = c->scratch;
  for (int64_t i = 0; i < c->dim['P']; i++) where[i] = (row[i] - 1) * N + column[i] - 1;
  return where;
}

static bool check(cr_call *c, cr_error *err) {
  size_t P = (size_t)c->dim['P'], MN = (size_t)(c->dim['M'] * c->dim['N']);
  c->scratch_bytes = P * sizeof(int64_t);
  c->backward_scratch_bytes = c->scratch_bytes + MN * sizeof(double);
  return in_range("row", c->in[ROW], c->dim['M'], err) &&
         in_range("column", c->in[COLUMN], c->dim['N'], err);
}

static void forward(cr_call *c) {
  const cr_tensor *x = c->in[X];
  cr_index_take(c->dim['P'], places(c), cr_dtype_size(x->dtype), data(x), data(c->out[0]));
}

static void backward(cr_call *c) {
  int64_t P = c->dim['P'], *where = places(c);
  cr_index_put_sum(P, where, 1, cr_reals(c->gout[0]), c->dim['M'] * c->dim['N'], NULL,
                   (double *)(where + P), cr_reals(c->gin[X]));
}

const cr_op cr_op_index_pairs = {
  .name = "index_pairs", .help = "single elements of a matrix, by row and column",
  .inputs = inputs, .outputs = outputs, .backward_reads = CR_READS_IN1 | CR_READS_IN2,
  .check = check, .forward = forward, .backward = backward,
};
