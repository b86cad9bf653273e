/* tensor.c - see tensor.h */
#include "tensor/tensor.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/pool.h"
#include "tensor/node.h"

void (*cr_tensor_node_release)(struct cr_call *);

size_t cr_dtype_size(cr_dtype dtype) {
  switch (dtype) {
    case CR_REAL: return sizeof(real);
    case CR_INT: return sizeof(int64_t);
    case CR_BYTE: return 1;
  }
  return 0;
}

const char *cr_dtype_name(cr_dtype dtype) {
  return dtype == CR_REAL ? CR_REAL_NAME : dtype == CR_INT ? "int64" : "uint8";
}

void cr_shape_strides(int ndim, const int64_t *shape, int64_t *stride) {
  int64_t step = 1;
  for (int d = ndim - 1; d >= 0; d--) {
    stride[d] = step;
    step *= shape[d];
  }
}

bool cr_shape_numel(int ndim, const int64_t *shape, int64_t *numel) {
  int64_t n = 1;
  bool zero = false, overflow = false;
  for (int d = 0; d < ndim; d++) {
    if (shape[d] < 0) return false;
    if (shape[d] == 0) zero = true;
    else overflow |= __builtin_mul_overflow(n, shape[d], &n);
  }
  *numel = zero ? 0 : n;
  return !overflow;
}

const char *cr_shape_text(int ndim, const int64_t *shape, char *text) {
  size_t used = 0;
  text[used++] = '[';
  for (int d = 0; d < ndim; d++)
    used += (size_t)snprintf(text + used, CR_SHAPE_TEXT - used, d ? ", %lld" : "%lld",
                             (long long)shape[d]);
  text[used++] = ']';
  text[used] = '\0';
  return text;
}

bool cr_shape_broadcast(int na, const int64_t *a, int nb, const int64_t *b, int *n, int64_t *out) {
  *n = na > nb ? na : nb;
  for (int d = 1; d <= *n; d++) {
    int64_t sa = d <= na ? a[na - d] : 1, sb = d <= nb ? b[nb - d] : 1;
    if (sa != sb && sa != 1 && sb != 1) return false;
    out[*n - d] = sa == 1 ? sb : sa;
  }
  return true;
}

cr_tensor *cr_tensor_new(cr_dtype dtype, int ndim, const int64_t *shape, cr_error *err) {
  assert(ndim >= 0 && ndim <= CR_MAX_DIMS);
  int64_t numel;
  size_t bytes;
  if (!cr_shape_numel(ndim, shape, &numel) ||
      !cr_size_mul((size_t)numel, cr_dtype_size(dtype), &bytes)) {
    char text[CR_SHAPE_TEXT];
    cr_fail(err, CR_ESHAPE, "a tensor of shape %s is too large or has a negative size",
            cr_shape_text(ndim, shape, text));
    return NULL;
  }
  cr_tensor *t = cr_alloc(sizeof *t, err);
  if (t == NULL) return NULL;
  /* storage and data are one block; the data starts on the next 64-byte line */
  unsigned char *block = cr_alloc(64 + bytes, err);
  if (block == NULL) {
    cr_free(t);
    return NULL;
  }
  cr_storage *s = (cr_storage *)(void *)block;
  *s = (cr_storage){ .refs = 1, .bytes = bytes, .version = 0, .data = block + 64 };
  t->refs = 1;
  t->storage = s;
  t->offset = 0;
  t->ndim = ndim;
  t->dtype = dtype;
  t->requires_grad = false;
  t->node_output = 0;
  t->node = NULL;
  t->grad = NULL;
  int64_t step = 1;
  for (int d = ndim - 1; d >= 0; d--) {
    t->shape[d] = shape[d];
    t->stride[d] = step;
    step *= shape[d];
  }
  return t;
}

cr_tensor *cr_tensor_zeros(cr_dtype dtype, int ndim, const int64_t *shape, cr_error *err) {
  cr_tensor *t = cr_tensor_new(dtype, ndim, shape, err);
  if (t != NULL) memset(t->storage->data, 0, t->storage->bytes);
  return t;
}

cr_tensor *cr_tensor_scalar(double value, cr_error *err) {
  cr_tensor *t = cr_tensor_new(CR_REAL, 0, NULL, err);
  if (t != NULL) *cr_reals(t) = (real)value;
  return t;
}

cr_tensor *cr_tensor_view(const cr_tensor *t, cr_error *err) {
  cr_tensor *v = cr_alloc(sizeof *v, err);
  if (v == NULL) return NULL;
  *v = *t;
  v->refs = 1;
  v->requires_grad = false;
  v->node = NULL;
  v->node_output = 0;
  v->grad = NULL;
  v->storage->refs++;
  return v;
}

cr_tensor *cr_tensor_retain(cr_tensor *t) {
  t->refs++;
  return t;
}

void cr_tensor_release(cr_tensor *t) {
  if (t == NULL || --t->refs > 0) return;
  assert(t->refs == 0);
  if (--t->storage->refs == 0) cr_free(t->storage);
  struct cr_call *node = t->node;
  cr_tensor *grad = t->grad;
  cr_free(t);
  if (grad != NULL) cr_tensor_release(grad);          /* a gradient has none itself: one level */
  if (node != NULL) cr_tensor_node_release(node);     /* the graph drains a list: no recursion */
}

int64_t cr_tensor_numel(const cr_tensor *t) {
  int64_t n = 1;
  for (int d = 0; d < t->ndim; d++) n *= t->shape[d];
  return n;
}

bool cr_tensor_is_contiguous(const cr_tensor *t) {
  int64_t step = 1;
  bool packed = true;
  for (int d = t->ndim - 1; d >= 0; d--) {
    if (t->shape[d] != 1) packed &= t->stride[d] == step;
    step *= t->shape[d];
  }
  return packed || step == 0;
}

bool cr_tensor_same_shape(const cr_tensor *a, const cr_tensor *b) {
  if (a->ndim != b->ndim) return false;
  for (int d = 0; d < a->ndim; d++)
    if (a->shape[d] != b->shape[d]) return false;
  return true;
}

real *cr_reals(const cr_tensor *t) {
  assert(t->dtype == CR_REAL);
  return (real *)(void *)t->storage->data + t->offset;
}

int64_t *cr_ints(const cr_tensor *t) {
  assert(t->dtype == CR_INT);
  return (int64_t *)(void *)t->storage->data + t->offset;
}

uint8_t *cr_bytes(const cr_tensor *t) {
  assert(t->dtype == CR_BYTE);
  return t->storage->data + t->offset;
}

/* ---- copies ------------------------------------------------------------------------------------------- */

static double load(const cr_tensor *t, int64_t at) {
  const unsigned char *data = t->storage->data;
  switch (t->dtype) {
    case CR_REAL: return (double)((const real *)(const void *)data)[at];
    case CR_INT: return (double)((const int64_t *)(const void *)data)[at];
    case CR_BYTE: return data[at];
  }
  return 0;
}

static int64_t load_int(const cr_tensor *t, int64_t at) {
  const unsigned char *data = t->storage->data;
  switch (t->dtype) {
    case CR_REAL: {
      /* a number that int64 cannot hold has no good answer; any answer is better than a trap */
      double x = (double)((const real *)(const void *)data)[at];
      return x >= -9.2e18 && x <= 9.2e18 ? (int64_t)x : INT64_MIN;
    }
    case CR_INT: return ((const int64_t *)(const void *)data)[at];
    case CR_BYTE: return data[at];
  }
  return 0;
}

typedef struct { cr_tensor *dst; const cr_tensor *src; int64_t src_stride[CR_MAX_DIMS]; } copy_job;

/* One row along the last dimension, n elements with strides ds and ss, starting at d0 and s0. */
static void copy_row(const copy_job *j, int64_t n, int64_t d0, int64_t ds, int64_t s0, int64_t ss) {
  unsigned char *to = j->dst->storage->data;
  const unsigned char *from = j->src->storage->data;
  cr_dtype dt = j->dst->dtype, st = j->src->dtype;
  if (dt == st && dt == CR_REAL) {
    real *d = (real *)(void *)to + d0;
    const real *s = (const real *)(const void *)from + s0;
    if (ds == 1 && ss == 1) memcpy(d, s, (size_t)n * sizeof(real));
    else for (int64_t i = 0; i < n; i++) d[i * ds] = s[i * ss];
  } else if (dt == CR_REAL && st == CR_BYTE) {
    real *d = (real *)(void *)to + d0;
    for (int64_t i = 0; i < n; i++) d[i * ds] = (real)from[s0 + i * ss];
  } else if (dt == CR_REAL) {
    real *d = (real *)(void *)to + d0;
    for (int64_t i = 0; i < n; i++) d[i * ds] = (real)load(j->src, s0 + i * ss);
  } else if (dt == CR_INT) {
    int64_t *d = (int64_t *)(void *)to + d0;
    for (int64_t i = 0; i < n; i++) d[i * ds] = load_int(j->src, s0 + i * ss);
  } else {
    for (int64_t i = 0; i < n; i++) to[d0 + i * ds] = (uint8_t)load_int(j->src, s0 + i * ss);
  }
}

/* Rows begin .. end-1 of all but the last dimension. */
static void copy_rows(void *context, int64_t begin, int64_t end) {
  const copy_job *j = context;
  const cr_tensor *dst = j->dst;
  int last = dst->ndim - 1;
  int64_t n = last >= 0 ? dst->shape[last] : 1;
  int64_t ds = last >= 0 ? dst->stride[last] : 0, ss = last >= 0 ? j->src_stride[last] : 0;
  int64_t at[CR_MAX_DIMS] = { 0 }, d0 = dst->offset, s0 = j->src->offset, rest = begin;
  for (int d = last - 1; d >= 0; d--) {
    at[d] = rest % dst->shape[d];
    rest /= dst->shape[d];
    d0 += at[d] * dst->stride[d];
    s0 += at[d] * j->src_stride[d];
  }
  for (int64_t row = begin; row < end; row++) {
    copy_row(j, n, d0, ds, s0, ss);
    for (int d = last - 1; d >= 0; d--) {
      d0 += dst->stride[d];
      s0 += j->src_stride[d];
      if (++at[d] < dst->shape[d]) break;
      d0 -= at[d] * dst->stride[d];
      s0 -= at[d] * j->src_stride[d];
      at[d] = 0;
    }
  }
}

void cr_tensor_copy(cr_tensor *dst, const cr_tensor *src) {
  int64_t numel = cr_tensor_numel(dst);
  if (numel == 0) return;
  copy_job j = { .dst = dst, .src = src };
  for (int d = 1; d <= dst->ndim; d++) {
    bool spread = d > src->ndim || (src->shape[src->ndim - d] == 1 && dst->shape[dst->ndim - d] != 1);
    assert(d > src->ndim || src->shape[src->ndim - d] == dst->shape[dst->ndim - d] ||
           src->shape[src->ndim - d] == 1);
    j.src_stride[dst->ndim - d] = spread ? 0 : src->stride[src->ndim - d];
  }
  if (dst->dtype == src->dtype && cr_tensor_same_shape(dst, src) && cr_tensor_is_contiguous(dst) &&
      cr_tensor_is_contiguous(src) && numel < 16384) {
    size_t size = cr_dtype_size(dst->dtype);
    memcpy(dst->storage->data + (size_t)dst->offset * size,
           src->storage->data + (size_t)src->offset * size, (size_t)numel * size);
    return;
  }
  int64_t row = dst->ndim > 0 ? dst->shape[dst->ndim - 1] : 1, rows = numel / row;
  int64_t grain = numel < 65536 ? rows : (32768 + row - 1) / row;
  cr_pool_for(rows, grain, copy_rows, &j);
}

void cr_tensor_fill(cr_tensor *t, double value) {
  /* a scalar broadcast to t; made by hand so that filling needs no memory */
  union { real r; int64_t i; uint8_t b; } cell = { .i = 0 };
  if (t->dtype == CR_REAL) cell.r = (real)value;
  else if (t->dtype == CR_INT) cell.i = (int64_t)value;
  else cell.b = (uint8_t)(int64_t)value;
  cr_storage storage = { 1, sizeof cell, 0, (unsigned char *)&cell };
  cr_tensor one = { .refs = 1, .storage = &storage, .dtype = t->dtype };
  cr_tensor_copy(t, &one);
}

cr_tensor *cr_tensor_as(const cr_tensor *t, cr_dtype dtype, cr_error *err) {
  cr_tensor *copy = cr_tensor_new(dtype, t->ndim, t->shape, err);
  if (copy != NULL) cr_tensor_copy(copy, t);
  return copy;
}

cr_tensor *cr_tensor_contiguous(cr_tensor *t, cr_error *err) {
  return cr_tensor_is_contiguous(t) ? cr_tensor_retain(t) : cr_tensor_as(t, t->dtype, err);
}

double cr_tensor_get(const cr_tensor *t, int64_t i) {
  int64_t at = t->offset;
  for (int d = t->ndim - 1; d >= 0; d--) {
    at += i % t->shape[d] * t->stride[d];
    i /= t->shape[d];
  }
  return load(t, at);
}
