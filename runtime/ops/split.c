/* split.c - a tensor cut along one dimension, one result for each piece
 *
 *   a, b, c = x:split(1, {2, 4, 1})      pieces of these sizes, which must add up
 *   a, b, c = x:split(1, 3)              pieces of 3, the last one what is left
 *
 * At most 64 pieces, at most 8 in a list. The results are copies; narrow makes a view. */
#include <math.h>
#include "autograd/op.h"
#include "kernels/index.h"

enum { DIM, SIZES };
enum { MOST = 64 };

static const cr_input inputs[] = { { "x", "...", CR_TANY, 0 }, { 0 } };
static const cr_output outputs[] = { [0 ... MOST-1] = { "piece", NULL, CR_TSAME }, { 0 } };

static const cr_option options[] = {
  [DIM]   = { "dim", NAN, -CR_MAX_DIMS, CR_MAX_DIMS, "dimension to cut", CR_DIM, NULL, true },
  [SIZES] = { "sizes", NAN, 0, 9e15, "a list of sizes, or one size for all", CR_COUNTS, NULL,
              true },
  { 0 }
};

/* saved: the shape of x as backward needs it */
typedef struct layout { int64_t rows; size_t bytes, start[MOST + 1]; } layout;

static int64_t piece_size(const cr_list *sizes, int64_t size, int k) {
  if (sizes->n > 1) return sizes->at[k];
  int64_t left = size - k * sizes->at[0];
  return left < sizes->at[0] ? left : sizes->at[0];
}

static void *data(const cr_tensor *t) {
  return t->storage->data + (size_t)t->offset * cr_dtype_size(t->dtype);
}

static bool check(cr_call *c, cr_error *err) {
  const cr_tensor *x = c->in[0];
  const cr_list *sizes = &c->list[SIZES];
  int dim;
  if (!cr_option_dim(c, DIM, x->ndim, &dim, err)) return false;
  int64_t size = x->shape[dim], pieces = sizes->n, total = 0;
  if (sizes->n == 0) return cr_fail(err, CR_EVALUE, "sizes is empty");
  if (sizes->n == 1 && sizes->at[0] < 1)
    return cr_fail(err, CR_EVALUE, "pieces must have size 1 or more");
  if (sizes->n == 1) pieces = size == 0 ? 1 : (size + sizes->at[0] - 1) / sizes->at[0];
  for (int k = 0; k < sizes->n; k++) total += sizes->at[k];
  if (sizes->n > 1 && total != size)
    return cr_fail(err, CR_ESHAPE, "sizes add up to %lld, dimension %d has %lld", (long long)total,
                   dim + 1, (long long)size);
  if (pieces > MOST)
    return cr_fail(err, CR_EVALUE, "at most %d pieces, got %lld", MOST, (long long)pieces);
  int64_t shape[CR_MAX_DIMS];
  for (int d = 0; d < x->ndim; d++) shape[d] = x->shape[d];
  cr_out_count(c, (int)pieces);
  for (int k = 0; k < pieces; k++) {
    shape[dim] = piece_size(sizes, size, k);
    cr_out_shape(c, k, x->ndim, shape);
  }
  c->saved_bytes = sizeof(layout);
  return true;
}

static void forward(cr_call *c) {
  layout *l = c->saved;
  const cr_tensor *x = c->in[0];
  size_t step = cr_dtype_size(x->dtype);
  int dim;
  cr_option_dim(c, DIM, x->ndim, &dim, NULL);
  l->rows = 1, l->start[0] = 0;
  for (int d = 0; d < dim; d++) l->rows *= x->shape[d];
  for (int d = dim + 1; d < x->ndim; d++) step *= (size_t)x->shape[d];
  l->bytes = step * (size_t)x->shape[dim];
  const unsigned char *from = data(x);
  for (int k = 0; k < c->n_out; k++) {
    size_t bytes = step * (size_t)piece_size(&c->list[SIZES], x->shape[dim], k);
    l->start[k+1] = l->start[k] + bytes;
    cr_index_rows(l->rows, bytes, data(c->out[k]), bytes, from + l->start[k], l->bytes);
  }
}

static void backward(cr_call *c) {
  const layout *l = c->saved;
  unsigned char *gx = (unsigned char *)cr_reals(c->gin[0]);
  cr_tensor_fill(c->gin[0], 0);
  for (int k = 0; k < c->n_out; k++) {
    size_t bytes = l->start[k+1] - l->start[k];
    if (c->gout[k])
      cr_index_rows(l->rows, bytes, gx + l->start[k], l->bytes, cr_reals(c->gout[k]), bytes);
  }
}

const cr_op cr_op_split = {
  .name = "split", .help = "a tensor cut along one dimension, one result for each piece",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = backward,
};
