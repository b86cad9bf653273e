/* manifold.c - manifold similarity to proxies, by a random walk over the batch
 *
 * The B rows of the batch and K proxies are the n nodes of a graph with weights S_ij = exp(2
 * max(cos, 0)) between different nodes. With degrees d_i = sum_j S_ij and Sbar_ij = S_ij / sqrt(d_i
 * d_j),
 *
 *   F = (1 - alpha) (I - alpha Sbar)^-1
 *
 * is how much of a walk that starts at a node, and goes on with probability alpha at each step,
 * ends at another. With c the proxy of row i (meta_classes, from 1 to K) and sums over the proxies
 * k != c whose bracket is positive,
 *
 *   intrinsic  mean_i log(1 + sum_k exp[F_ik - F_ic + margin]+)
 *   context    mean_i log(1 + sum_k exp[cos(F_i, F_k) - cos(F_i, F_c) + margin]+)
 *   L = intrinsic + lambda_c context            lambda_c = inf: context alone
 *
 * F_ik: row i, proxy k; F_i, F_k: whole rows of F. Embeddings and proxies both have a gradient:
 * with G the gradient by F, that by Sbar is alpha / (1 - alpha) F G F.
 *
 * The inverse and two products: time n^3, and memory four matrices n x n, so a loss for small
 * batches. An empty batch gives 0. What is not finite gives nan. */
#include <math.h>
#include <string.h>

#include "autograd/batch_loss.h"
#include "kernels/gemm.h"
#include "kernels/lapack.h"

enum { EMBEDDINGS, META_CLASSES, PROXIES };
enum { ALPHA, MARGIN, LAMBDA_C };
enum { INTRINSIC, CONTEXT };

static const cr_input inputs[] = {
  [EMBEDDINGS]   = { "embeddings",   "B D", CR_TREAL, 0 },
  [META_CLASSES] = { "meta_classes", "B",   CR_TINT,  CR_NOGRAD },
  [PROXIES]      = { "proxies",      "K D", CR_TREAL, 0 },
  { 0 }
};

static const cr_option options[] = {
  [ALPHA]    = { "alpha", 0.8, 0, 0.999, "probability that the walk goes on", CR_NUMBER, NULL,
                 false },
  [MARGIN]   = { "margin", 5e-4, -1e30, 1e30, "lead a row's own proxy shall have", CR_NUMBER, NULL,
                 false },
  [LAMBDA_C] = { "lambda_c", 1, 0, INFINITY, "weight of the context part", CR_NUMBER, NULL,
                 false },
  { 0 }
};

static const char *const stats[] = { [INTRINSIC] = "intrinsic", [CONTEXT] = "context", NULL };

typedef struct graph {
  int64_t B, K, D, n;
  double alpha;
  real *z;                    /* [n D] rows over their norms */
  real *s, *f, *m, *other;    /* [n n]: S, F, and two to work in */
  real *c;                    /* [B K]: <F_i, F_k>, then its slope */
  double *inverse, *root;     /* [n]: 1 / norm, degree ^ -1/2 */
  double *length, *own;       /* [n]: norms of rows of F, and slopes by <F_i, F_i> / 2 */
  double *slope;              /* [n] */
  double *v, *by;             /* [K] */
  void *work;
} graph;

static size_t lay_out(const cr_call *c, graph *g, unsigned char *memory) {
  int64_t n = c->dim['B'] + c->dim['K'], N = (int64_t)sizeof(double);
  *g = (graph){ .B = c->dim['B'], .K = c->dim['K'], .D = c->dim['D'], .n = n };
  int64_t each = (int64_t)sizeof(real);
  size_t used = 0;
  struct { void *at; int64_t bytes; } blocks[] = {
    { &g->z, n * g->D * each }, { &g->s, n * n * each },  { &g->f, n * n * each },
    { &g->m, n * n * each },    { &g->other, n * n * each }, { &g->c, g->B * g->K * each },
    { &g->inverse, n * N },     { &g->root, n * N },      { &g->length, n * N },
    { &g->own, n * N },         { &g->slope, n * N },     { &g->v, g->K * N },
    { &g->by, g->K * N },       { &g->work, (int64_t)cr_invert_bytes(n) },
  };
  for (size_t k = 0; k < sizeof blocks / sizeof *blocks; k++) {
    void *at = memory != NULL ? memory + used : NULL;
    memcpy(blocks[k].at, &at, sizeof at);
    used += cr_batch_aligned((size_t)blocks[k].bytes);
  }
  return used;
}

static bool check(cr_call *c, cr_error *err) {
  int64_t B = c->dim['B'], K = c->dim['K'];
  const int64_t *meta = cr_ints(c->in[META_CLASSES]);
  graph g;
  if (K == 0) return cr_fail(err, CR_ESHAPE, "proxies must have a row or more, got none");
  if (B + K > CR_LAPACK_MOST)
    return cr_fail(err, CR_ESHAPE, "a batch and its proxies may have %d rows, got %lld",
                   CR_LAPACK_MOST, (long long)(B + K));
  for (int64_t i = 0; i < B; i++)
    if (meta[i] < 1 || meta[i] > K)
      return cr_fail(err, CR_EVALUE, "meta_classes must run from 1 to %lld, the number of proxies; "
                     "number %lld is %lld", (long long)K, (long long)i + 1, (long long)meta[i]);
  c->scratch_bytes = lay_out(c, &g, NULL);
  c->saved_bytes = c->wants_grad ? (size_t)((B + K) * c->dim['D']) * sizeof(real) : 0;
  return true;
}

/* ---- graph ----------------------------------------------------------------------------------- */

static void normalise(graph *g, int64_t first, int64_t rows, const real *x) {
  for (int64_t i = 0; i < rows; i++) {
    double sum = 0;
    for (int64_t k = 0; k < g->D; k++) sum += (double)x[i * g->D + k] * (double)x[i * g->D + k];
    g->inverse[first + i] = 1 / fmax(sqrt(sum), 1e-12);
    for (int64_t k = 0; k < g->D; k++)
      g->z[(first + i) * g->D + k] = (real)((double)x[i * g->D + k] * g->inverse[first + i]);
  }
}

/* S, and F with the norms of its rows; false when something is not finite. */
static bool walk(graph *g) {
  int64_t n = g->n;
  cr_gemm(false, true, n, n, g->D, g->z, g->D, g->z, g->D, false, g->s, n);
  for (int64_t i = 0; i < n; i++) {
    double degree = 0;
    for (int64_t j = 0; j < n; j++) {
      double cosine = (double)g->s[i * n + j], s = exp(2 * (cosine < 0 ? 0 : cosine));
      g->s[i * n + j] = (real)(i == j ? 0 : s);
      degree += i == j ? cosine * 0 : s;
    }
    g->root[i] = degree == 0 ? 0 : 1 / sqrt(degree);
  }
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++)
      g->f[i * n + j] = (real)((i == j) - g->alpha * g->root[i] * g->root[j] *
                                          (double)g->s[i * n + j]);
  if (!cr_invert(n, g->f, g->work)) return false;
  for (int64_t i = 0; i < n; i++) {
    double square = 0;
    for (int64_t j = 0; j < n; j++) {
      double f = (1 - g->alpha) * (double)g->f[i * n + j];
      g->f[i * n + j] = (real)f;
      square += f * f;
    }
    g->length[i] = fmax(sqrt(square), 1e-12);
  }
  return true;
}

/* ---- the two parts and the gradient by F ----------------------------------------------------- */

/* log(1 + sum_k exp(lead_k)) over k != c with lead_k = v_k - v_c + margin > 0; by: slopes by v. */
static double part(const graph *g, int64_t c, double margin) {
  double most = 0, sum = 0, rest = 0;
  for (int64_t k = 0; k < g->K; k++)
    if (k != c) most = fmax(most, g->v[k] - g->v[c] + margin);
  for (int64_t k = 0; k < g->K; k++) {
    double lead = g->v[k] - g->v[c] + margin;
    sum += g->by[k] = k != c && lead > 0 ? exp(lead - most) : 0;
  }
  double all = exp(-most) + sum;
  for (int64_t k = 0; k < g->K; k++) rest += g->by[k] /= all;
  g->by[c] = -rest;
  return most + log(all);
}

static double intrinsic(const graph *g, int64_t i, int64_t c, double margin, double weight) {
  for (int64_t k = 0; k < g->K; k++) g->v[k] = (double)g->f[i * g->n + g->B + k];
  double loss = part(g, c, margin);
  for (int64_t k = 0; k < g->K; k++) g->m[i * g->n + g->B + k] += (real)(weight * g->by[k]);
  return loss;
}

static double context(const graph *g, int64_t i, int64_t c, double margin, double weight) {
  real *dot = g->c + i * g->K;
  double own = g->length[i];
  for (int64_t k = 0; k < g->K; k++) g->v[k] = (double)dot[k] / (own * g->length[g->B + k]);
  double loss = part(g, c, margin);
  for (int64_t k = 0; k < g->K; k++) {
    double slope = weight * g->by[k], length = g->length[g->B + k];
    dot[k] = (real)(slope / (own * length));
    g->own[i] -= slope * g->v[k] / (own * own);
    g->own[g->B + k] -= slope * g->v[k] / (length * length);
  }
  return loss;
}

/* m += the gradient of the context part by F: c and its transpose times rows of F, and own times a
 * row itself. */
static void add_context(graph *g) {
  int64_t B = g->B, K = g->K, n = g->n;
  const real *proxies = g->f + B * n;
  cr_gemm(false, false, B, n, K, g->c, K, proxies, n, true, g->m, n);
  cr_gemm(true, false, K, n, B, g->c, K, g->f, n, true, g->m + B * n, n);
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++) g->m[i * n + j] += (real)(g->own[i] * (double)g->f[i * n + j]);
}

/* From m, the gradient by F, to that by rows. */
static void gradient(graph *g, const real *x, const real *proxies, real *out) {
  int64_t n = g->n, D = g->D;
  double factor = g->alpha / (1 - g->alpha);
  cr_gemm(false, false, n, n, n, g->f, n, g->m, n, false, g->other, n);
  cr_gemm(false, false, n, n, n, g->other, n, g->f, n, false, g->m, n);
  for (int64_t i = 0; i < n; i++) {
    double sum = 0;
    for (int64_t j = 0; j < n; j++) {
      double both = factor * ((double)g->m[i * n + j] + (double)g->m[j * n + i]);
      g->other[i * n + j] = (real)both;
      sum += both * g->root[j] * (double)g->s[i * n + j];
    }
    g->slope[i] = -0.5 * sum * g->root[i] * g->root[i] * g->root[i];
  }
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++) {
      double s = (double)g->s[i * n + j];     /* 1 where the cosine is not above 0 */
      double by = (double)g->other[i * n + j] * g->root[i] * g->root[j] + g->slope[i] + g->slope[j];
      g->other[i * n + j] = (real)(s > 1 ? 2 * s * by : 0);
    }
  cr_gemm(false, false, n, D, n, g->other, n, g->z, D, false, out, D);
  for (int64_t i = 0; i < n; i++) {
    const real *given = i < g->B ? x + i * D : proxies + (i - g->B) * D;
    double along = 0, inverse = g->inverse[i];
    for (int64_t k = 0; k < D; k++) along += (double)out[i * D + k] * (double)given[k];
    along *= inverse < 0.99e12 ? inverse * inverse : 0;
    for (int64_t k = 0; k < D; k++)
      out[i * D + k] = (real)(inverse * ((double)out[i * D + k] - along * (double)given[k]));
  }
}

static void not_finite(cr_call *c) {
  *cr_reals(c->out[0]) = (real)NAN;
  for (size_t k = 0; c->wants_grad && k < c->saved_bytes / sizeof(real); k++)
    ((real *)c->saved)[k] = (real)NAN;
}

static void forward(cr_call *c) {
  graph g;
  lay_out(c, &g, c->scratch);
  g.alpha = c->option[ALPHA];
  const real *x = cr_reals(c->in[EMBEDDINGS]), *proxies = cr_reals(c->in[PROXIES]);
  const int64_t *meta = cr_ints(c->in[META_CLASSES]);
  int64_t n = g.n;
  double lambda = c->option[LAMBDA_C], margin = c->option[MARGIN], loss[2] = { 0 };
  double each = cr_ratio(1, (double)g.B);
  double weight[2] = { isinf(lambda) ? 0 : each, (isinf(lambda) ? 1 : lambda) * each };
  normalise(&g, 0, g.B, x);
  normalise(&g, g.B, g.K, proxies);
  if (!walk(&g)) {
    not_finite(c);
    return;
  }
  memset(g.m, 0, (size_t)(n * n) * sizeof *g.m);
  memset(g.own, 0, (size_t)n * sizeof *g.own);
  if (weight[1] > 0) cr_gemm(false, true, g.B, g.K, n, g.f, n, g.f + g.B * n, n, false, g.c, g.K);
  for (int64_t i = 0; i < g.B; i++) {
    if (weight[0] > 0) loss[0] += intrinsic(&g, i, meta[i] - 1, margin, weight[0]);
    if (weight[1] > 0) loss[1] += context(&g, i, meta[i] - 1, margin, weight[1]);
  }
  *cr_reals(c->out[0]) = (real)(weight[0] * loss[0] + weight[1] * loss[1]);
  c->stat[INTRINSIC] = each * loss[0];
  c->stat[CONTEXT] = each * loss[1];
  if (!c->wants_grad) return;
  if (weight[1] > 0) add_context(&g);
  gradient(&g, x, proxies, c->saved);
}

static void backward(cr_call *c) {
  const real *saved = c->saved;
  int64_t n[] = { c->dim['B'] * c->dim['D'], c->dim['K'] * c->dim['D'] };
  real upstream = *cr_reals(c->gout[0]);
  for (int side = 0; side < 2; side++) {
    cr_tensor *to = c->gin[side == 0 ? EMBEDDINGS : PROXIES];
    for (int64_t k = 0; to != NULL && k < n[side]; k++)
      cr_reals(to)[k] = upstream * saved[(side == 0 ? 0 : n[0]) + k];
  }
}

const cr_op cr_loss_manifold = {
  .name = "manifold", .help = "similarity to proxies by a random walk over the batch",
  .formula = "F = (1 - alpha) (I - alpha Sbar)^-1; row mean of log(1 + sum_k exp[F_ik - F_ic + "
             "margin]+) + lambda_c times the same on cosines of rows of F",
  .paper = "Aziere, Todorovic, \"Ensemble deep manifold similarity learning using hard proxies\", "
           "CVPR 2019",
  .differs = "pytorch-metric-learning inverts in float32, and draws meta_classes at random when "
             "they are not given",
  .inputs = inputs, .options = options, .stats = stats, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = backward,
};
