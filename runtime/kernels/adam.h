/* adam.h - moments with bias correction: the update that Adam and AdamW share */
#ifndef CR_KERNELS_ADAM_H
#define CR_KERNELS_ADAM_H

#include <stdint.h>
#include "base/real.h"

typedef struct cr_adam {
  double lr, beta1, beta2, eps;
  double decay;               /* added to the gradient, times the parameter */
  double shrink;              /* the parameter is multiplied by this first */
  int64_t step;               /* from 1 */
} cr_adam;

/* g' = g + decay w;  m = b1 m + (1 - b1) g';  v = b2 v + (1 - b2) g'^2;
 * most = max(most, v), if given;
 * w = shrink w - lr / (1 - b1^t) m / (sqrt(v or most) / sqrt(1 - b2^t) + eps) */
void cr_kernel_adam(const cr_adam *a, int64_t n, real *w, const real *g, real *m, real *v,
                    real *most);

#endif
