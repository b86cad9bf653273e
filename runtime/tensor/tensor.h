/* tensor.h - a strided view of counted storage
 *
 * Up to CR_MAX_DIMS dimensions, row-major when contiguous, strides in elements. Views share storage. Here and in all of C
 * indices and dimensions count from 0; bind/ converts from Lua's 1. */
#ifndef CR_TENSOR_TENSOR_H
#define CR_TENSOR_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "base/real.h"

enum { CR_MAX_DIMS = 8 };

typedef enum { CR_REAL, CR_INT, CR_BYTE } cr_dtype;      /* real, int64_t, uint8_t */

typedef struct cr_storage {
  int64_t refs;
  size_t bytes;
  uint64_t version;           /* counts in-place changes; backward compares it */
  unsigned char *data;        /* 64-byte aligned */
} cr_storage;

struct cr_call;

typedef struct cr_tensor {
  int64_t refs;
  cr_storage *storage;
  int64_t offset;             /* of the first element, in elements */
  int ndim;
  cr_dtype dtype;
  bool requires_grad;         /* a leaf whose gradient is wanted */
  int node_output;            /* which output of node this is */
  struct cr_call *node;       /* the call that computed it while gradients were on, retained; NULL for a leaf */
  struct cr_tensor *grad;     /* of a leaf: the gradient so far, retained, contiguous; NULL before the first */
  int64_t shape[CR_MAX_DIMS], stride[CR_MAX_DIMS];
} cr_tensor;

/* A fresh contiguous tensor with one reference, elements not set. NULL on failure. */
cr_tensor *cr_tensor_new(cr_dtype dtype, int ndim, const int64_t *shape, cr_error *err);
cr_tensor *cr_tensor_zeros(cr_dtype dtype, int ndim, const int64_t *shape, cr_error *err);
cr_tensor *cr_tensor_scalar(double value, cr_error *err);             /* a real of 0 dimensions */
/* Another tensor over the same storage, without node or gradient; the caller then edits shape, stride, offset. */
cr_tensor *cr_tensor_view(const cr_tensor *t, cr_error *err);
cr_tensor *cr_tensor_contiguous(cr_tensor *t, cr_error *err);         /* t retained, or a packed copy */
cr_tensor *cr_tensor_as(const cr_tensor *t, cr_dtype dtype, cr_error *err); /* a packed copy in another type */
cr_tensor *cr_tensor_retain(cr_tensor *t);
void cr_tensor_release(cr_tensor *t);                                 /* NULL is fine */

int64_t cr_tensor_numel(const cr_tensor *t);
bool cr_tensor_is_contiguous(const cr_tensor *t);
bool cr_tensor_same_shape(const cr_tensor *a, const cr_tensor *b);
size_t cr_dtype_size(cr_dtype dtype);
const char *cr_dtype_name(cr_dtype dtype);                            /* "float32" or "float64", "int64", "uint8" */
void cr_shape_strides(int ndim, const int64_t *shape, int64_t *stride); /* row-major */
bool cr_shape_numel(int ndim, const int64_t *shape, int64_t *numel);  /* false when it overflows or is negative */
/* "[2, 3]" into text of at least CR_SHAPE_TEXT bytes; returns text */
enum { CR_SHAPE_TEXT = 200 };
const char *cr_shape_text(int ndim, const int64_t *shape, char *text);
/* The common shape of two shapes by broadcasting (numpy's rule); false when they do not fit. */
bool cr_shape_broadcast(int na, const int64_t *a, int nb, const int64_t *b, int *n, int64_t *out);

/* The first element; the type must be right (asserted). */
real *cr_reals(const cr_tensor *t);
int64_t *cr_ints(const cr_tensor *t);
uint8_t *cr_bytes(const cr_tensor *t);

/* dst[...] = src[...], converting types (a real to an integer truncates), any strides, src broadcast to dst. */
void cr_tensor_copy(cr_tensor *dst, const cr_tensor *src);
void cr_tensor_fill(cr_tensor *t, double value);
/* Element number i in row-major order, whatever the strides, as a double. */
double cr_tensor_get(const cr_tensor *t, int64_t i);

#endif
