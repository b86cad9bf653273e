/* elementwise.h - how an operator that treats every element alike is written
 *
 * The file of such an operator says what happens at one point and lets two macros make vectorised loops of it:
 *
 *   static inline real value(cr_point e)    { return e.x * e.y; }
 *   static inline real gradient(cr_point e) { return e.g * e.y; }         (dL/dx, where g is dL/d(result))
 *   CR_LOOP(values, real, value)
 *   CR_LOOP(gradients, real, gradient)
 *
 * A function cannot do what these macros do: the loop has to be compiled around `value`, once for each instruction set.
 * cr_elementwise_check / _forward / _backward below are the rest of the operator: shapes, broadcasting (broadcast.h), and in
 * backward the sum over the elements that one element of an input was repeated for, in a fixed order. */
#ifndef CR_KERNELS_ELEMENTWISE_H
#define CR_KERNELS_ELEMENTWISE_H

#include <tgmath.h>
#include "base/real.h"
#include "kernels/broadcast.h"
#include "kernels/reduce.h"
#include "kernels/vmath.h"

/* One element of everything: the inputs in their order, the result, dL/d(result), and the first two options. */
typedef struct cr_point { real x, y, z, out, g, p, q; } cr_point;

/* The same for int64 and uint8 operands */
typedef struct cr_whole { int64_t x, y, z; } cr_whole;

enum { CR_SLOT_X, CR_SLOT_Y, CR_SLOT_Z, CR_SLOT_OUT, CR_SLOT_G };

#define CR_LOOP(name, out_type, function)                                                        \
  CR_VECTOR static void name(int64_t n, void *restrict to, const void *const in[CR_SLOTS],      \
                             const double option[2]) {                                          \
    out_type *restrict o = to;                                                                  \
    const real *restrict x = in[CR_SLOT_X], *restrict y = in[CR_SLOT_Y];                        \
    const real *restrict z = in[CR_SLOT_Z], *restrict out = in[CR_SLOT_OUT];                    \
    const real *restrict g = in[CR_SLOT_G];                                                     \
    const real p = (real)option[0], q = (real)option[1];                                        \
    for (int64_t i = 0; i < n; i++)                                                             \
      o[i] = function((cr_point){ x[i], y[i], z[i], out[i], g[i], p, q });                      \
  }

#define CR_WHOLE_LOOP(name, in_type, out_type, function)                                         \
  CR_VECTOR static void name(int64_t n, void *restrict to, const void *const in[CR_SLOTS],      \
                             const double option[2]) {                                          \
    out_type *restrict o = to;                                                                  \
    const in_type *restrict x = in[CR_SLOT_X], *restrict y = in[CR_SLOT_Y];                     \
    const in_type *restrict z = in[CR_SLOT_Z];                                                  \
    (void)option;                                                                               \
    for (int64_t i = 0; i < n; i++) o[i] = (out_type)function((cr_whole){ x[i], y[i], z[i] });  \
  }

/* gradient = the sum, over the elements of out_shape that an element of shape was repeated for, of scale * from (packed, of
 * out_shape). scratch: cr_kernel_sum_to_bytes bytes. */
void cr_kernel_sum_to(real *gradient, int ndim, const int64_t *shape, const real *from, int out_ndim,
                      const int64_t *out_shape, double scale, void *scratch);
size_t cr_kernel_sum_to_bytes(int ndim, const int64_t *shape, int out_ndim, const int64_t *out_shape);

/* ---- for the files of ops/, which include autograd/op.h before this ------------------------------------------- */
#ifdef CR_AUTOGRAD_OP_H

/* One loop for each type a CR_TSAME operator works on; the order is that of cr_dtype. */
typedef struct cr_typed_loops { cr_loop_fn real_loop, int_loop, byte_loop; } cr_typed_loops;

static inline cr_operand cr_operand_of(const cr_tensor *t) {
  size_t bytes = cr_dtype_size(t->dtype);
  return (cr_operand){ t->storage->data + (size_t)t->offset * bytes, bytes, t->ndim, t->shape, t->stride };
}

/* Elements of scratch for a gradient of the result's shape: what follows them stays aligned. */
static inline size_t cr_elementwise_whole(int64_t numel) { return ((size_t)numel + 15) & ~(size_t)15; }

/* check(): the result has the broadcast shape of the inputs. For one input its own. */
static inline bool cr_elementwise_check(cr_call *c, cr_error *err) {
  int ndim = c->in[0]->ndim;
  int64_t joined[CR_MAX_DIMS];
  const int64_t *shape = c->in[0]->shape;
  bool same = true;
  for (int i = 1; i < c->n_in; i++) {
    const cr_tensor *t = c->in[i];
    bool fits = t->ndim == ndim;
    for (int d = 0; fits && d < ndim; d++) fits = t->shape[d] == shape[d];
    if (fits) continue;
    char a[CR_SHAPE_TEXT], b[CR_SHAPE_TEXT];
    int64_t wider[CR_MAX_DIMS];
    int n;
    same = false;
    if (!cr_shape_broadcast(ndim, shape, t->ndim, t->shape, &n, wider))
      return cr_fail(err, CR_ESHAPE,
                     "%s of shape %s does not broadcast with %s: sizes, aligned at the right, must be "
                     "equal or 1", c->op->inputs[i].name, cr_shape_text(t->ndim, t->shape, a),
                     cr_shape_text(ndim, shape, b));
    ndim = n;
    for (int d = 0; d < n; d++) joined[d] = wider[d];
    shape = joined;
  }
  cr_out_shape(c, 0, ndim, shape);
  if (same || !c->wants_grad) return true;
  size_t numel = 1, most = 0;             /* whole gradients of the repeated inputs, one at a time */
  for (int d = 0; d < ndim; d++) numel *= (size_t)shape[d];
  for (int i = 0; i < c->n_in; i++) {
    const cr_tensor *t = c->in[i];
    if (!c->want[i] || (size_t)cr_tensor_numel(t) == numel) continue;
    size_t bytes = cr_kernel_sum_to_bytes(t->ndim, t->shape, ndim, shape);
    if (bytes > most) most = bytes;
  }
  c->backward_scratch_bytes = most + cr_elementwise_whole((int64_t)numel) * sizeof(real);
  return true;
}

/* The first two numeric options, or zeros */
static inline void cr_elementwise_options(const cr_call *c, double option[2]) {
  option[0] = option[1] = 0;
  for (int i = 0; i < 2 && c->op->options != NULL && c->op->options[i].name != NULL; i++)
    option[i] = c->option[i];
}

/* One call of the loop, with none of the machinery, when every operand is packed, of one shape, and not large: what a small
 * tensor costs is overhead. */
static inline bool cr_elementwise_direct(cr_call *c, cr_loop_fn loop, void *to, const double option[2]) {
  const cr_tensor *out = c->out[0];
  const void *in[CR_SLOTS];
  int64_t numel = 1;
  for (int d = 0; d < out->ndim; d++) numel *= out->shape[d];
  if (numel > CR_PARALLEL) return false;
  for (int i = 0; i < c->n_in; i++) {
    const cr_tensor *t = c->in[i];
    if (t->ndim != out->ndim) return false;
    for (int d = 0; d < t->ndim; d++)
      if (t->shape[d] != out->shape[d] || t->stride[d] != out->stride[d]) return false;
    in[i] = t->storage->data + (size_t)t->offset * cr_dtype_size(t->dtype);
  }
  for (int i = c->n_in; i < CR_SLOTS; i++) in[i] = in[0];
  loop(numel, to, in, option);
  return true;
}

static inline void cr_elementwise_forward(cr_call *c, cr_loop_fn loop) {
  cr_operand in[CR_SLOTS] = { { 0 } };
  double option[2];
  cr_tensor *out = c->out[0];
  cr_elementwise_options(c, option);
  void *to = out->storage->data + (size_t)out->offset * cr_dtype_size(out->dtype);
  if (cr_elementwise_direct(c, loop, to, option)) return;
  for (int i = 0; i < c->n_in; i++) in[i] = cr_operand_of(c->in[i]);
  cr_kernel_broadcast(loop, to, cr_dtype_size(out->dtype), out->ndim, out->shape, in, option);
}

/* The same, the loop picked by the type of input number `by` */
static inline void cr_elementwise_forward_typed(cr_call *c, int by, cr_typed_loops loops) {
  cr_dtype type = c->in[by]->dtype;
  cr_elementwise_forward(c, type == CR_INT ? loops.int_loop : type == CR_BYTE ? loops.byte_loop
                                                                              : loops.real_loop);
}

/* gin[i] by loop[i]. What the loop may look at is what op->backward_reads names. An operator that reads nothing has a
 * gradient of a constant times g: then the sum over repeated elements is taken first, without scratch. */
static inline void cr_elementwise_backward(cr_call *c, const cr_loop_fn loop[]) {
  const cr_tensor *g = c->gout[0];
  unsigned reads = c->op->backward_reads;
  cr_operand in[CR_SLOTS] = { { 0 } };
  double option[2];
  cr_elementwise_options(c, option);
  in[CR_SLOT_G] = cr_operand_of(g);
  for (int i = 0; i < c->n_in; i++)
    if (reads & (CR_READS_IN0 << i)) in[i] = cr_operand_of(c->in[i]);
  if (reads & CR_READS_OUT0) in[CR_SLOT_OUT] = cr_operand_of(c->out[0]);
  for (int i = 0; i < c->n_in; i++) {
    cr_tensor *to = c->gin[i];
    if (to == NULL) continue;
    int64_t numel = cr_tensor_numel(g);
    if (cr_tensor_numel(to) == numel) {
      cr_kernel_broadcast(loop[i], cr_reals(to), sizeof(real), g->ndim, g->shape, in, option);
    } else if (reads == CR_READS_NOTHING) {
      real one = 1, factor;
      loop[i](1, &factor, (const void *const[CR_SLOTS]){ &one, &one, &one, &one, &one }, option);
      cr_kernel_sum_to(cr_reals(to), to->ndim, to->shape, cr_reals(g), g->ndim, g->shape,
                       (double)factor, c->scratch);
    } else {
      real *whole = c->scratch;
      cr_kernel_broadcast(loop[i], whole, sizeof(real), g->ndim, g->shape, in, option);
      cr_kernel_sum_to(cr_reals(to), to->ndim, to->shape, whole, g->ndim, g->shape, 1,
                       whole + cr_elementwise_whole(numel));
    }
  }
}

#endif
#endif
