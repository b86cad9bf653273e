/* broadcast.h - the one way operands of unequal shape or stride meet
 *
 * A result is packed and has the broadcast shape (numpy's rule: sizes align at the right, a size of 1 or a missing
 * dimension is repeated). Its elements are visited in row-major order, in pieces; each piece is computed by a plain loop over
 * packed arrays. An operand that is packed and has the result's shape is read where it lies; of any other, the piece's
 * elements are first gathered into a small buffer that stays in the nearest cache. So an operator writes one simple loop,
 * which vectorises, and scalars, rows, columns, transposed and expanded operands all work.
 *
 * Above CR_PARALLEL elements the pool shares the work in grains of fixed size. */
#ifndef CR_KERNELS_BROADCAST_H
#define CR_KERNELS_BROADCAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  CR_SHAPE_MAX = 8,             /* the most dimensions */
  CR_SLOTS = 5,                 /* the most operands of one loop */
  CR_PIECE = 256,               /* elements gathered at a time */
  CR_GRAIN = 1 << 15,           /* elements in a block of the pool */
  CR_PARALLEL = 1 << 16         /* elements up to which the caller works alone */
};

typedef struct cr_operand {
  const void *data;             /* the first element; NULL: this slot is not used */
  size_t bytes;                 /* of one element: 1, 4 or 8 */
  int ndim;
  const int64_t *shape, *stride;/* strides in elements */
} cr_operand;

/* out[i] = f(in[0][i], ...) for n elements, everything packed; an unused slot points at a used one. */
typedef void (*cr_loop_fn)(int64_t n, void *restrict out, const void *const in[CR_SLOTS],
                           const double option[2]);

/* Runs loop over a packed result of this shape; `bytes` is the size of one of its elements. */
void cr_kernel_broadcast(cr_loop_fn loop, void *out, size_t bytes, int ndim, const int64_t *shape,
                         const cr_operand in[CR_SLOTS], const double option[2]);

/* A packed copy of one operand broadcast to this shape. */
void cr_kernel_gather(void *out, int ndim, const int64_t *shape, const cr_operand *in);

#endif
