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
 * The ratio of the paper's eq. 4 is taken as a difference of logarithms. Cost: B M D. Memory: M D and a tile of rows by M.
 *
 * Rippel, Paluri, Dollar, Bourdev, "Metric Learning with Adaptive Density Discrimination", ICLR
 * 2016, eqs. 4 and 5. */
#include <math.h>
#include <string.h>
#include <tgmath.h>

#include "autograd/term_loss.h"
#include "base/pool.h"

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

/* Rows worked on at a time: their terms stay in the second-level cache. */
static int64_t tile_rows(int64_t B, int64_t M) {
  int64_t T = M > 0 ? (1 << 16) / M : B;
  T = T < 8 ? 8 : T;
  return T < B ? T : B;
}

static bool check(cr_call *c, cr_error *err) {
  int64_t B = c->dim['B'], M = c->dim['M'], D = c->dim['D'], T = tile_rows(B, M);
  const int64_t *cluster = cr_ints(c->in[CLUSTERS]);
  for (int64_t n = 0; n < B; n++)
    if (cluster[n] < 1 || cluster[n] > M)
      return cr_fail(err, CR_EVALUE, "clusters must lie in 1 .. %lld, the number of classes given, "
                     "got %lld in row %lld", (long long)M, (long long)cluster[n],
                     (long long)(n + 1));
  cr_out_shape(c, 0, c->option[REDUCTION] == CR_NONE ? 1 : 0, &B);
  /* centres, their counts, distances to one's own, a tile of terms; in backward what centres get */
  c->scratch_bytes = (size_t)(M * D + M + B + T * (M + 3)) * sizeof(double);
  c->backward_scratch_bytes = (size_t)(2 * M * D + M + 2 * B + T * (M + 3)) * sizeof(double);
  return true;
}

typedef struct magnet {
  const cr_call *c;
  int64_t B, M, D, T, first, rows;          /* the tile at work: rows first .. first + rows - 1 */
  const real *x;
  const int64_t *cluster, *class;
  double *centre, *count, *own;             /* [M D], [M], [B] */
  double *term, *lse, *loss, *by_s2;        /* [T M], [T], [T], [T] */
  double s2, alpha, divisor;
  /* backward */
  const real *gout;
  real *gx;
  double *by_own, *gcentre;
} magnet;

CR_VECTOR static double squared_distance(int64_t D, const real *x, const double *centre) {
  double lane[8] = { 0 }, sum = 0;
  int64_t k = 0;
  for (; k + 8 <= D; k += 8)
    for (int l = 0; l < 8; l++) {
      double step = (double)x[k + l] - centre[k + l];
      lane[l] += step * step;
    }
  for (; k < D; k++) sum += ((double)x[k] - centre[k]) * ((double)x[k] - centre[k]);
  for (int l = 0; l < 8; l++) sum += lane[l];
  return sum;
}

static double divisor(const cr_call *c) {
  return c->option[REDUCTION] == CR_MEAN && c->dim['B'] > 0 ? (double)c->dim['B'] : 1;
}

/* Centres, distances to one's own, s2; what is left of scratch goes to *rest. */
static magnet start(const cr_call *c, double *scratch, double **rest) {
  magnet g = { .c = c, .B = c->dim['B'], .M = c->dim['M'], .D = c->dim['D'],
               .x = cr_reals(c->in[EMBEDDINGS]), .cluster = cr_ints(c->in[CLUSTERS]),
               .class = cr_ints(c->in[CLASSES]), .alpha = c->option[ALPHA],
               .divisor = divisor(c) };
  int64_t M = g.M, D = g.D;
  g.T = tile_rows(g.B, M);
  g.centre = scratch;
  g.count = g.centre + M * D;
  g.own = g.count + M;
  g.term = g.own + g.B;
  g.lse = g.term + g.T * M;
  g.loss = g.lse + g.T;
  g.by_s2 = g.loss + g.T;
  *rest = g.by_s2 + g.T;
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
    g.own[n] = squared_distance(D, g.x + n*D, g.centre + (g.cluster[n] - 1) * D);
    g.s2 += g.own[n];
  }
  g.s2 = g.B > 1 ? g.s2 / (double)(g.B - 1) : 0;
  if (c->in[VARIANCE] != NULL) g.s2 = (double)*cr_reals(c->in[VARIANCE]);
  return g;
}

static bool impostor(const magnet *g, int64_t n, int64_t m) {
  return g->class[m] != g->class[g->cluster[n] - 1] &&
         (g->c->in[CENTRES] != NULL || g->count[m] > 0);
}

/* l_n; term[m] = -d_nm / (2 s2) of impostors, -inf of others, and *lse = their log-sum-exp */
static double row_loss(const magnet *g, int64_t n, double *term, double *lse) {
  double largest = -INFINITY, sum = 0;
  *lse = -INFINITY;
  if (!(g->s2 > 0)) return g->s2 == 0 ? 0 : NAN;
  for (int64_t m = 0; m < g->M; m++) {
    term[m] = impostor(g, n, m)
      ? -squared_distance(g->D, g->x + n * g->D, g->centre + m * g->D) / (2 * g->s2) : -INFINITY;
    if (term[m] > largest || isnan(term[m])) largest = term[m];
  }
  if (largest == -INFINITY) return 0;
  for (int64_t m = 0; m < g->M; m++) sum += exp(term[m] - largest);
  *lse = largest + log(sum);
  double loss = g->own[n] / (2 * g->s2) + g->alpha + *lse;
  return loss > 0 || isnan(loss) ? loss : 0;
}

/* Rows of the tile, each with its loss; in backward the terms become the coefficients of d_nm and
 * the row's own gradient is written. */
static void rows_of_tile(void *context, int64_t begin, int64_t end) {
  const magnet *g = context;
  int64_t M = g->M, D = g->D;
  for (int64_t r = begin; r < end; r++) {
    int64_t n = g->first + r;
    double *term = g->term + r * M, loss = row_loss(g, n, term, &g->lse[r]);
    g->loss[r] = loss;
    if (g->gout == NULL) continue;
    bool none = g->c->option[REDUCTION] == CR_NONE, quiet = !(loss > 0) && !isnan(loss);
    double weight = (double)g->gout[none ? n : 0] / g->divisor, inverse = 1 / (2 * g->s2);
    real *gx = g->gx != NULL ? g->gx + n * D : NULL;
    for (int64_t k = 0; gx != NULL && k < D; k++) gx[k] = 0;
    g->by_own[n] = quiet ? 0 : weight * inverse;
    g->by_s2[r] = quiet ? 0 : -weight * g->own[n] * inverse;    /* times 1 / s2, in backward */
    for (int64_t m = 0; m < M; m++) {
      double share = quiet || term[m] == -INFINITY ? 0 : weight * exp(term[m] - g->lse[r]);
      if (share != 0) g->by_s2[r] -= share * term[m];
      term[m] = share != 0 ? -share * inverse : 0;
    }
  }
}

/* to += 2 w (x - centre), or its opposite for the centre */
CR_VECTOR static void to_row(int64_t D, double w, const real *x, const double *centre, real *to) {
  for (int64_t k = 0; k < D; k++) to[k] = (real)((double)to[k] + w * ((double)x[k] - centre[k]));
}
CR_VECTOR static void to_centre(int64_t D, double w, const real *x, const double *centre,
                                double *to) {
  for (int64_t k = 0; k < D; k++) to[k] -= w * ((double)x[k] - centre[k]);
}

static void push_rows(void *context, int64_t begin, int64_t end) {
  const magnet *g = context;
  int64_t M = g->M, D = g->D;
  for (int64_t r = begin; r < end; r++)
    for (int64_t m = 0; m < M; m++)
      if (g->term[r*M + m] != 0)
        to_row(D, 2 * g->term[r*M + m], g->x + (g->first + r) * D, g->centre + m*D,
               g->gx + (g->first + r) * D);
}

static void push_centres(void *context, int64_t begin, int64_t end) {
  const magnet *g = context;
  int64_t M = g->M, D = g->D;
  for (int64_t m = begin; m < end; m++)
    for (int64_t r = 0; r < g->rows; r++)
      if (g->term[r*M + m] != 0)
        to_centre(D, 2 * g->term[r*M + m], g->x + (g->first + r) * D, g->centre + m*D,
                  g->gcentre + m*D);
}

/* The next tile: false when there is none. */
static bool next_tile(magnet *g) {
  g->first += g->rows;
  g->rows = g->B - g->first < g->T ? g->B - g->first : g->T;
  if (g->rows <= 0) return false;
  cr_pool_for(g->rows, 4, rows_of_tile, g);
  return true;
}

static void forward(cr_call *c) {
  double *rest, sum = 0;
  magnet g = start(c, c->scratch, &rest);
  int64_t active = 0;
  while (next_tile(&g))
    for (int64_t r = 0; r < g.rows; r++) {
      sum += g.loss[r];
      active += g.loss[r] > 0;
      if (c->option[REDUCTION] == CR_NONE) cr_reals(c->out[0])[g.first + r] = (real)g.loss[r];
    }
  if (c->option[REDUCTION] != CR_NONE) *cr_reals(c->out[0]) = (real)(sum / g.divisor);
  c->stat[ACTIVE] = g.B > 0 ? (double)active / (double)g.B : 0;
  c->stat[VARIANCE_STAT] = g.s2;
}

static void backward(cr_call *c) {
  double *rest, by_s2 = 0;
  magnet g = start(c, c->scratch, &rest);
  int64_t B = g.B, M = g.M, D = g.D;
  g.gout = cr_reals(c->gout[0]);
  g.gx = c->gin[EMBEDDINGS] != NULL ? cr_reals(c->gin[EMBEDDINGS]) : NULL;
  g.by_own = rest;
  g.gcentre = rest + B;
  memset(g.gcentre, 0, (size_t)(M * D) * sizeof(double));
  while (next_tile(&g)) {
    for (int64_t r = 0; r < g.rows; r++) by_s2 += g.by_s2[r];
    if (g.gx != NULL) cr_pool_for(g.rows, 4, push_rows, &g);
    cr_pool_for(M, 16, push_centres, &g);
  }
  bool through_s2 = c->in[VARIANCE] == NULL && c->option[VARIANCE_GRADIENT] != 0 && g.s2 > 0;
  double more = through_s2 ? by_s2 / g.s2 / (double)(B - 1) : 0;
  for (int64_t n = 0; n < B; n++) {
    double w = 2 * (g.by_own[n] + more);
    const real *x = g.x + n*D;
    int64_t m = g.cluster[n] - 1;
    if (w == 0) continue;
    if (g.gx != NULL) to_row(D, w, x, g.centre + m*D, g.gx + n*D);
    to_centre(D, w, x, g.centre + m*D, g.gcentre + m*D);
  }
  if (c->in[CENTRES] != NULL) {
    for (int64_t i = 0; c->gin[CENTRES] != NULL && i < M * D; i++)
      cr_reals(c->gin[CENTRES])[i] = (real)g.gcentre[i];
    return;
  }
  for (int64_t n = 0; g.gx != NULL && n < B; n++) {
    int64_t m = g.cluster[n] - 1;
    for (int64_t k = 0; k < D; k++)
      g.gx[n*D + k] = (real)((double)g.gx[n*D + k] + g.gcentre[m*D + k] / g.count[m]);
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
