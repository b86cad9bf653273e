/* eigh.c - eigenvalues and eigenvectors of a symmetric matrix
 *
 *   x [N N]   ->   values [N], vectors [N N]
 *   (x + x^T) / 2 = sum_i values[i] vectors[i]^T vectors[i]
 *
 * The largest eigenvalue comes first; eigenvectors are the ROWS of `vectors`, of length 1, each
 * with the sign that makes its component of largest magnitude positive. LAPACK's divide and
 * conquer, on one thread. Where it fails, and for an x that is not finite, everything is NaN. There
 * is no gradient. */
#include <math.h>

#include "autograd/op.h"
#include "kernels/lapack.h"

static const cr_input inputs[] = { { "x", "N N", CR_TREAL, CR_NOGRAD }, { 0 } };
static const cr_output outputs[] = {
  { "values", "N", CR_TREAL }, { "vectors", "N N", CR_TREAL }, { 0 }
};

static bool check(cr_call *c, cr_error *err) {
  const cr_tensor *x = c->in[0];
  if (x->shape[x->ndim - 2] != x->shape[x->ndim - 1])
    return cr_fail(err, CR_ESHAPE, "x must have as many rows as columns, got %lld and %lld",
                   (long long)x->shape[x->ndim - 2], (long long)x->shape[x->ndim - 1]);
  if (c->dim['N'] > CR_LAPACK_MOST)
    return cr_fail(err, CR_ESHAPE, "x may have at most %d rows, got %lld", CR_LAPACK_MOST,
                   (long long)c->dim['N']);
  c->scratch_bytes = cr_symmetric_eigen_bytes(c->dim['N']);
  return true;
}

static void swap_rows(int64_t n, real *restrict a, real *restrict b) {
  for (int64_t i = 0; i < n; i++) {
    real kept = a[i];
    a[i] = b[i];
    b[i] = kept;
  }
}

static void fix_sign(int64_t n, real *row) {
  int64_t largest = 0;
  for (int64_t i = 1; i < n; i++)
    if (fabs((double)row[i]) > fabs((double)row[largest])) largest = i;
  if (row[largest] < 0)
    for (int64_t i = 0; i < n; i++) row[i] = -row[i];
}

static void forward(cr_call *c) {
  int64_t n = c->dim['N'];
  const real *x = cr_reals(c->in[0]);
  real *value = cr_reals(c->out[0]), *vector = cr_reals(c->out[1]);
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++) vector[i*n + j] = (x[i*n + j] + x[j*n + i]) / 2;
  if (!cr_symmetric_eigen(n, vector, value, c->scratch)) {
    cr_tensor_fill(c->out[0], NAN);
    cr_tensor_fill(c->out[1], NAN);
    return;
  }
  for (int64_t i = 0; i < n / 2; i++) {
    swap_rows(1, &value[i], &value[n - 1 - i]);
    swap_rows(n, vector + i*n, vector + (n - 1 - i) * n);
  }
  for (int64_t i = 0; i < n; i++) fix_sign(n, vector + i*n);
}

const cr_op cr_op_eigh = {
  .name = "eigh",
  .help = "eigenvalues, largest first, and eigenvectors, as rows, of a symmetric matrix [N N]",
  .formula = "x = sum_i values[i] vectors[i]^T vectors[i]",
  .differs = "largest eigenvalue first and eigenvectors as rows; LAPACK has the smallest first "
             "and columns",
  .inputs = inputs, .outputs = outputs,
  .check = check, .forward = forward,
};
