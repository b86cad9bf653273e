/* lapack.c - see lapack.h */
#include "kernels/lapack.h"

#include <math.h>

enum { PANEL = 64 };            /* columns getri works on at a time */

#ifdef CR_DOUBLE
#define SYEVD dsyevd_
#define GETRF dgetrf_
#define GETRI dgetri_
#else
#define SYEVD ssyevd_
#define GETRF sgetrf_
#define GETRI sgetri_
#endif

/* Fortran passes everything by address, and the lengths of character arguments after the others. */
void SYEVD(const char *jobz, const char *uplo, const int *n, real *a, const int *lda, real *w,
           real *work, const int *lwork, int *iwork,
           const int *liwork, int *info, size_t jobz_length, size_t uplo_length);
void GETRF(const int *m, const int *n, real *a, const int *lda, int *ipiv, int *info);
void GETRI(const int *n, real *a, const int *lda, const int *ipiv, real *work, const int *lwork,
           int *info);
void openblas_set_num_threads(int threads);

/* The bits of a result must not depend on how many threads OpenBLAS likes. */
static void use_one_thread(void) {
  static bool done;
  if (!done) openblas_set_num_threads(1);
  done = true;
}

static bool is_finite(int64_t n, const real *a) {
  for (int64_t i = 0; i < n*n; i++)
    if (!isfinite(a[i])) return false;
  return true;
}

static int64_t eigen_reals(int64_t n) { return 1 + 6*n + 2*n*n; }
static int64_t eigen_ints(int64_t n) { return 3 + 5*n; }

size_t cr_symmetric_eigen_bytes(int64_t n) {
  return (size_t)eigen_reals(n) * sizeof(real) + (size_t)eigen_ints(n) * sizeof(int);
}

bool cr_symmetric_eigen(int64_t n, real *a, real *value, void *work) {
  int size = (int)n, reals = (int)eigen_reals(n), ints = (int)eigen_ints(n), info = 0;
  if (n == 0) return true;
  if (!is_finite(n, a)) return false;           /* LAPACK may go round for ever on a NaN */
  use_one_thread();
  SYEVD("V", "L", &size, a, &size, value, work, &reals, (int *)((real *)work + reals), &ints, &info,
        1, 1);
  return info == 0;
}

size_t cr_invert_bytes(int64_t n) {
  return (size_t)(n * PANEL) * sizeof(real) + (size_t)n * sizeof(int);
}

bool cr_invert(int64_t n, real *a, void *work) {
  int size = (int)n, reals = (int)(n * PANEL), info = 0;
  int *pivot = (int *)((real *)work + reals);
  if (n == 0) return true;
  if (!is_finite(n, a)) return false;
  use_one_thread();
  GETRF(&size, &size, a, &size, pivot, &info);
  if (info == 0) GETRI(&size, a, &size, pivot, work, &reals, &info);
  return info == 0;
}
