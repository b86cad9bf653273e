/* spd_solve.c - see spd_solve.h */
#include "kernels/spd_solve.h"

#include <math.h>
#include <stddef.h>

#ifdef CR_DOUBLE
#define POTRF dpotrf_
#define POTRS dpotrs_
#else
#define POTRF spotrf_
#define POTRS spotrs_
#endif

void POTRF(const char *uplo, const int *n, real *a, const int *lda, int *info, size_t length);
void POTRS(const char *uplo, const int *n, const int *nrhs, const real *a, const int *lda, real *b,
           const int *ldb, int *info, size_t length);
void openblas_set_num_threads(int threads);

/* The bits of a result must not depend on how many threads OpenBLAS likes. */
static void use_one_thread(void) {
  static bool done;
  if (!done) openblas_set_num_threads(1);
  done = true;
}

/* The upper triangle of rows is the lower one of LAPACK's columns. */
bool cr_spd_factor(int64_t n, real *a) {
  int size = (int)n, info = 0;
  if (n == 0) return true;
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = i; j < n; j++)
      if (!isfinite(a[i * n + j])) return false;
  use_one_thread();
  POTRF("L", &size, a, &size, &info, 1);
  return info == 0;
}

void cr_spd_solve(int64_t n, const real *factor, int64_t k, real *x) {
  int size = (int)n, sides = (int)k, info = 0;
  if (n == 0 || k == 0) return;
  use_one_thread();
  POTRS("L", &size, &sides, factor, &size, x, &size, &info, 1);
}
