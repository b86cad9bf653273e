/* block_norm.c - see block_norm.h */
#include "kernels/block_norm.h"

#include <math.h>
#include "kernels/batch_stats.h"

static double entry(const real *p, int64_t i, double otherwise) {
  return p ? (double)p[i] : otherwise;
}

void cr_block_moments(const cr_block_norm *n, const double *sums, const real *y) {
  int64_t C = n->channels;
  double count = (double)n->count;
  bool cancelled = false;
  for (int64_t c = 0; c < C; c++) {
    double square = sums[C + c] / count;
    n->mean[c] = sums[c] / count;
    n->rstd[c] = square - n->mean[c] * n->mean[c];
    cancelled |= !(n->rstd[c] > 1e-3 * square);
  }
  if (!cancelled) return;
  for (int64_t c = 0; c < C; c += CR_STATS_WIDTH) {
    int64_t width = C - c < CR_STATS_WIDTH ? C - c : CR_STATS_WIDTH;
    cr_stats_column_moments(y + c, n->count, C, width, n->mean + c, n->rstd + c);
  }
}

void cr_block_settle(const cr_block_norm *n) {
  double count = (double)n->count, m = n->momentum;
  for (int64_t c = 0; c < n->channels; c++) {
    double lacks = n->unbiased ? entry(n->bias, c, 0) : 0, var = entry(n->running_var, c, 1);
    if (n->training) {
      var = n->rstd[c];
      n->running_mean[c] =
          (real)((1 - m) * (double)n->running_mean[c] + m * (n->mean[c] + lacks));
      n->running_var[c] =
          (real)((1 - m) * (double)n->running_var[c] + m * var * count / (count - 1));
    } else {
      n->mean[c] = entry(n->running_mean, c, 0) - lacks;
    }
    n->rstd[c] = n->running_var ? 1 / sqrt(var + n->eps) : 1;
  }
}

void cr_block_map(const cr_block_norm *n, real *mean, real *scale, real *shift) {
  for (int64_t c = 0; c < n->channels; c++) {
    mean[c] = (real)n->mean[c];
    scale[c] = (real)(n->rstd[c] * entry(n->gamma, c, 1));
    shift[c] = (real)entry(n->beta, c, 0);
  }
}

void cr_block_map_none(int64_t channels, real *mean, real *scale, real *shift) {
  for (int64_t c = 0; c < channels; c++) {
    mean[c] = shift[c] = 0;
    scale[c] = 1;
  }
}

void cr_block_fold(const cr_block_norm *n, double *scale, real *shift) {
  for (int64_t c = 0; c < n->channels; c++) {
    scale[c] = n->rstd[c] * entry(n->gamma, c, 1);
    shift[c] = (real)(entry(n->beta, c, 0) - n->mean[c] * scale[c]);
  }
}

void cr_block_fold_backward(const cr_block_norm *n, int64_t each, const real *weight,
                            const real *gfolded, const double *gshift, real *gweight, real *ggamma,
                            real *gbeta, real *gbias) {
  for (int64_t c = 0; c < n->channels; c++) {
    double scale = n->rstd[c] * entry(n->gamma, c, 1), gscale = -n->mean[c] * gshift[c];
    for (int64_t k = c * each; k < (c + 1) * each; k++) {
      if (ggamma) gscale += (double)gfolded[k] * (double)weight[k];
      if (gweight) gweight[k] = (real)((double)gfolded[k] * scale);
    }
    if (ggamma) ggamma[c] = (real)(gscale * n->rstd[c]);
    if (gbeta) gbeta[c] = (real)gshift[c];
    if (gbias) gbias[c] = (real)(gshift[c] * scale);
  }
}

void cr_block_norm_backward(const cr_block_norm *n, const double *sums, const real *scale,
                            real *slope, real *constant, real *ggamma, real *gbeta, real *gbias) {
  int64_t C = n->channels;
  double count = (double)n->count;
  for (int64_t c = 0; c < C; c++) {
    double sum = sums[c], product = sums[C + c], k = (double)scale[c], r = n->rstd ? n->rstd[c] : 1;
    slope[c] = n->training ? (real)(-k * r * r * product / count) : 0;
    constant[c] = n->training ? (real)(-k * sum / count) : 0;
    if (ggamma) ggamma[c] = (real)(product * r);
    if (gbeta) gbeta[c] = (real)sum;
    /* the mean of the batch takes a bias out again */
    if (gbias) gbias[c] = n->training ? 0 : (real)(k * sum);
  }
}
