/* block_pair.h - the two convolutions of a residual block in training, over raw pointers
 *
 *   a = relu(norm1(conv1(x))),   out = relu(norm2(conv2(a)) + shortcut)
 *
 * norm is batch norm by the batch, which moves its running statistics. Images have their channels
 * innermost. a is not kept: where the convolution's way allows it is never in memory, and conv2
 * makes it of conv1's result as it reads. shortcut NULL: x itself, whose gradient then includes
 * the shortcut's. */
#ifndef CR_KERNELS_BLOCK_PAIR_H
#define CR_KERNELS_BLOCK_PAIR_H

#include "kernels/block_norm.h"
#include "kernels/block_pass.h"
#include "kernels/conv_nhwc.h"

/* One convolution and its norm; pointers that are not there, or not wanted, are NULL. */
typedef struct cr_pair_half {
  cr_conv conv;
  const real *weight, *gamma, *beta;
  real *running_mean, *running_var, *gweight, *ggamma, *gbeta;
} cr_pair_half;

typedef struct cr_block_pair {
  cr_pair_half half[2];
  double momentum, eps;
  bool backward;                        /* there will be one */
  bool own_shortcut, want_x, want_shortcut;     /* shortcut is x; backward gives these */
  const real *x, *shortcut, *g;
  real *out, *gx, *gshortcut;
} cr_block_pair;

size_t cr_block_pair_kept_bytes(const cr_block_pair *p);
size_t cr_block_pair_forward_bytes(const cr_block_pair *p);
size_t cr_block_pair_backward_bytes(const cr_block_pair *p);

/* kept is NULL when there will be no backward. */
void cr_block_pair_run(const cr_block_pair *p, void *kept, void *scratch);
/* Reads x, the weights, gamma, beta, out and g; spends what was kept. */
void cr_block_pair_run_back(const cr_block_pair *p, void *kept, void *scratch);

#endif
