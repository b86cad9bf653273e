/* diag.c - a diagonal matrix from a row of numbers, or the diagonal of a matrix
 *
 *   [N] -> [N+|offset| N+|offset|]       [M N] -> the numbers x[i, i + offset]
 *
 * offset 1 is the diagonal above the main one, -1 the one below. */
#include "autograd/op.h"

enum { OFFSET };

static const cr_input inputs[] = { { "x", "...", CR_TREAL, 0 }, { 0 } };
static const cr_output outputs[] = { { "out", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [OFFSET] = { "offset", 0, -1e9, 1e9, "0: the main diagonal, 1: the one above", CR_COUNT },
  { 0 }
};

/* first element of the diagonal and the step along it, in a matrix with N columns */
static int64_t first(const cr_call *c, int64_t N) {
  int64_t offset = (int64_t)c->option[OFFSET];
  return offset >= 0 ? offset : -offset * N;
}

static bool check(cr_call *c, cr_error *err) {
  const cr_tensor *x = c->in[0];
  int64_t offset = (int64_t)c->option[OFFSET], down = offset < 0 ? -offset : 0,
          across = offset > 0 ? offset : 0;
  if (x->ndim == 1) {
    int64_t n = x->shape[0] + down + across, shape[2] = { n, n };
    cr_out_shape(c, 0, 2, shape);
    return true;
  }
  char got[CR_SHAPE_TEXT];
  if (x->ndim != 2)
    return cr_fail(err, CR_ESHAPE, "x must have 1 or 2 dimensions, got shape %s",
                   cr_shape_text(x->ndim, x->shape, got));
  int64_t rows = x->shape[0] - down, columns = x->shape[1] - across,
          n = rows < columns ? rows : columns;
  if (n < 0) n = 0;
  cr_out_shape(c, 0, 1, &n);
  return true;
}

static void build(const cr_call *c, const cr_tensor *row, cr_tensor *matrix) {
  int64_t N = matrix->shape[1], at = first(c, N);
  cr_tensor_fill(matrix, 0);
  for (int64_t i = 0; i < row->shape[0]; i++) cr_reals(matrix)[at + i * (N + 1)] = cr_reals(row)[i];
}

static void extract(const cr_call *c, const cr_tensor *matrix, cr_tensor *row) {
  int64_t N = matrix->shape[1], at = first(c, N);
  for (int64_t i = 0; i < row->shape[0]; i++) cr_reals(row)[i] = cr_reals(matrix)[at + i * (N + 1)];
}

static void forward(cr_call *c) {
  if (c->in[0]->ndim == 1) build(c, c->in[0], c->out[0]);
  else extract(c, c->in[0], c->out[0]);
}

static void backward(cr_call *c) {
  if (c->gin[0]->ndim == 1) extract(c, c->gout[0], c->gin[0]);
  else build(c, c->gout[0], c->gin[0]);
}

const cr_op cr_op_diag = {
  .name = "diag", .help = "a diagonal matrix from numbers, or the diagonal of a matrix",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = backward,
};
