/* masked_logsumexp.c - logarithm of a sum of exponentials over the elements that a mask names
 *
 *   y = log( [add_one] + sum_{i: mask_i != 0} e^(x_i) )        dL/dx_i = g e^(x_i - y) where mask_i != 0, else 0
 *
 * The mask is uint8 and broadcasts to the shape of x. Where it names no element (and there is no one to add) the result is the option
 * `empty`, with gradient 0. What is masked does not matter, a nan there neither. The inner sum of the lifted structure,
 * multi-similarity, circle and tuplet losses: rows are anchors, the mask says which pairs are positive. */
#include "autograd/op.h"
#include "kernels/reduce.h"
#include "kernels/row_softmax.h"
#include "kernels/vmath.h"

enum { X, MASK };
enum { DIM, KEEPDIM, ADD_ONE, EMPTY };

static const cr_input inputs[] = {
  [X] = { "x", "...", CR_TREAL, 0 },
  [MASK] = { "mask", "...", CR_TBYTE, CR_STRIDED | CR_NOGRAD },
  { 0 }
};
static const cr_output outputs[] = { { "y", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [DIM] = { "dim", NAN, 0, 0, "dimensions to reduce; all by default", CR_DIMS },
  [KEEPDIM] = { "keepdim", 0, 0, 1, "leave reduced dimensions in place with size 1", CR_FLAG },
  [ADD_ONE] = { "add_one", 0, 0, 1, "one more element, 0: log(1 + sum)", CR_FLAG },
  [EMPTY] = { "empty", -INFINITY, -INFINITY, INFINITY, "the result where the mask names nothing" },
  { 0 }
};

/* The named elements are gathered a piece at a time; twice, for the largest and for the sum. */
static void value(const cr_row *r) {
  enum { PIECE = 256 };
  real piece[PIECE], most = r->option[ADD_ONE] != 0 ? 0 : -INFINITY;
  int64_t named = 0;
  for (int64_t i = 0; i < r->n; i++) {
    if (!r->mask[i]) continue;
    named++;
    if (r->x[i] > most || r->x[i] != r->x[i]) most = r->x[i];
  }
  if (named == 0 && r->option[ADD_ONE] == 0) *r->y = (real)r->option[EMPTY];
  else if (!isfinite(most)) *r->y = most;
  else {
    double sum = r->option[ADD_ONE] != 0 ? exp(-(double)most) : 0;
    for (int64_t i = 0; i < r->n; ) {
      int64_t m = 0;
      for (; i < r->n && m < PIECE; i++) if (r->mask[i]) piece[m++] = r->x[i];
      sum += cr_kernel_row_exp(piece, m, most, piece);
    }
    *r->y = most + (real)log(sum);
  }
}

CR_VECTOR static void gradient(const cr_row *r) {
  const real *restrict x = r->x;
  const uint8_t *restrict mask = r->mask;
  real *restrict gx = r->gx, g = *r->g, y = *r->y == -INFINITY ? 0 : *r->y;
  for (int64_t i = 0; i < r->n; i++) {
    real e = g * cr_exp(x[i] - y);
    gx[i] = mask[i] ? e : 0;
  }
}

/* Scratch: the mask as packed rows, after the packed copies of reals */
static bool check(cr_call *c, cr_error *err) {
  const cr_tensor *x = c->in[X], *mask = c->in[MASK];
  cr_reduction r;
  if (!cr_reduce_check(c, CR_OVER_DIMS, 1, &r, err)) return false;
  int lead = x->ndim - mask->ndim;
  bool fits = lead >= 0;
  for (int d = 0; fits && d < mask->ndim; d++)
    fits = mask->shape[d] == 1 || mask->shape[d] == x->shape[lead + d];
  char a[CR_SHAPE_TEXT], b[CR_SHAPE_TEXT];
  if (!fits)
    return cr_fail(err, CR_ESHAPE, "mask of shape %s does not broadcast to x of shape %s",
                   cr_shape_text(mask->ndim, mask->shape, a), cr_shape_text(x->ndim, x->shape, b));
  size_t numel = (size_t)(r.rows * r.n);
  bool packed = cr_reduction_is_packed(&r);
  c->scratch_bytes = numel * ((packed ? 0 : sizeof(real)) + 2);
  c->backward_scratch_bytes = numel * ((packed ? 0 : 2 * sizeof(real)) + 2);
  return true;
}

/* The mask broadcast to the shape of x, then packed in rows */
static const uint8_t *mask_rows(const cr_tensor *mask, const cr_tensor *like, const cr_reduction *r,
                                uint8_t *scratch) {
  cr_operand from = { mask->storage->data + mask->offset, 1, mask->ndim, mask->shape, mask->stride };
  cr_kernel_gather(scratch, like->ndim, like->shape, &from);
  if (cr_reduction_is_packed(r)) return scratch;
  uint8_t *rows = scratch + r->rows * r->n;
  cr_kernel_pack_rows(r, scratch, 1, rows);
  return rows;
}

static void forward(cr_call *c) {
  cr_reduction r;
  bool dims[CR_MAX_DIMS];
  cr_reduce_plan(c, c->in[X], CR_OVER_DIMS, &r, dims, NULL);
  int64_t numel = r.rows * r.n;
  real *scratch = c->scratch;
  cr_rows rows = { .rows = r.rows, .n = r.n, .width = 1, .x = cr_reals(c->in[X]), .y = cr_reals(c->out[0]),
                   .option = c->option, .fn = value };
  if (!cr_reduction_is_packed(&r)) {
    cr_kernel_pack_rows(&r, rows.x, sizeof(real), scratch);
    rows.x = scratch;
    scratch += numel;
  }
  rows.mask = mask_rows(c->in[MASK], c->in[X], &r, (uint8_t *)scratch);
  cr_kernel_rows(&rows);
}

static void backward(cr_call *c) {
  cr_reduction r;
  bool dims[CR_MAX_DIMS];
  cr_reduce_plan(c, c->in[X], CR_OVER_DIMS, &r, dims, NULL);
  int64_t numel = r.rows * r.n;
  real *scratch = c->scratch, *gx = cr_reals(c->gin[X]);
  bool packed = cr_reduction_is_packed(&r);
  cr_rows rows = { .rows = r.rows, .n = r.n, .width = 1, .x = cr_reals(c->in[X]), .y = cr_reals(c->out[0]),
                   .g = cr_reals(c->gout[0]), .gx = gx, .option = c->option, .fn = gradient };
  if (!packed) {
    cr_kernel_pack_rows(&r, rows.x, sizeof(real), scratch);
    rows.x = scratch;
    rows.gx = scratch + numel;
    scratch += 2 * numel;
  }
  rows.mask = mask_rows(c->in[MASK], c->in[X], &r, (uint8_t *)scratch);
  cr_kernel_rows(&rows);
  if (!packed) cr_kernel_unpack_rows(&r, rows.gx, sizeof(real), gx);
}

const cr_op cr_op_masked_logsumexp = {
  .name = "masked_logsumexp", .help = "log sum exp over the elements that a mask names",
  .formula = "y = log sum_{mask_i} e^(x_i)",
  .inputs = inputs, .outputs = outputs, .options = options,
  .backward_reads = CR_READS_IN0 | CR_READS_IN1 | CR_READS_OUT0,
  .check = check, .forward = forward, .backward = backward,
};
