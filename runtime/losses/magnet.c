/* magnet.c - rows near the mean of their own cluster and far from clusters of other classes
 *
 *   l_n = max(0, d_n,own / (2 s2) + alpha + log sum_{m: class_m != class_own} e^(-d_nm / (2 s2)))
 *
 *   d_nm = |x_n - centre_m|^2                 s2 = sum_n d_n,own / (B - 1)
 *
 * embeddings [B D]; clusters [B], which cluster each row belongs to, 1 .. M; classes [M], the class
 * of each cluster. A class may have several clusters, so its rows need not gather in one place. The
 * centres are the means of the batch's rows, as in the paper, or given as centres [M D]; s2 is that
 * of the batch, or given as variance (a scalar). The gradient goes through all of them, through s2
 * only with variance_gradient = true. Clusters of the set, and batches made of a cluster and its
 * nearest impostors, come from crun.magnet.
 *
 * reduction = "mean", "sum" or "none" ([B]). A row with no cluster of another class costs nothing;
 * where s2 is 0 (every row on its centre, or B = 1) the loss is 0 with zero gradient, as is that of
 * an empty batch. A cluster without rows in the batch has no mean and is left out.
 *
 * The ratio of the paper's eq. 4 is taken as a difference of logarithms. Cost: B M D. Memory: M D.
 *
 * Rippel, Paluri, Dollar, Bourdev, "Metric Learning with Adaptive Density Discrimination", ICLR
 * 2016, eqs. 4 and 5. */
#include <math.h>
#include <string.h>
#include <tgmath.h>

#include "autograd/term_loss.h"

enum { EMBEDDINGS, CLUSTERS, CLASSES, CENTRES, VARIANCE };
enum { REDUCTION, ALPHA, VARIANCE_GRADIENT };
enum { ACTIVE, VARIANCE_STAT };

static const cr_input inputs[] = {
  [EMBEDDINGS] = { "embeddings", "B D", CR_TREAL, 0 },
  [CLUSTERS]   = { "clusters",   "B",   CR_TINT,  CR_NOGRAD },
  [CLASSES]    = { "classes",    "M",   CR_TINT,  CR_NOGRAD },
  [CENTRES]    = { "centres",    "M D", CR_TREAL, CR_OPTIONAL },
  [VARIANCE]   = { "variance",   "",    CR_TREAL, CR_OPTIONAL | CR_NOGRAD },
  { 0 }
};

static const cr_output outputs[] = { { "loss", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [REDUCTION] = CR_REDUCTION_OPTION,
  [ALPHA] = { "alpha", 1, -1e30, 1e30, "by how much impostors must be further, in logarithms",
              CR_NUMBER },
  [VARIANCE_GRADIENT] = { "variance_gradient", 1, 0, 1, "false: s2 is a constant to the gradient",
                          CR_FLAG },
  { 0 }
};

static const char *const stats[] = {
  [ACTIVE] = "active",                      /* share of the rows with a loss above 0 */
  [VARIANCE_STAT] = "variance",             /* s2 */
  NULL
};

static bool check(cr_call *c, cr_error *err) {
  int64_t B = c->dim['B'], M = c->dim['M'], D = c->dim['D'];
  const int64_t *cluster = cr_ints(c->in[CLUSTERS]);
  for (int64_t n = 0; n < B; n++)
    if (cluster[n] < 1 || cluster[n] > M)
      return cr_fail(err, CR_EVALUE, "clusters must lie in 1 .. %lld, the number of classes given, "
                     "got %lld in row %lld", (long long)M, (long long)cluster[n],
                     (long long)(n + 1));
  cr_out_shape(c, 0, c->option[REDUCTION] == CR_NONE ? 1 : 0, &B);
  /* centres, their counts, and d_n by cluster; in backward what centres get, too */
  c->scratch_bytes = (size_t)(M * D + 2 * M + B) * sizeof(double);
  c->backward_scratch_bytes = (size_t)(2 * M * D + 2 * M + 2 * B) * sizeof(double);
  return true;
}

typedef struct magnet {
  int64_t B, M, D;
  const real *x;
  const int64_t *cluster, *class;
  double *centre, *count, *term, *own;      /* [M D], [M], [M], [B] */
  double s2, alpha;
} magnet;

static double squared_distance(const magnet *g, int64_t n, int64_t m) {
  const real *x = g->x + n * g->D;
  const double *centre = g->centre + m * g->D;
  double sum = 0;
  for (int64_t k = 0; k < g->D; k++) sum += ((double)x[k] - centre[k]) * ((double)x[k] - centre[k]);
  return sum;
}

/* Centres, distances to one's own, s2. */
static magnet start(const cr_call *c, double *scratch) {
  magnet g = { .B = c->dim['B'], .M = c->dim['M'], .D = c->dim['D'],
               .x = cr_reals(c->in[EMBEDDINGS]), .cluster = cr_ints(c->in[CLUSTERS]),
               .class = cr_ints(c->in[CLASSES]), .alpha = c->option[ALPHA] };
  int64_t M = g.M, D = g.D;
  g.centre = scratch;
  g.count = g.centre + M * D;
  g.term = g.count + M;
  g.own = g.term + M;
  memset(g.centre, 0, (size_t)(M * D + M) * sizeof(double));
  for (int64_t n = 0; n < g.B; n++) {
    int64_t m = g.cluster[n] - 1;
    g.count[m]++;
    for (int64_t k = 0; k < D; k++) g.centre[m*D + k] += (double)g.x[n*D + k];
  }
  for (int64_t m = 0; m < M; m++)
    for (int64_t k = 0; k < D; k++) {
      if (c->in[CENTRES] != NULL) g.centre[m*D + k] = (double)cr_reals(c->in[CENTRES])[m*D + k];
      else if (g.count[m] > 0) g.centre[m*D + k] /= g.count[m];
    }
  for (int64_t n = 0; n < g.B; n++) {
    g.own[n] = squared_distance(&g, n, g.cluster[n] - 1);
    g.s2 += g.own[n];
  }
  g.s2 = g.B > 1 ? g.s2 / (double)(g.B - 1) : 0;
  if (c->in[VARIANCE] != NULL) g.s2 = (double)*cr_reals(c->in[VARIANCE]);
  return g;
}

static bool impostor(const cr_call *c, const magnet *g, int64_t n, int64_t m) {
  return g->class[m] != g->class[g->cluster[n] - 1] && (c->in[CENTRES] != NULL || g->count[m] > 0);
}

/* l_n; term[m] = -d_nm / (2 s2) of impostors, -inf of others, and *lse = their log-sum-exp */
static double row_loss(const cr_call *c, const magnet *g, int64_t n, double *lse) {
  double largest = -INFINITY, sum = 0;
  *lse = -INFINITY;
  if (!(g->s2 > 0)) return g->s2 == 0 ? 0 : NAN;
  for (int64_t m = 0; m < g->M; m++) {
    g->term[m] = impostor(c, g, n, m) ? -squared_distance(g, n, m) / (2 * g->s2) : -INFINITY;
    if (g->term[m] > largest || isnan(g->term[m])) largest = g->term[m];
  }
  if (largest == -INFINITY) return 0;
  for (int64_t m = 0; m < g->M; m++) sum += exp(g->term[m] - largest);
  *lse = largest + log(sum);
  double loss = g->own[n] / (2 * g->s2) + g->alpha + *lse;
  return loss > 0 || isnan(loss) ? loss : 0;
}

static double divisor(const cr_call *c) {
  return c->option[REDUCTION] == CR_MEAN && c->dim['B'] > 0 ? (double)c->dim['B'] : 1;
}

static void forward(cr_call *c) {
  magnet g = start(c, c->scratch);
  double sum = 0, lse;
  int64_t active = 0;
  for (int64_t n = 0; n < g.B; n++) {
    double loss = row_loss(c, &g, n, &lse);
    sum += loss;
    active += loss > 0;
    if (c->option[REDUCTION] == CR_NONE) cr_reals(c->out[0])[n] = (real)loss;
  }
  if (c->option[REDUCTION] != CR_NONE) *cr_reals(c->out[0]) = (real)(sum / divisor(c));
  c->stat[ACTIVE] = g.B > 0 ? (double)active / (double)g.B : 0;
  c->stat[VARIANCE_STAT] = g.s2;
}

/* A coefficient w of d_nm: 2 w (x_n - centre_m) to the row, its opposite to the centre. */
static void push(const magnet *g, int64_t n, int64_t m, double w, real *gx, double *gcentre) {
  int64_t D = g->D;
  for (int64_t k = 0; k < D; k++) {
    double by = 2 * w * ((double)g->x[n*D + k] - g->centre[m*D + k]);
    if (gx != NULL) gx[n*D + k] = (real)((double)gx[n*D + k] + by);
    gcentre[m*D + k] -= by;
  }
}

static void backward(cr_call *c) {
  magnet g = start(c, c->scratch);
  int64_t B = g.B, M = g.M, D = g.D;
  double *by_own = g.own + B, *gcentre = by_own + B, by_s2 = 0, inverse = 1 / (2 * g.s2), lse;
  const real *gout = cr_reals(c->gout[0]);
  real *gx = c->gin[EMBEDDINGS] != NULL ? cr_reals(c->gin[EMBEDDINGS]) : NULL;
  bool none = c->option[REDUCTION] == CR_NONE;
  memset(gcentre, 0, (size_t)(M * D) * sizeof(double));
  for (int64_t i = 0; gx != NULL && i < B * D; i++) gx[i] = 0;
  for (int64_t n = 0; n < B; n++) {
    by_own[n] = 0;
    double loss = row_loss(c, &g, n, &lse), weight = (double)gout[none ? n : 0] / divisor(c);
    if (!(loss > 0) && !isnan(loss)) continue;
    by_own[n] = weight * inverse;
    by_s2 -= weight * g.own[n] * inverse;       /* times 1 / s2, below */
    for (int64_t m = 0; m < M; m++) {
      if (g.term[m] == -INFINITY) continue;
      double share = weight * exp(g.term[m] - lse);
      by_s2 -= share * g.term[m];
      push(&g, n, m, -share * inverse, gx, gcentre);
    }
  }
  bool through_s2 = c->in[VARIANCE] == NULL && c->option[VARIANCE_GRADIENT] != 0 && g.s2 > 0;
  double more = through_s2 ? by_s2 / g.s2 / (double)(B - 1) : 0;
  for (int64_t n = 0; n < B; n++)
    if (by_own[n] != 0 || more != 0) push(&g, n, g.cluster[n] - 1, by_own[n] + more, gx, gcentre);
  if (c->in[CENTRES] != NULL) {
    for (int64_t i = 0; c->gin[CENTRES] != NULL && i < M * D; i++)
      cr_reals(c->gin[CENTRES])[i] = (real)gcentre[i];
    return;
  }
  for (int64_t n = 0; gx != NULL && n < B; n++) {
    int64_t m = g.cluster[n] - 1;
    for (int64_t k = 0; k < D; k++)
      gx[n*D + k] = (real)((double)gx[n*D + k] + gcentre[m*D + k] / g.count[m]);
  }
}

const cr_op cr_loss_magnet = {
  .name = "magnet", .help = "rows near their cluster's mean, far from clusters of other classes",
  .formula = "max(0, d_own / (2 s2) + alpha + log sum_{clusters of other classes} e^(-d / (2 s2)))",
  .paper = "Rippel, Paluri, Dollar, Bourdev, \"Metric Learning with Adaptive Density "
           "Discrimination\", ICLR 2016, eqs. 4 and 5",
  .differs = "the ratio is a difference of logarithms; a variance of 0 gives loss 0",
  .inputs = inputs, .outputs = outputs, .options = options, .stats = stats,
  .check = check, .forward = forward, .backward = backward,
};
