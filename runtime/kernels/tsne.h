/* tsne.h - exact t-SNE into the plane: every pair of points, every iteration
 *
 *   p_j|i = exp(-b_i |x_i - x_j|^2) / sum over k != i     b_i: the entropy of row i is
 *                                                         log(perplexity)
 *   p_ij  = (p_j|i + p_i|j) / 2n
 *   w_ij  = 1 / (1 + |y_i - y_j|^2)     q_ij = w_ij / Z     Z = sum over i != j of w_ij
 *   KL    = sum p_ij log(p_ij / q_ij)
 *   dKL/dy_i = 4 sum over j of (p_ij - q_ij) w_ij (y_i - y_j)
 *
 * Descent as van der Maaten and Hinton do it (JMLR 2008): momentum 0.5, then 0.8 from iteration 250
 * on; until then p is taken `exaggeration` times; gains of each coordinate grow by 0.2 where the
 * gradient keeps its direction and shrink to 0.8 of themselves where it does not; learning rate
 * max(n / exaggeration / 4, 50) (Belkina et al., Nature Communications 2019), but n / 4 of fewer
 * than 200 points, which 50 shakes about: 60 points reach KL 0.08 instead of 0.30 in 750
 * iterations.
 *
 * Memory n^2, time n^2 an iteration. A row is one thread's work from start to end and sums over
 * rows are taken in their order, so the bits do not depend on the number of threads. */
#ifndef CR_KERNELS_TSNE_H
#define CR_KERNELS_TSNE_H

#include <stddef.h>
#include <stdint.h>
#include "base/real.h"

typedef struct cr_tsne {
  int64_t n, width;
  const real *x;                /* [n, width] */
  double perplexity, exaggeration;
  int64_t iterations;
} cr_tsne;

size_t cr_tsne_bytes(int64_t n);
/* y [n, 2] holds the start and is replaced by the map, centred; returns KL. work:
 * cr_tsne_bytes(n). */
double cr_tsne_run(const cr_tsne *t, real *y, void *work);

#endif
