/* matmul.c - matrix product by numpy's rules
 *
 *   x [M K], y [K N]          -> [M N]
 *   x [... M K], y [... K N]  -> [... M N]      the leading dimensions are broadcast
 *   x [K]                     a row, and the result loses that dimension
 *   y [K]                     a column, likewise
 *
 * transpose_x and transpose_y turn the last two dimensions first. Neither they nor an input that is
 * a transposed view cost a copy: gemm reads both ways. With g the gradient of the result, dL/dx = g
 * y^T and dL/dy = x^T g, summed in order over the leading dimensions that were broadcast. */
#include "autograd/op.h"
#include "base/pool.h"
#include "kernels/gemm.h"

enum { X, Y };
enum { TRANSPOSE_X, TRANSPOSE_Y };

static const cr_input inputs[] = {
  [X] = { "x", "...", CR_TREAL, CR_STRIDED },
  [Y] = { "y", "...", CR_TREAL, CR_STRIDED },
  { 0 }
};
static const cr_output outputs[] = { { "out", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [TRANSPOSE_X] = { "transpose_x", 0, 0, 1, "turn the last two dimensions of x first", CR_FLAG },
  [TRANSPOSE_Y] = { "transpose_y", 0, 0, 1, "turn the last two dimensions of y first", CR_FLAG },
  { 0 }
};

/* One operand, as a matrix of `rows` x `columns` after the option: what gemm is to be told, and how
 * to step through the leading dimensions, aligned to the result's: in memory, and in its gradient,
 * 0 where it is broadcast. */
typedef struct {
  bool option, turned, copied;
  int64_t rows, columns, ld, step[CR_MAX_DIMS], gradient_step[CR_MAX_DIMS];
  bool shared[CR_MAX_DIMS];
  const real *data;
} side;

typedef struct {
  side x, y;
  int64_t m, n, k, batches, batch[CR_MAX_DIMS];
  int dims, out_dims;           /* leading ones; of the result */
  int64_t out[CR_MAX_DIMS];
  bool vector_x, vector_y;
} plan;

/* Rows and columns of memory; a matrix with neither side packed must be copied. */
static void read_matrix(const cr_tensor *t, bool option, bool is_row, side *s) {
  int64_t row_step = t->ndim > 1 ? t->stride[t->ndim - 2] : 1, column_step = t->stride[t->ndim - 1];
  s->rows = t->ndim > 1 ? t->shape[t->ndim - 2] : 1;
  s->columns = t->shape[t->ndim - 1];
  s->option = option;
  s->copied = t->ndim > 1 && s->rows > 1 && s->columns > 1 && row_step != 1 && column_step != 1;
  if (s->copied) column_step = 1, row_step = s->columns;
  if (option || (t->ndim == 1 && !is_row)) {
    int64_t kept = s->rows;
    s->rows = s->columns, s->columns = kept;
    kept = row_step, row_step = column_step, column_step = kept;
  }
  s->turned = s->columns > 1 && column_step != 1;
  s->ld = s->turned ? column_step : row_step;
}

static void read_batch(const plan *p, const cr_tensor *t, side *s) {
  int own = t->ndim > 2 ? t->ndim - 2 : 0;
  int64_t packed = s->rows * s->columns;
  for (int d = p->dims - 1; d >= 0; d--) {
    int e = d - (p->dims - own);
    int64_t size = e >= 0 ? t->shape[e] : 1;
    s->shared[d] = size == 1 && p->batch[d] != 1;
    s->gradient_step[d] = size == 1 ? 0 : packed;
    s->step[d] = size == 1 ? 0 : s->copied ? packed : t->stride[e];
    packed *= size;
  }
}

static bool plan_of(cr_call *c, plan *p, cr_error *err) {
  const cr_tensor *x = c->in[X], *y = c->in[Y];
  char a[CR_SHAPE_TEXT], b[CR_SHAPE_TEXT];
  bool tx = c->option[TRANSPOSE_X] != 0, ty = c->option[TRANSPOSE_Y] != 0;
  *p = (plan){ .vector_x = x->ndim == 1, .vector_y = y->ndim == 1 };
  if (x->ndim < 1 || y->ndim < 1)
    return cr_fail(err, CR_ESHAPE, "x and y need 1 dimension or more, got shapes %s and %s",
                   cr_shape_text(x->ndim, x->shape, a), cr_shape_text(y->ndim, y->shape, b));
  if ((tx && p->vector_x) || (ty && p->vector_y))
    return cr_fail(err, CR_ESHAPE, "transpose_%c needs 2 dimensions or more, got 1",
                   tx && p->vector_x ? 'x' : 'y');
  read_matrix(x, tx, true, &p->x);
  read_matrix(y, ty, false, &p->y);
  p->m = p->x.rows, p->k = p->x.columns, p->n = p->y.columns;
  if (p->k != p->y.rows)
    return cr_fail(err, CR_ESHAPE,
                   "x of shape %s%s has rows of %lld, but y of shape %s%s has columns of %lld",
                   cr_shape_text(x->ndim, x->shape, a), tx ? " transposed" : "", (long long)p->k,
                   cr_shape_text(y->ndim, y->shape, b), ty ? " transposed" : "",
                   (long long)p->y.rows);
  if (!cr_shape_broadcast(x->ndim > 2 ? x->ndim - 2 : 0, x->shape,
                          y->ndim > 2 ? y->ndim - 2 : 0, y->shape, &p->dims, p->batch))
    return cr_fail(err, CR_ESHAPE, "the leading dimensions of shapes %s and %s do not fit",
                   cr_shape_text(x->ndim, x->shape, a), cr_shape_text(y->ndim, y->shape, b));
  p->batches = 1;
  for (int d = 0; d < p->dims; d++) p->batches *= p->batch[d];
  read_batch(p, x, &p->x);
  read_batch(p, y, &p->y);
  for (; p->out_dims < p->dims; p->out_dims++) p->out[p->out_dims] = p->batch[p->out_dims];
  if (!p->vector_x) p->out[p->out_dims++] = p->m;
  if (!p->vector_y) p->out[p->out_dims++] = p->n;
  /* a stack times one matrix is one tall product */
  if (p->dims > 0 && y->ndim <= 2 && !tx && (p->x.copied || cr_tensor_is_contiguous(x))) {
    p->x.rows = p->m *= p->batches;
    p->x.turned = false, p->x.ld = p->k;
    p->batches = 1, p->dims = 0;
  }
  return true;
}

static size_t copy_bytes(const side *s, const cr_tensor *t) {
  return s->copied ? (size_t)cr_tensor_numel(t) * sizeof(real) : 0;
}

static bool check(cr_call *c, cr_error *err) {
  plan p;
  if (!plan_of(c, &p, err)) return false;
  c->scratch_bytes = copy_bytes(&p.x, c->in[X]) + copy_bytes(&p.y, c->in[Y]);
  c->backward_scratch_bytes = c->scratch_bytes;
  cr_out_shape(c, 0, p.out_dims, p.out);
  return true;
}

/* The plan with data in place; what could not be read as it lies is packed into scratch. */
static void prepare(cr_call *c, plan *p) {
  unsigned char *room = c->scratch;
  plan_of(c, p, NULL);
  for (int i = 0; i < 2; i++) {
    side *s = i == X ? &p->x : &p->y;
    s->data = cr_reals(c->in[i]);
    if (!s->copied) continue;
    cr_storage storage = { .refs = 1, .bytes = copy_bytes(s, c->in[i]), .data = room };
    cr_tensor packed = { .refs = 1, .storage = &storage, .ndim = c->in[i]->ndim, .dtype = CR_REAL };
    for (int d = 0; d < packed.ndim; d++) packed.shape[d] = c->in[i]->shape[d];
    cr_shape_strides(packed.ndim, packed.shape, packed.stride);
    cr_tensor_copy(&packed, c->in[i]);
    s->data = (const real *)(const void *)room;
    room += storage.bytes;
  }
}

/* Sets at[d] for the leading dimensions that s shares among several (or does not), from the running
 * number `i` of them. */
static void locate(const plan *p, const side *s, bool shared, int64_t i, int64_t *at) {
  for (int d = p->dims - 1; d >= 0; d--) {
    if (s->shared[d] != shared) continue;
    at[d] = i % p->batch[d];
    i /= p->batch[d];
  }
}

static int64_t offset(const plan *p, const int64_t *step, const int64_t *at) {
  int64_t sum = 0;
  for (int d = 0; d < p->dims; d++) sum += step[d] * at[d];
  return sum;
}

typedef void (*product_fn)(bool ta, bool tb, int64_t m, int64_t n, int64_t k,
                           const real *a, int64_t lda, const real *b, int64_t ldb,
                           bool accumulate, real *c, int64_t ldc);

typedef struct {
  plan p;
  product_fn product;
  const real *g;
  real *to;
} job;

static void forward_range(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const plan *p = &j->p;
  static const side nothing_shared;
  int64_t at[CR_MAX_DIMS];
  for (int64_t b = begin; b < end; b++) {
    locate(p, &nothing_shared, false, b, at);
    j->product(p->x.turned, p->y.turned, p->m, p->n, p->k,
               p->x.data + offset(p, p->x.step, at), p->x.ld,
               p->y.data + offset(p, p->y.step, at), p->y.ld, false, j->to + b * p->m * p->n, p->n);
  }
}

/* The result's matrices that one matrix of side s went into: their number, and where number i of
 * them lies */
static int64_t uses(const plan *p, const side *s) {
  int64_t count = 1;
  for (int d = 0; d < p->dims; d++)
    if (s->shared[d]) count *= p->batch[d];
  return count;
}

static int64_t number_of(const plan *p, const int64_t *at) {
  int64_t b = 0;
  for (int d = 0; d < p->dims; d++) b = b * p->batch[d] + at[d];
  return b;
}

static void grad_x_range(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const plan *p = &j->p;
  int64_t at[CR_MAX_DIMS], count = uses(p, &p->x);
  for (int64_t t = begin; t < end; t++)
    for (int64_t u = 0; u < count; u++) {
      locate(p, &p->x, false, t, at);
      locate(p, &p->x, true, u, at);
      const real *g = j->g + number_of(p, at) * p->m * p->n;
      const real *y = p->y.data + offset(p, p->y.step, at);
      real *gx = j->to + offset(p, p->x.gradient_step, at);
      if (p->x.option)
        j->product(p->y.turned, true, p->k, p->m, p->n, y, p->y.ld, g, p->n, u > 0, gx, p->m);
      else
        j->product(false, !p->y.turned, p->m, p->k, p->n, g, p->n, y, p->y.ld, u > 0, gx, p->k);
    }
}

static void grad_y_range(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const plan *p = &j->p;
  int64_t at[CR_MAX_DIMS], count = uses(p, &p->y);
  for (int64_t t = begin; t < end; t++)
    for (int64_t u = 0; u < count; u++) {
      locate(p, &p->y, false, t, at);
      locate(p, &p->y, true, u, at);
      const real *g = j->g + number_of(p, at) * p->m * p->n;
      const real *x = p->x.data + offset(p, p->x.step, at);
      real *gy = j->to + offset(p, p->y.gradient_step, at);
      if (p->y.option)
        j->product(true, p->x.turned, p->n, p->k, p->m, g, p->n, x, p->x.ld, u > 0, gy, p->k);
      else
        j->product(!p->x.turned, false, p->k, p->n, p->m, x, p->x.ld, g, p->n, u > 0, gy, p->n);
    }
}

/* Many small products go to the pool by the number, a few large ones each spread over it. The bits
 * are the same. */
static void over_batches(job *j, int64_t count, int64_t uses_of_each, cr_range_fn fn) {
  const double spread = 1 << 20;
  double work = (double)j->p.m * (double)j->p.n * (double)j->p.k * (double)uses_of_each;
  j->product = work > spread || count == 1 ? cr_gemm : cr_gemm_serial;
  if (j->product == cr_gemm) fn(j, 0, count);
  else cr_pool_for(count, (int64_t)(spread / 4 / (work + 1)) + 1, fn, j);
}

static void forward(cr_call *c) {
  job j = { .to = cr_reals(c->out[0]) };
  prepare(c, &j.p);
  over_batches(&j, j.p.batches, 1, forward_range);
}

static void backward(cr_call *c) {
  job j = { .g = cr_reals(c->gout[0]) };
  prepare(c, &j.p);
  for (int i = 0; i < 2; i++) {
    if (c->gin[i] == NULL) continue;
    const side *s = i == X ? &j.p.x : &j.p.y;
    int64_t each = uses(&j.p, s);
    j.to = cr_reals(c->gin[i]);
    if (j.p.batches == 0) cr_tensor_fill(c->gin[i], 0);
    else over_batches(&j, j.p.batches / each, each, i == X ? grad_x_range : grad_y_range);
  }
}

const cr_op cr_op_matmul = {
  .name = "matmul",
  .help = "matrix product by numpy's rules: vectors, matrices, stacks of matrices",
  .formula = "out[..., i, j] = sum_k x[..., i, k] y[..., k, j]",
  .inputs = inputs, .outputs = outputs, .options = options,
  .check = check, .forward = forward, .backward = backward,
};
