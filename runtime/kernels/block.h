/* block.h - convolution, batch norm, residual, ReLU and max pooling over raw pointers
 *
 * A call is filled in and asked how much memory it wants; forward is given `kept`, which backward
 * finds as it was left, and scratch. ops/conv_block.c has the formula and the passes over memory.
 * All on images whose channels lie innermost, as in conv_nhwc.h. */
#ifndef CR_KERNELS_BLOCK_H
#define CR_KERNELS_BLOCK_H

#include "kernels/block_norm.h"
#include "kernels/block_pass.h"
#include "kernels/conv_nhwc.h"

typedef struct cr_block_call {
  cr_conv conv;                     /* groups is 1 */
  bool normed, training, residual, relu, pool;
  double momentum, eps;
  bool backward;                    /* there will be one */
  bool want_x, want_weight, want_gamma, want_residual;      /* and it gives these */

  /* those that are not there, or not read by this pass, are NULL */
  const real *x, *weight, *bias, *gamma, *beta, *shortcut;
  real *running_mean, *running_var, *out;
  const real *g;
  real *gx, *gweight, *gbias, *ggamma, *gbeta, *gshortcut;
} cr_block_call;

/* Before the others: where inference may keep what it makes of the weights */
void cr_block_reserve(const cr_block_call *c);
size_t cr_block_kept_bytes(const cr_block_call *c);
size_t cr_block_forward_bytes(const cr_block_call *c);
size_t cr_block_backward_bytes(const cr_block_call *c);

/* kept is NULL when there will be no backward. */
void cr_block_run(const cr_block_call *c, void *kept, void *scratch);
/* Reads x, weight, gamma, beta, out and g; spends what was kept. */
void cr_block_run_back(const cr_block_call *c, void *kept, void *scratch);

#endif
