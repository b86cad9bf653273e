/* total_norm.c - the norm of all elements of a list of tensors
 *
 *   (sum |x|^p)^(1/p) over every element of every tensor          p = inf: the largest |x|
 *
 * Summed in double, tensor by tensor. What gradient clipping asks for; takes no gradient itself. */
#include <math.h>

#include "autograd/op.h"

enum { P };

static const cr_input inputs[] = { { "tensors", "...", CR_TREAL, CR_LIST | CR_NOGRAD }, { 0 } };

static const cr_option options[] = {
  [P] = { "p", 2, 1, INFINITY, "which norm", CR_NUMBER, NULL, false },
  { 0 }
};

CR_VECTOR static double squares(int64_t n, const real *x) {
  double lane[16] = { 0 }, sum = 0;
  int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (int k = 0; k < 16; k++) lane[k] += (double)x[i + k] * (double)x[i + k];
  for (; i < n; i++) sum += (double)x[i] * (double)x[i];
  for (int k = 0; k < 16; k++) sum += lane[k];
  return sum;
}

static double powers(int64_t n, const real *x, double p) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += p == 1 ? fabs((double)x[i]) : pow(fabs((double)x[i]), p);
  return sum;
}

static double largest(int64_t n, const real *x, double most) {
  for (int64_t i = 0; i < n; i++)
    if (!(fabs((double)x[i]) <= most)) most = fabs((double)x[i]);      /* so that nan stays */
  return most;
}

static void forward(cr_call *c) {
  double p = c->option[P], sum = 0;
  for (int i = 0; i < c->n_in; i++) {
    int64_t n = cr_tensor_numel(c->in[i]);
    const real *x = cr_reals(c->in[i]);
    if (isinf(p)) sum = largest(n, x, sum);
    else sum += p == 2 ? squares(n, x) : powers(n, x, p);
  }
  *cr_reals(c->out[0]) = (real)(isinf(p) ? sum : p == 2 ? sqrt(sum) : pow(sum, 1 / p));
}

const cr_op cr_op_total_norm = {
  .name = "total_norm", .help = "the norm of all elements of a list of tensors",
  .formula = "(sum |x|^p)^(1/p)",
  .inputs = inputs, .options = options, .forward = forward,
};
