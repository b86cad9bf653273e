/* reduce.h - reductions over any set of dimensions
 *
 * Two mechanisms. A SUM reads its input where it lies, whatever dimensions it runs over, in double, in a fixed order
 * (blocks that depend on sizes alone, added up in block order). Every OTHER reduction (largest, product, median, softmax,
 * running sums...) is written for one row of n neighbouring elements; where the reduced dimensions are not the last ones,
 * a packed copy is made in which they are. */
#ifndef CR_KERNELS_REDUCE_H
#define CR_KERNELS_REDUCE_H

#include <tgmath.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/real.h"
#include "kernels/broadcast.h"

/* A packed shape and the dimensions to reduce, neighbours of one kind joined, sizes of 1 left out. */
typedef struct cr_reduction {
  int kept_dims, reduced_dims;
  int64_t kept_size[CR_SHAPE_MAX], kept_stride[CR_SHAPE_MAX];        /* outermost first */
  int64_t reduced_size[CR_SHAPE_MAX], reduced_stride[CR_SHAPE_MAX];
  int64_t rows, n;              /* results; elements reduced into each */
  bool by_rows;                 /* the last dimension is reduced (or nothing is left) */
} cr_reduction;

void cr_reduction_init(cr_reduction *r, int ndim, const int64_t *shape, const bool *reduced);

/* The reduced dimensions come last: x is already `rows` rows of n. */
static inline bool cr_reduction_is_packed(const cr_reduction *r) {
  return r->reduced_dims == 0 || (r->reduced_dims == 1 && r->by_rows);
}

/* out[row] = scale * sum. scratch: cr_kernel_sum_bytes bytes (0 for most). */
size_t cr_kernel_sum_bytes(const cr_reduction *r);
void cr_kernel_sum(const cr_reduction *r, const real *x, double scale, real *out, void *scratch);

/* x[...] = scale * g of the result that x[...] went into: g is packed, of the shape without the reduced dimensions */
void cr_kernel_spread(real *x, int ndim, const int64_t *shape, const bool *reduced, const real *g, double scale);

/* rows[row*n + i] = x, and back. `bytes` is the size of an element. */
void cr_kernel_pack_rows(const cr_reduction *r, const void *x, size_t bytes, void *rows);
void cr_kernel_unpack_rows(const cr_reduction *r, const void *rows, size_t bytes, void *x);

/* One row: sums in double, in a fixed order. nan goes through all of them. */
double cr_kernel_row_sum(const real *x, int64_t n);
double cr_kernel_row_square_sum(const real *x, int64_t n, double centre);     /* sum (x - centre)^2 */
real cr_kernel_row_max(const real *x, int64_t n);                             /* -inf when n = 0 */
real cr_kernel_row_min(const real *x, int64_t n);                             /* inf when n = 0 */
real cr_kernel_row_max_abs(const real *x, int64_t n);                         /* 0 when n = 0 */
/* sum (x - mean)^2 / (n - correction), nan where that is not positive */
double cr_kernel_row_variance(const real *x, int64_t n, double correction);
/* gx = g shared equally by the elements equal to y (nan equals nan), 0 elsewhere */
void cr_kernel_row_share(const real *x, int64_t n, real y, real g, real *gx);
int64_t cr_kernel_row_find(const real *x, int64_t n, real value);             /* the first equal (or nan), else 0 */

/* One row of a row-wise operator, forward or backward: what there is of */
typedef struct cr_row {
  int64_t n;
  const real *x;                /* the row of the input */
  const uint8_t *mask;          /* the row of a mask */
  real *y;                      /* its result: one number, or n */
  int64_t *at;                  /* a result that is a whole number */
  uint8_t *flag;                /* a result that is 0 or 1 */
  const real *g;                /* dL/dy, as many as y */
  real *gx;                     /* dL/dx, to be written */
  const double *option;         /* all options of the call */
} cr_row;

typedef void (*cr_row_fn)(const cr_row *row);

/* What the rows of a call consist of; NULL: not there. */
typedef struct cr_rows {
  int64_t rows, n, width;       /* width: numbers of y in a row, 1 or n */
  const real *x;
  const uint8_t *mask;
  real *y;
  int64_t *at;
  uint8_t *flag;
  const real *g;
  real *gx;
  const double *option;
  cr_row_fn fn;
} cr_rows;

/* fn on every row, shared by the pool when there is enough to do */
void cr_kernel_rows(const cr_rows *r);

/* ---- for the files of ops/, which include autograd/op.h before this ------------------------------------------- */
#ifdef CR_AUTOGRAD_OP_H

/* The first option of such an operator is `dim`: CR_DIMS (none given: all), or CR_DIM (none given: `all` or the last). */
enum { CR_REDUCE_DIM, CR_REDUCE_KEEPDIM };

typedef enum { CR_OVER_DIMS, CR_OVER_ONE_OR_ALL, CR_OVER_ONE_OR_LAST } cr_reduce_over;

static inline bool cr_reduce_plan(cr_call *c, const cr_tensor *x, cr_reduce_over over, cr_reduction *r,
                                  bool mask[CR_MAX_DIMS], cr_error *err) {
  if (over == CR_OVER_DIMS) {
    if (!cr_option_dims(c, CR_REDUCE_DIM, x->ndim, mask, err)) return false;
  } else {
    bool given = !isnan(c->option[CR_REDUCE_DIM]);
    int dim = x->ndim - 1;
    if (given && !cr_option_dim(c, CR_REDUCE_DIM, x->ndim, &dim, err)) return false;
    for (int d = 0; d < x->ndim; d++) mask[d] = d == dim || (!given && over == CR_OVER_ONE_OR_ALL);
  }
  cr_reduction_init(r, x->ndim, x->shape, mask);
  return true;
}

/* check(): `outputs` results, each with the reduced dimensions gone (or of size 1 with keepdim). */
static inline bool cr_reduce_check(cr_call *c, cr_reduce_over over, int outputs, cr_reduction *r,
                                   cr_error *err) {
  const cr_tensor *x = c->in[0];
  bool mask[CR_MAX_DIMS], keep = c->option[CR_REDUCE_KEEPDIM] != 0;
  if (!cr_reduce_plan(c, x, over, r, mask, err)) return false;
  int n = 0;
  int64_t shape[CR_MAX_DIMS];
  for (int d = 0; d < x->ndim; d++)
    if (!mask[d] || keep) shape[n++] = mask[d] ? 1 : x->shape[d];
  for (int k = 0; k < outputs; k++) cr_out_shape(c, k, n, shape);
  return true;
}

/* Refuses to reduce nothing, for operators that have no answer then. */
static inline bool cr_reduce_needs_elements(const cr_reduction *r, cr_error *err) {
  if (r->n > 0 || r->rows == 0) return true;
  return cr_fail(err, CR_ESHAPE, "there is nothing to reduce: a size along dim is 0");
}

/* Sum and mean: y = sum x, or a mean. */
static inline void cr_reduce_sum(cr_call *c, bool mean) {
  cr_reduction r;
  bool mask[CR_MAX_DIMS];
  cr_reduce_plan(c, c->in[0], CR_OVER_DIMS, &r, mask, NULL);
  cr_kernel_sum(&r, cr_reals(c->in[0]), mean ? 1.0 / (double)r.n : 1, cr_reals(c->out[0]), c->scratch);
}

/* and their gradient: g (over n) for every element */
static inline void cr_reduce_spread(cr_call *c, bool mean) {
  cr_reduction r;
  bool mask[CR_MAX_DIMS];
  cr_tensor *gx = c->gin[0];
  cr_reduce_plan(c, gx, CR_OVER_DIMS, &r, mask, NULL);
  cr_kernel_spread(cr_reals(gx), gx->ndim, gx->shape, mask, cr_reals(c->gout[0]), mean ? 1.0 / (double)r.n : 1);
}

/* Scratch of the two functions below: packed copies, where the rows do not lie side by side. */
static inline void cr_rows_scratch(cr_call *c, const cr_reduction *r, int forward, int backward) {
  if (cr_reduction_is_packed(r)) return;
  size_t numel = (size_t)(r->rows * r->n) * sizeof(real);
  c->scratch_bytes = (size_t)forward * numel;
  c->backward_scratch_bytes = (size_t)backward * numel;
}

/* Hands the results to the row by their types. */
static inline void cr_rows_results(cr_rows *rows, cr_tensor *const *out, int n) {
  for (int k = 0; k < n; k++) {
    if (out[k] == NULL) continue;
    switch (out[k]->dtype) {
      case CR_REAL: rows->y = cr_reals(out[k]); break;
      case CR_INT:  rows->at = cr_ints(out[k]); break;
      case CR_BYTE: rows->flag = cr_bytes(out[k]); break;
    }
  }
}

/* y = fn(x) by rows. width_n: a row of results as long as x (scratch 2), else one number (scratch 1). */
static inline void cr_rows_forward(cr_call *c, cr_reduce_over over, bool width_n, cr_row_fn fn) {
  cr_reduction r;
  bool mask[CR_MAX_DIMS];
  cr_reduce_plan(c, c->in[0], over, &r, mask, NULL);
  bool packed = cr_reduction_is_packed(&r);
  real *scratch = c->scratch;
  cr_rows rows = { .rows = r.rows, .n = r.n, .width = width_n ? r.n : 1, .x = cr_reals(c->in[0]),
                   .option = c->option, .fn = fn };
  cr_rows_results(&rows, c->out, c->n_out);
  real *y = rows.y;
  if (!packed) {
    cr_kernel_pack_rows(&r, rows.x, sizeof(real), scratch);
    rows.x = scratch;
    if (width_n) rows.y = scratch + r.rows * r.n;
  }
  cr_kernel_rows(&rows);
  if (!packed && width_n) cr_kernel_unpack_rows(&r, rows.y, sizeof(real), y);
}

/* gx by rows from x and y, as far as op->backward_reads names them, and g. Scratch: 1 for gx, 1 if x is read, and with
 * width_n 1 for g and 1 if y is read. */
static inline void cr_rows_backward(cr_call *c, cr_reduce_over over, bool width_n, cr_row_fn fn) {
  cr_reduction r;
  bool mask[CR_MAX_DIMS];
  unsigned reads = c->op->backward_reads;
  cr_reduce_plan(c, c->gin[0], over, &r, mask, NULL);
  cr_rows rows = { .rows = r.rows, .n = r.n, .width = width_n ? r.n : 1, .g = cr_reals(c->gout[0]),
                   .gx = cr_reals(c->gin[0]), .option = c->option, .fn = fn };
  if (reads & CR_READS_IN0) rows.x = cr_reals(c->in[0]);
  cr_rows_results(&rows, c->out, c->n_out);
  if (cr_reduction_is_packed(&r)) {
    cr_kernel_rows(&rows);
    return;
  }
  int64_t numel = r.rows * r.n;
  real *scratch = c->scratch, *from;
  rows.gx = scratch;
  if (rows.x != NULL) {
    cr_kernel_pack_rows(&r, rows.x, sizeof(real), from = scratch += numel);
    rows.x = from;
  }
  if (rows.y != NULL && width_n) {
    cr_kernel_pack_rows(&r, rows.y, sizeof(real), from = scratch += numel);
    rows.y = from;
  }
  if (width_n) {
    cr_kernel_pack_rows(&r, rows.g, sizeof(real), from = scratch += numel);
    rows.g = from;
  }
  cr_kernel_rows(&rows);
  cr_kernel_unpack_rows(&r, rows.gx, sizeof(real), cr_reals(c->gin[0]));
}

#endif
#endif
