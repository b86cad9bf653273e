/* barlow_twins.c - the cross-correlation of two views should be the identity
 *
 *   L = scale (sum_d (1 - C_dd)^2 + lambda sum_{i != j} C_ij^2)
 *
 *   C_ij = 1/B sum_b u_bi v_bj       u, v: x and y less the mean of each column, divided by
 *                                    sqrt(variance + eps), the variance divided by B
 *
 * x and y [B D] are the two views, row by row. The paper's formula has eps = 0 and scale = 1; its
 * authors' program standardises by batch norm (eps = 1e-5) and multiplies by scale = 1/32 or so.
 * A constant column has no correlation with any other: its C is 0 and its gradient too (its
 * diagonal then costs 1). B = 0 gives 0; with B = 1 every column is constant.
 *
 * Cost: min(B, D) B D. Memory: two copies of each view; the D x D matrix is worked off in tiles.
 *
 * Zbontar, Jing, Misra, LeCun, Deny, "Barlow Twins: Self-Supervised Learning via Redundancy
 * Reduction", ICML 2021, eqs. 1 and 2. */
#include <math.h>
#include <tgmath.h>

#include "autograd/op.h"
#include "kernels/cross_covariance.h"

enum { X, Y };
enum { LAMBDA, EPS, SCALE };
enum { ON_DIAGONAL, OFF_DIAGONAL };

static const cr_input inputs[] = {
  [X] = { "x", "B D", CR_TREAL, 0 },
  [Y] = { "y", "B D", CR_TREAL, 0 },
  { 0 }
};

static const cr_option options[] = {
  [LAMBDA] = { "lambda", 5e-3, 0, 1e30, "weight of the elements off the diagonal", CR_NUMBER },
  [EPS]    = { "eps", 0, 0, 1e30, "added to the variance under the root", CR_NUMBER },
  [SCALE]  = { "scale", 1, 0, 1e30, "factor of the whole", CR_NUMBER },
  { 0 }
};

static const char *const stats[] = {        /* the two sums before their weights */
  [ON_DIAGONAL] = "on_diagonal", [OFF_DIAGONAL] = "off_diagonal", NULL
};

static bool check(cr_call *c, cr_error *err) {
  int64_t B = c->dim['B'], D = c->dim['D'], whole = B * D;
  size_t tile;
  if (!cr_cross_bytes(B, D, &tile)) return cr_fail(err, CR_EMEMORY, "x is too large");
  /* 1 / spread of both, the diagonal, two sums for backward; the standardised views */
  c->scratch_bytes = (size_t)(5 * D) * sizeof(double) + 2 * (size_t)whole * sizeof(real) + 64
      + tile;
  if (c->wants_grad) c->saved_bytes = 2 * (size_t)whole * sizeof(real);
  return true;
}

/* z standardised; inverse[d] = 1 / sqrt(variance + eps), 0 for a constant column. */
static void standardise(const cr_call *c, const real *x, real *z, double *inverse) {
  int64_t B = c->dim['B'], D = c->dim['D'];
  cr_columns_centre(B, D, x, z, inverse);
  for (int64_t d = 0; d < D; d++)
    inverse[d] = inverse[d] == 0 ? 0 : 1 / sqrt(inverse[d] + c->option[EPS]);
  for (int64_t i = 0; i < B; i++)
    for (int64_t d = 0; d < D; d++) z[i*D + d] = (real)((double)z[i*D + d] * inverse[d]);
}

/* g, which is scale other C_off^T, becomes the gradient by x:
 *   gu = 2 lambda g - 2/B (1 - C_dd) other         gx = (gu - mean gu - u mean(gu u)) / spread
 * sums: 2 D numbers of scratch. */
static void push_back(const cr_call *c, const real *u, const real *other, const double *inverse,
                      const double *diagonal, double *sums, real *g) {
  int64_t B = c->dim['B'], D = c->dim['D'];
  double off = 2 * c->option[LAMBDA] * c->option[SCALE];
  double *mean = sums, *along = sums + D, on = -2 * c->option[SCALE] / (double)B;
  for (int64_t d = 0; d < 2 * D; d++) sums[d] = 0;
  for (int64_t i = 0; i < B; i++)
    for (int64_t d = 0; d < D; d++) {
      int64_t at = i*D + d;
      double gu = off * (double)g[at] + on * (1 - diagonal[d]) * (double)other[at];
      g[at] = (real)gu;
      mean[d] += gu;
      along[d] += gu * (double)u[at];
    }
  for (int64_t i = 0; i < B; i++)
    for (int64_t d = 0; d < D; d++) {
      int64_t at = i*D + d;
      double centred = (double)g[at] - mean[d] / (double)B;
      g[at] = (real)(inverse[d] * (centred - (double)u[at] * along[d] / (double)B));
    }
}

static void forward(cr_call *c) {
  int64_t B = c->dim['B'], D = c->dim['D'], whole = B * D;
  double *inverse_x = c->scratch, *inverse_y = inverse_x + D, *diagonal = inverse_y + D;
  double *sums = diagonal + D, on = 0, off = 0;
  real *u = (real *)(sums + 2 * D), *v = u + whole;
  void *tile = (void *)(((uintptr_t)(v + whole) + 63) & ~(uintptr_t)63);
  real *gx = c->wants_grad ? c->saved : NULL, *gy = gx != NULL ? gx + whole : NULL;
  if (B > 0) {
    standardise(c, cr_reals(c->in[X]), u, inverse_x);
    standardise(c, cr_reals(c->in[Y]), v, inverse_y);
    cr_cross cross = { .rows = B, .width = D, .a = u, .b = v, .scale = 1 / (double)B, .ga = gx,
                       .gb = gy, .diagonal = diagonal };
    off = cr_cross_off_diagonal(&cross, tile);
    for (int64_t d = 0; d < D; d++) on += (1 - diagonal[d]) * (1 - diagonal[d]);
    if (gx != NULL) {
      push_back(c, u, v, inverse_x, diagonal, sums, gx);
      push_back(c, v, u, inverse_y, diagonal, sums, gy);
    }
  }
  c->stat[ON_DIAGONAL] = on;
  c->stat[OFF_DIAGONAL] = off;
  *cr_reals(c->out[0]) = (real)(c->option[SCALE] * (on + c->option[LAMBDA] * off));
}

static void backward(cr_call *c) {
  int64_t whole = c->dim['B'] * c->dim['D'];
  real gout = *cr_reals(c->gout[0]);
  for (int v = X; v <= Y; v++) {
    if (c->gin[v] == NULL) continue;
    const real *saved = (const real *)c->saved + v * whole;
    real *g = cr_reals(c->gin[v]);
    for (int64_t i = 0; i < whole; i++) g[i] = gout * saved[i];
  }
}

const cr_op cr_loss_barlow_twins = {
  .name = "barlow_twins", .help = "the cross-correlation of two views should be the identity",
  .formula = "scale (sum_d (1 - C_dd)^2 + lambda sum_{i != j} C_ij^2), C the cross-correlation",
  .paper = "Zbontar, Jing, Misra, LeCun, Deny, \"Barlow Twins\", ICML 2021, eqs. 1 and 2",
  .differs = "a constant feature has correlation 0, where the formula has 0 / 0; the authors' "
             "program is eps = 1e-5 and scale = 1/32",
  .inputs = inputs, .options = options, .stats = stats, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = backward,
};
