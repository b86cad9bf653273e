/* hinge_row.h - sums of hinges over a run of distances
 *
 * A pair loss with margins is, over one run of columns, a sum of max(0, x_j) with x_j = sign d_j +
 * offset: sign 1 pulls a pair together, -1 pushes it apart. */
#ifndef CR_KERNELS_HINGE_ROW_H
#define CR_KERNELS_HINGE_ROW_H

#include <stdint.h>
#include "base/real.h"

typedef struct cr_hinge { double loss, count; } cr_hinge;   /* the sum, and how many are above 0 */

/* w[j] = sign weight where x_j > 0, else 0; w may be NULL. */
cr_hinge cr_hinge_row(int64_t n, const real *d, real sign, real offset, real weight, real *w);

#endif
