/* norm.c - vector norm over dimensions
 *
 *   y = (sum_i |x_i|^p)^(1/p)            dL/dx_i = g sign(x_i) (|x_i| / y)^(p-1)
 *   p = inf, -inf: largest, smallest |x_i|        dL/dx_i = g sign(x_i) / T where |x_i| = y, else 0     (T ties)
 *   p = 0: how many x_i are not 0        dL/dx_i = 0
 *
 * A zero vector has no direction to grow in: its gradient is taken as 0. Below p = 1 the slope at x_i = 0 is
 * infinite and taken as 0. Sums in double. */
#include "autograd/op.h"
#include "kernels/reduce.h"

enum { DIM, KEEPDIM, P };

static const cr_input inputs[] = { { "x", "...", CR_TREAL, 0 }, { 0 } };
static const cr_output outputs[] = { { "y", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [DIM] = { "dim", NAN, 0, 0, "dimensions to reduce; all by default", CR_DIMS },
  [KEEPDIM] = { "keepdim", 0, 0, 1, "leave reduced dimensions in place with size 1", CR_FLAG },
  [P] = { "p", 2, -INFINITY, INFINITY, "order of the norm: any number, 0, inf, -inf" },
  { 0 }
};

static void value(const cr_row *r) {
  double p = r->option[P], sum = 0;
  int64_t n = r->n;
  if (p == 2) {
    sum = sqrt(cr_kernel_row_square_sum(r->x, n, 0));
  } else if (p == INFINITY) {
    sum = (double)cr_kernel_row_max_abs(r->x, n);
  } else if (p == -INFINITY) {
    sum = INFINITY;
    for (int64_t i = 0; i < n; i++) {
      double size = fabs((double)r->x[i]);
      if (size < sum || size != size) sum = size;
    }
  } else if (p == 0) {
    for (int64_t i = 0; i < n; i++) sum += r->x[i] != 0;
  } else if (p == 1) {
    for (int64_t i = 0; i < n; i++) sum += fabs((double)r->x[i]);
  } else {
    for (int64_t i = 0; i < n; i++) sum += pow(fabs((double)r->x[i]), p);
    sum = pow(sum, 1 / p);
  }
  *r->y = (real)sum;
}

static inline real sign(real x) { return x > 0 ? 1 : x < 0 ? -1 : x; }

static void gradient(const cr_row *r) {
  double p = r->option[P];
  int64_t n = r->n;
  const real *x = r->x;
  real *gx = r->gx, g = *r->g, y = *r->y;
  if (p == 0 || y == 0) {
    for (int64_t i = 0; i < n; i++) gx[i] = 0;
  } else if (p == 2) {
    real scale = g / y;
    for (int64_t i = 0; i < n; i++) gx[i] = scale * x[i];
  } else if (isinf(p)) {
    int64_t ties = 0;
    for (int64_t i = 0; i < n; i++) ties += fabs((double)x[i]) == (double)y;
    for (int64_t i = 0; i < n; i++)
      gx[i] = fabs((double)x[i]) == (double)y ? g * sign(x[i]) / (real)ties : 0;
  } else if (p == 1) {
    for (int64_t i = 0; i < n; i++) gx[i] = g * sign(x[i]);
  } else {
    for (int64_t i = 0; i < n; i++)
      gx[i] = x[i] == 0 ? 0 : g * sign(x[i]) * (real)pow(fabs((double)x[i]) / (double)y, p - 1);
  }
}

static bool check(cr_call *c, cr_error *err) {
  cr_reduction r;
  if (!cr_reduce_check(c, CR_OVER_DIMS, 1, &r, err)) return false;
  cr_rows_scratch(c, &r, 1, 2);
  return true;
}

static void forward(cr_call *c) { cr_rows_forward(c, CR_OVER_DIMS, false, value); }
static void backward(cr_call *c) { cr_rows_backward(c, CR_OVER_DIMS, false, gradient); }

const cr_op cr_op_norm = {
  .name = "norm", .help = "vector norm over dimensions",
  .formula = "y = (sum_i |x_i|^p)^(1/p)",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_IN0 | CR_READS_OUT0,
  .check = check, .forward = forward, .backward = backward,
};
