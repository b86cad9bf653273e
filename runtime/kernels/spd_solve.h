/* spd_solve.h - systems with a symmetric positive definite matrix, by Cholesky (LAPACK), one thread
 *
 * a is n x n, row-major. Factoring reads and replaces the diagonal and what lies right of it; what
 * lies left of the diagonal is left as it is. */
#ifndef CR_KERNELS_SPD_SOLVE_H
#define CR_KERNELS_SPD_SOLVE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/real.h"

enum { CR_SPD_MOST = 30000 };     /* n n fits LAPACK's 32-bit sizes */

/* False when a is not positive definite or not finite. */
bool cr_spd_factor(int64_t n, real *a);
/* Each of the k rows of x, [k, n], is a right-hand side and is replaced by its solution. */
void cr_spd_solve(int64_t n, const real *factor, int64_t k, real *x);

#endif
