/* vicreg.c - variance, invariance and covariance of two views of a batch
 *
 *   L = lambda s(x, y) + mu v + nu (c(x) + c(y))
 *
 *   v(z) = 1/D sum_d max(0, gamma - sqrt(var(z_d) + eps))      each feature keeps its spread
 *   c(z) = 1/D sum_{i != j} cov(z)_ij^2                        and has its own thing to say
 *
 *   variant = "code"     s = mean over B and D of (x - y)^2,  v = (v(x) + v(y)) / 2
 *             "paper"    s = 1/B sum_i |x_i - y_i|^2,         v = v(x) + v(y)
 *
 * The paper's equations and its authors' program differ by those two factors; published weights
 * (25, 25, 1) belong to the program, which is the default here and what pytorch-metric-learning
 * has.
 * var and cov divide by B - 1. x and y [B D] are the two views, row by row; neither is normalised.
 *
 * With B = 1 only the invariance counts, with B = 0 the loss is 0. A feature with a spread of 0 and
 * eps = 0 has no direction to move in: its part of the variance's gradient is 0.
 *
 * Cost: min(B, D) B D. Memory: a copy of each view; the D x D covariance is worked off in tiles.
 *
 * Bardes, Ponce, LeCun, "VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised
 * Learning", ICLR 2022, eqs. 1-6. */
#include <math.h>
#include <tgmath.h>

#include "autograd/op.h"
#include "kernels/cross_covariance.h"

enum { X, Y };
enum { VARIANT, LAMBDA, MU, NU, GAMMA, EPS };
enum { CODE, PAPER };
enum { INVARIANCE, VARIANCE, COVARIANCE };

static const cr_input inputs[] = {
  [X] = { "x", "B D", CR_TREAL, 0 },
  [Y] = { "y", "B D", CR_TREAL, 0 },
  { 0 }
};

static const cr_option options[] = {
  [VARIANT] = { "variant", CODE, 0, 0, "of the authors' program, or of the paper", CR_CHOICE,
                "code paper" },
  [LAMBDA]  = { "lambda", 25, 0, 1e30, "weight of the invariance", CR_NUMBER },
  [MU]      = { "mu", 25, 0, 1e30, "weight of the variance", CR_NUMBER },
  [NU]      = { "nu", 1, 0, 1e30, "weight of the covariance", CR_NUMBER },
  [GAMMA]   = { "gamma", 1, 0, 1e30, "standard deviation that is enough", CR_NUMBER },
  [EPS]     = { "eps", 1e-4, 0, 1e30, "added to the variance under the root", CR_NUMBER },
  { 0 }
};

static const char *const stats[] = {        /* the three terms before their weights */
  [INVARIANCE] = "invariance", [VARIANCE] = "variance", [COVARIANCE] = "covariance", NULL
};

static bool check(cr_call *c, cr_error *err) {
  int64_t B = c->dim['B'], D = c->dim['D'], whole = B * D;
  size_t tile;
  if (!cr_cross_bytes(B, D, &tile)) return cr_fail(err, CR_EMEMORY, "x is too large");
  /* the centred view, variances and the diagonal; one view after the other */
  c->scratch_bytes = (size_t)(2 * D) * sizeof(double) + (size_t)whole * sizeof(real) + 64 + tile;
  if (c->wants_grad) c->saved_bytes = 2 * (size_t)whole * sizeof(real);
  return true;
}

/* mu v(z) and nu c(z) of one view, and their gradient into g (or NULL). */
static void one_view(const cr_call *c, const real *x, real *g, double *variance,
                     double *covariance) {
  int64_t B = c->dim['B'], D = c->dim['D'];
  double *spread = c->scratch, *diagonal = spread + D;
  real *z = (real *)(diagonal + D);
  void *tile = (void *)(((uintptr_t)(z + B * D) + 63) & ~(uintptr_t)63);
  double half = c->option[VARIANT] == CODE ? 0.5 : 1, unbiased = (double)B / (double)(B - 1);
  cr_columns_centre(B, D, x, z, spread);
  cr_cross cross = { .rows = B, .width = D, .a = z, .b = z, .scale = 1 / (double)(B - 1), .ga = g,
                     .diagonal = diagonal };
  *covariance += cr_cross_off_diagonal(&cross, tile) / (double)D;

  double *slope = diagonal;                 /* of the variance term, times z */
  for (int64_t d = 0; d < D; d++) {
    double sd = sqrt(spread[d] * unbiased + c->option[EPS]), gap = c->option[GAMMA] - sd;
    bool open = gap > 0 || isnan(gap);
    *variance += open ? half * gap / (double)D : 0;
    slope[d] = open && sd > 0 ? -c->option[MU] * half / ((double)D * (double)(B - 1) * sd) : 0;
  }
  if (g == NULL) return;
  double by = 4 * c->option[NU] / (double)D;
  for (int64_t i = 0; i < B; i++)
    for (int64_t d = 0; d < D; d++)
      g[i*D + d] = (real)(by * (double)g[i*D + d] + slope[d] * (double)z[i*D + d]);
}

static void forward(cr_call *c) {
  int64_t B = c->dim['B'], D = c->dim['D'], whole = B * D;
  const real *x = cr_reals(c->in[X]), *y = cr_reals(c->in[Y]);
  real *gx = c->wants_grad ? c->saved : NULL, *gy = gx != NULL ? gx + whole : NULL;
  double invariance = 0, variance = 0, covariance = 0;
  if (B > 1 && D > 0) {
    one_view(c, x, gx, &variance, &covariance);
    one_view(c, y, gy, &variance, &covariance);
  } else if (gx != NULL) {
    for (int64_t i = 0; i < 2 * whole; i++) gx[i] = 0;
  }
  double terms = c->option[VARIANT] == CODE ? (double)whole : (double)B;
  double by = 2 * c->option[LAMBDA] / terms;
  for (int64_t i = 0; i < whole; i++) {
    double gap = (double)x[i] - (double)y[i];
    invariance += gap * gap;
    if (gx == NULL) continue;
    gx[i] = (real)((double)gx[i] + by * gap);
    gy[i] = (real)((double)gy[i] - by * gap);
  }
  if (whole > 0) invariance /= terms;
  c->stat[INVARIANCE] = invariance;
  c->stat[VARIANCE] = variance;
  c->stat[COVARIANCE] = covariance;
  *cr_reals(c->out[0]) = (real)(c->option[LAMBDA] * invariance + c->option[MU] * variance
                                + c->option[NU] * covariance);
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

const cr_op cr_loss_vicreg = {
  .name = "vicreg", .help = "keep two views alike, features spread out and apart from each other",
  .formula = "lambda mse(x, y) + mu mean_d max(0, gamma - sd_d) + nu/D sum_{i != j} cov_ij^2",
  .paper = "Bardes, Ponce, LeCun, \"VICReg\", ICLR 2022, eqs. 1-6",
  .differs = "variant = \"code\" (the authors' program, pytorch-metric-learning) halves the "
             "variance term and averages the invariance over D too; \"paper\" does neither. B = 1 "
             "leaves variance and covariance out where others give nan",
  .inputs = inputs, .options = options, .stats = stats, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = backward,
};
