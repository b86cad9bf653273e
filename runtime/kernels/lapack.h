/* lapack.h - the two LAPACK computations the engine needs, as OpenBLAS brings them, on one thread
 *
 * Matrices are n x n, row-major (LAPACK's columns are our rows; a symmetric matrix does not mind,
 * and the inverse of the transpose is the transpose of the inverse). The caller brings the memory:
 * `work` of cr_*_bytes(n). */
#ifndef CR_KERNELS_LAPACK_H
#define CR_KERNELS_LAPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/real.h"

/* the work space of a larger n overflows LAPACK's 32-bit sizes */
enum { CR_LAPACK_MOST = 30000 };

/* a is symmetric and is replaced by its eigenvectors, one a row; value: the eigenvalues, smallest
 * first. False when the iteration does not converge or a is not finite; a and value then hold
 * anything. */
bool cr_symmetric_eigen(int64_t n, real *a, real *value, void *work);
size_t cr_symmetric_eigen_bytes(int64_t n);

/* a is replaced by its inverse, by LU with partial pivoting. False when a is exactly singular or
 * not finite. */
bool cr_invert(int64_t n, real *a, void *work);
size_t cr_invert_bytes(int64_t n);

#endif
