/* tsne.c - exact t-SNE: see tsne.h */
#include <math.h>
#include <string.h>
#include <tgmath.h>

#include "base/pool.h"
#include "base/region.h"
#include "kernels/tsne.h"

/* Rows of p are padded to a multiple of LANES; the points that fill them up lie so far away that
 * nothing reaches them. LANES sums side by side are what the compiler turns into vectors. */
enum { LANES = 16, ROWS = 16 };
static const real FAR = (real)1e18;
static const double LEAST = 1e-12;      /* of p_ij */
enum { EARLY = 250, BISECTIONS = 64 };

typedef struct work {
  const cr_tsne *t;
  int64_t n, padded;
  real *p;                      /* [n, padded] */
  real *a, *b;                  /* [padded] coordinates of the map */
  double *gradient, *speed, *gain;      /* [2n] */
  double *attract, *repel, *sum;        /* [2n], [2n], [n]: what row i feels, and its part of Z */
  double scale;                 /* of p */
} work;

static int64_t padded_of(int64_t n) { return (n + LANES - 1) / LANES * LANES; }

static size_t lay_out(work *w, int64_t n, void *memory) {
  cr_region r = { .base = memory };
  w->n = n;
  w->padded = padded_of(n);
  w->p = cr_take(&r, n * w->padded, sizeof(real));
  w->a = cr_take(&r, w->padded, sizeof(real));
  w->b = cr_take(&r, w->padded, sizeof(real));
  w->gradient = cr_take(&r, 2 * n, sizeof(double));
  w->speed = cr_take(&r, 2 * n, sizeof(double));
  w->gain = cr_take(&r, 2 * n, sizeof(double));
  w->attract = cr_take(&r, 2 * n, sizeof(double));
  w->repel = cr_take(&r, 2 * n, sizeof(double));
  w->sum = cr_take(&r, n, sizeof(double));
  return r.used;
}

size_t cr_tsne_bytes(int64_t n) {
  work w;
  return lay_out(&w, n, NULL);
}

/* ---- affinities ------------------------------------------------------------------------------ */

/* The weights exp(-beta (d_j - least)) of a row; returns its entropy. */
static double entropy_of(int64_t n, int64_t i, const real *d, double least, double beta,
                         double *total) {
  double sum = 0, mean = 0;
  for (int64_t j = 0; j < n; j++) {
    if (j == i) continue;
    double gap = (double)d[j] - least, v = exp(-beta * gap);
    sum += v;
    mean += v * gap;
  }
  *total = sum;
  return log(sum) + beta * mean / sum;
}

/* Row i of p_j|i, over its squared distances. */
static void affinity(int64_t n, int64_t i, double perplexity, real *d) {
  double least = INFINITY, low = 0, high = INFINITY, beta = 1, total = 1, wanted = log(perplexity);
  double mean = 0;
  for (int64_t j = 0; j < n; j++) {
    if (j == i) continue;
    if ((double)d[j] < least) least = (double)d[j];
    mean += (double)d[j] / (double)(n - 1);
  }
  if (mean - least > 0) beta = 1 / (mean - least);
  for (int s = 0; s < BISECTIONS; s++) {
    double h = entropy_of(n, i, d, least, beta, &total) - wanted;
    if (fabs(h) < 1e-7) break;
    if (h > 0) low = beta, beta = isinf(high) ? 2 * beta : (beta + high) / 2;
    else high = beta, beta = (beta + low) / 2;
    if (!(beta < 1e300)) break;         /* ties at the least distance hold more entropy */
  }
  entropy_of(n, i, d, least, beta, &total);
  for (int64_t j = 0; j < n; j++)
    d[j] = j == i ? 0 : (real)(exp(-beta * ((double)d[j] - least)) / total);
}

static void affinities(void *context, int64_t begin, int64_t end) {
  const work *w = context;
  int64_t width = w->t->width;
  for (int64_t i = begin; i < end; i++) {
    const real *x = w->t->x + i * width;
    real *row = w->p + i * w->padded;
    for (int64_t j = 0; j < w->n; j++) {
      const real *y = w->t->x + j * width;
      double sum = 0;
      for (int64_t k = 0; k < width; k++) {
        double gap = (double)x[k] - (double)y[k];
        sum += gap * gap;
      }
      row[j] = (real)sum;
    }
    for (int64_t j = w->n; j < w->padded; j++) row[j] = 0;
    affinity(w->n, i, w->t->perplexity, row);
  }
}

/* p_ij from p_j|i and p_i|j, in place. */
static void symmetrise(work *w) {
  double scale = 1 / (2 * (double)w->n);
  for (int64_t i = 0; i < w->n; i++) {
    w->p[i * w->padded + i] = 0;
    for (int64_t j = i + 1; j < w->n; j++) {
      real *one = w->p + i * w->padded + j, *two = w->p + j * w->padded + i;
      double p = ((double)*one + (double)*two) * scale;
      *one = *two = (real)(p > LEAST ? p : LEAST);
    }
  }
}

/* ---- descent --------------------------------------------------------------------------------- */

typedef struct lanes {
  real sum[LANES], pull_a[LANES], pull_b[LANES], push_a[LANES], push_b[LANES];
} lanes;

CR_VECTOR static void row_forces(int64_t n, const real *restrict p, const real *restrict a,
                                 const real *restrict b, real a_i, real b_i, lanes *restrict out) {
  lanes s;
  memset(&s, 0, sizeof s);
  for (int64_t j = 0; j < n; j += LANES)
    for (int l = 0; l < LANES; l++) {
      real da = a_i - a[j + l], db = b_i - b[j + l];
      real v = 1 / (1 + da * da + db * db), pull = p[j + l] * v, push = v * v;
      s.sum[l] += v;
      s.pull_a[l] += pull * da;
      s.pull_b[l] += pull * db;
      s.push_a[l] += push * da;
      s.push_b[l] += push * db;
    }
  *out = s;
}

static double total(const real *lane) {
  double sum = 0;
  for (int l = 0; l < LANES; l++) sum += (double)lane[l];
  return sum;
}

static void forces(void *context, int64_t begin, int64_t end) {
  const work *w = context;
  lanes s;
  for (int64_t i = begin; i < end; i++) {
    row_forces(w->padded, w->p + i * w->padded, w->a, w->b, w->a[i], w->b[i], &s);
    w->sum[i] = total(s.sum) - 1;       /* without the point itself */
    w->attract[2 * i] = total(s.pull_a);
    w->attract[2 * i + 1] = total(s.pull_b);
    w->repel[2 * i] = total(s.push_a);
    w->repel[2 * i + 1] = total(s.push_b);
  }
}

static double all_forces(work *w) {
  double z = 0;
  cr_pool_for(w->n, ROWS, forces, w);
  for (int64_t i = 0; i < w->n; i++) z += w->sum[i];
  return z;
}

static void step(work *w, double rate, double momentum, double exaggeration) {
  double z = all_forces(w), mean[2] = { 0, 0 };
  int64_t n = w->n;
  for (int64_t k = 0; k < 2 * n; k++) {
    double g = 4 * (exaggeration * w->attract[k] - w->repel[k] / z);
    double gain = g * w->speed[k] < 0 ? w->gain[k] + 0.2 : w->gain[k] * 0.8;
    w->gain[k] = gain < 0.01 ? 0.01 : gain;
    w->speed[k] = momentum * w->speed[k] - rate * w->gain[k] * g;
    real *at = (k % 2 == 0 ? w->a : w->b) + k / 2;
    *at = (real)((double)*at + w->speed[k]);
    mean[k % 2] += (double)*at / (double)n;
  }
  for (int64_t i = 0; i < n; i++) {
    w->a[i] = (real)((double)w->a[i] - mean[0]);
    w->b[i] = (real)((double)w->b[i] - mean[1]);
  }
}

static double divergence(work *w) {
  double z = all_forces(w), kl = 0;
  for (int64_t i = 0; i < w->n; i++)
    for (int64_t j = 0; j < w->n; j++) {
      if (i == j) continue;
      double da = (double)w->a[i] - (double)w->a[j], db = (double)w->b[i] - (double)w->b[j];
      double p = (double)w->p[i * w->padded + j];
      kl += p * log(p * z * (1 + da * da + db * db));
    }
  return kl;
}

double cr_tsne_run(const cr_tsne *t, real *y, void *memory) {
  work w = { .t = t };
  int64_t n = t->n;
  lay_out(&w, n, memory);
  for (int64_t i = 0; i < n; i++) w.a[i] = y[2 * i], w.b[i] = y[2 * i + 1];
  for (int64_t i = n; i < w.padded; i++) w.a[i] = w.b[i] = FAR;
  for (int64_t k = 0; k < 2 * n; k++) w.speed[k] = 0, w.gain[k] = 1;
  cr_pool_for(n, ROWS, affinities, &w);
  symmetrise(&w);
  double rate = (double)n / t->exaggeration / 4, least = n < 200 ? (double)n / 4 : 50;
  if (rate < least) rate = least;
  for (int64_t s = 0; s < t->iterations; s++) {
    bool early = s < EARLY;
    step(&w, rate, early ? 0.5 : 0.8, early ? t->exaggeration : 1);
  }
  for (int64_t i = 0; i < n; i++) y[2 * i] = w.a[i], y[2 * i + 1] = w.b[i];
  return divergence(&w);
}
