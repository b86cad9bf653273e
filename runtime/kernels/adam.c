/* adam.c - see adam.h */
#include "kernels/adam.h"

#include <stddef.h>
#include <tgmath.h>

typedef struct rates { real b1, c1, b2, c2, decay, shrink, rate, root, eps; } rates;

CR_VECTOR static void plain(int64_t n, rates r, real *restrict w, const real *restrict g,
                            real *restrict m,
                            real *restrict v) {
  for (int64_t i = 0; i < n; i++) {
    real d = g[i] + r.decay * w[i];
    m[i] = r.b1 * m[i] + r.c1 * d;
    v[i] = r.b2 * v[i] + r.c2 * d * d;
    w[i] = r.shrink * w[i] - r.rate * m[i] / (sqrt(v[i]) * r.root + r.eps);
  }
}

CR_VECTOR static void largest(int64_t n, rates r, real *restrict w, const real *restrict g,
                              real *restrict m,
                              real *restrict v, real *restrict most) {
  for (int64_t i = 0; i < n; i++) {
    real d = g[i] + r.decay * w[i];
    m[i] = r.b1 * m[i] + r.c1 * d;
    v[i] = r.b2 * v[i] + r.c2 * d * d;
    most[i] = v[i] < most[i] ? most[i] : v[i];
    w[i] = r.shrink * w[i] - r.rate * m[i] / (sqrt(most[i]) * r.root + r.eps);
  }
}

void cr_kernel_adam(const cr_adam *a, int64_t n, real *w, const real *g, real *m, real *v,
                    real *most) {
  double t = (double)a->step;
  rates r = { .b1 = (real)a->beta1, .c1 = (real)(1 - a->beta1), .b2 = (real)a->beta2,
              .c2 = (real)(1 - a->beta2), .decay = (real)a->decay, .shrink = (real)a->shrink,
              .rate = (real)(a->lr / (1 - pow(a->beta1, t))),
              .root = (real)(1 / sqrt(1 - pow(a->beta2, t))), .eps = (real)a->eps };
  if (most != NULL) largest(n, r, w, g, m, v, most);
  else plain(n, r, w, g, m, v);
}
