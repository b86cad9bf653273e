/* class_loss.c - see class_loss.h */
#include "autograd/class_loss.h"

#include <math.h>
#include <string.h>
#include <tgmath.h>

#include "kernels/row_softmax.h"

enum { EMBEDDINGS, LABELS, WEIGHTS, ITEM_WEIGHTS };
enum { ACCURACY, POSITIVE_DISTANCE, NEGATIVE_DISTANCE };
enum { RIGHT };                 /* row sums */

const cr_input cr_class_inputs[] = {
  [EMBEDDINGS]   = { "embeddings",   "B D", CR_TREAL, 0 },
  [LABELS]       = { "labels",       "B",   CR_TINT,  CR_NOGRAD },
  [WEIGHTS]      = { "weights",      "C D", CR_TREAL, 0 },
  [ITEM_WEIGHTS] = { "item_weights", "B",   CR_TREAL, CR_OPTIONAL | CR_NOGRAD },
  { 0 }
};

const cr_output cr_class_outputs[] = { { "loss", NULL, CR_TREAL }, { 0 } };

const char *const cr_class_stats[] = {
  /* share of rows whose most similar class is the label's, without the margin */
  [ACCURACY] = "accuracy",
  [POSITIVE_DISTANCE] = "positive_distance",  /* means over rows and the weights of their class */
  [NEGATIVE_DISTANCE] = "negative_distance",  /* ... of the other classes */
  NULL
};

/* ---- targets --------------------------------------------------------------------------------- */

double cr_class_minus(double s, double margin, double *slope) {
  *slope = 1;
  return s - margin;
}

/* cos(theta + m) = s cos m - sqrt(1 - s^2) sin m. At s = 1 and -1 the angle has no direction to
 * change in, and that part of the slope, infinite otherwise, is taken as 0. */
double cr_class_angle(double s, double margin, double *slope) {
  s = s > 1 ? 1 : s < -1 ? -1 : s;
  double sine = sqrt((1 - s) * (1 + s));
  *slope = 1;
  if (acos(s) > M_PI - margin) return s - margin * sin(margin);
  *slope = cos(margin) + (sine > 0 ? s / sine * sin(margin) : 0);
  return s * cos(margin) - sine * sin(margin);
}

/* cos(m theta) and its slope by s are the polynomials T_m(s) and m U_{m-1}(s): no angle, no
 * infinite slope */
double cr_class_multiple(double s, double m, double *slope) {
  s = s > 1 ? 1 : s < -1 ? -1 : s;
  double t[2] = { 1, s }, u[2] = { 0, 1 };    /* T_0 T_1, U_-1 U_0 */
  for (int n = 1; n < (int)m; n++) {
    double next_t = 2 * s * t[1] - t[0], next_u = 2 * s * u[1] - u[0];
    t[0] = t[1], t[1] = next_t;
    u[0] = u[1], u[1] = next_u;
  }
  double k = floor(m * acos(s) / M_PI), sign = fmod(k, 2) == 0 ? 1 : -1;
  *slope = sign * m * u[1];
  return sign * t[1] - 2 * k;
}

/* ---- loops over a row ------------------------------------------------------------------------ */

/* v = a (offset - d) */
CR_VECTOR static void similarities(int64_t n, const real *restrict d, real a, real offset,
                                   real *restrict v) {
  for (int64_t c = 0; c < n; c++) v[c] = a * (offset - d[c]);
}

/* w may be e */
CR_VECTOR static void scaled(int64_t n, const real *e, real by, real *w) {
  for (int64_t c = 0; c < n; c++) w[c] = by * e[c];
}

/* sum e (offset - d) */
CR_VECTOR static double mean_of(int64_t n, const real *restrict e, const real *restrict d,
                                real offset) {
  double lane[16] = { 0 }, sum = 0;
  int64_t c = 0;
  for (; c + 16 <= n; c += 16)
    for (int l = 0; l < 16; l++) lane[l] += (double)(e[c + l] * (offset - d[c + l]));
  for (; c < n; c++) sum += (double)(e[c] * (offset - d[c]));
  for (int l = 0; l < 16; l++) sum += lane[l];
  return sum;
}

CR_VECTOR static real largest_of(int64_t n, const real *v) {
  real lane[16], most = -INFINITY;
  for (int l = 0; l < 16; l++) lane[l] = -INFINITY;
  int64_t c = 0;
  for (; c + 16 <= n; c += 16)
    for (int l = 0; l < 16; l++) lane[l] = v[c + l] > lane[l] ? v[c + l] : lane[l];
  for (; c < n; c++) most = v[c] > most ? v[c] : most;
  for (int l = 0; l < 16; l++) most = lane[l] > most ? lane[l] : most;
  return most;
}

CR_VECTOR static double square_sum(int64_t n, const real *x) {
  double lane[8] = { 0 }, sum = 0;
  int64_t k = 0;
  for (; k + 8 <= n; k += 8)
    for (int l = 0; l < 8; l++) lane[l] += (double)x[k + l] * (double)x[k + l];
  for (; k < n; k++) sum += (double)x[k] * (double)x[k];
  for (int l = 0; l < 8; l++) sum += lane[l];
  return sum;
}

static real offset_of(const cr_class_settings *s) { return s->metric == CR_COSINE ? 1 : 0; }

/* ---- pooling the rows of a class ------------------------------------------------------------- */

static int64_t nearest(int64_t n, const real *d) {
  int64_t near = 0;
  for (int64_t k = 1; k < n; k++)
    if (d[k] < d[near]) near = k;
  return near;
}

/* e = (least d of the class - d) / gamma */
CR_VECTOR static void below_nearest(int64_t classes, int64_t K, const real *restrict d, real by,
                                    real *restrict e) {
  for (int64_t c = 0; c < classes; c++) {
    real least = d[c * K];
    for (int64_t k = 1; k < K; k++) least = d[c * K + k] < least ? d[c * K + k] : least;
    for (int64_t k = 0; k < K; k++) e[c * K + k] = by * (least - d[c * K + k]);
  }
}

/* e becomes shares that sum to 1 in each class; pooled = sum share (offset - d) */
CR_VECTOR static void shares(int64_t classes, int64_t K, const real *restrict d, real offset,
                             real *restrict e, real *restrict pooled) {
  for (int64_t c = 0; c < classes; c++) {
    real sum = 0, value = 0;
    for (int64_t k = 0; k < K; k++) sum += e[c * K + k];
    for (int64_t k = 0; k < K; k++) e[c * K + k] *= 1 / sum;
    for (int64_t k = 0; k < K; k++) value += e[c * K + k] * (offset - d[c * K + k]);
    pooled[c] = value;
  }
}

static void pool(cr_class_row *r) {
  const cr_class_settings *s = r->settings;
  const real *d = r->row->d;
  int64_t n = r->classes, K = s->centers;
  real offset = offset_of(s);
  if (s->pool == CR_POOL_MAX) {
    for (int64_t c = 0; c < n; c++) r->pooled[c] = offset - d[c * K + nearest(K, d + c * K)];
    return;
  }
  below_nearest(n, K, d, (real)(1 / s->gamma), r->share);
  cr_kernel_row_exp(r->share, n * K, 0, r->share);
  shares(n, K, d, offset, r->share, r->pooled);
}

/* w from g, the derivative by minus the pooled similarity of each class */
CR_VECTOR static void unpool_soft(int64_t classes, int64_t K, const real *restrict d, real offset,
                                  real by, const real *restrict share,
                                  const real *restrict pooled, const real *restrict g,
                                  real *restrict w) {
  for (int64_t c = 0; c < classes; c++) {
    real base = 1 + by * (offset - pooled[c]);
    for (int64_t k = c * K; k < c * K + K; k++) w[k] = g[c] * share[k] * (base - by * d[k]);
  }
}

static void unpool(const cr_class_row *r, const real *g) {
  const cr_class_settings *s = r->settings;
  const real *d = r->row->d;
  real *w = r->row->w;
  int64_t n = r->classes, K = s->centers;
  if (s->pool == CR_POOL_SOFT) {
    unpool_soft(n, K, d, offset_of(s), (real)(1 / s->gamma), r->share, r->pooled, g, w);
    return;
  }
  memset(w, 0, (size_t)(n * K) * sizeof *w);
  for (int64_t c = 0; c < n; c++) w[c * K + nearest(K, d + c * K)] = g[c];
}

/* ---- softmax row ----------------------------------------------------------------------------- */

void cr_class_softmax(cr_class_row *r) {
  const cr_class_settings *s = r->settings;
  const real *d = r->row->d;
  real *v = r->v, *w = r->row->w, offset = offset_of(s);
  int64_t n = r->classes, y = r->target;
  bool one = s->pool == CR_POOL_ONE;
  double a = s->norm == CR_NORM_EMBEDDING ? s->scale * r->norm : s->scale;
  double unit = s->norm == CR_NORM_BOTH ? r->norm * r->target_norm : 1;
  double slope = 1;

  if (!one) pool(r);
  if (one) similarities(n, d, (real)a, offset, v);
  else scaled(n, r->pooled, (real)a, v);
  double own = (double)(one ? offset - d[y] : r->pooled[y]);
  double cosine = unit > 0 ? own / unit : 0;
  double hard = s->target != NULL ? s->target(cosine, s->margin, &slope) : cosine;

  /* the largest logit without and with the target's */
  real easy = v[y];
  v[y] = -INFINITY;
  real largest = largest_of(n, v);
  r->right = easy >= largest;
  v[y] = (real)(a * unit * hard);
  if (v[y] > largest) largest = v[y];
  double gap = (double)(largest - v[y]);
  double sum = cr_kernel_row_exp(v, n, largest, v);
  r->loss = log(sum) + gap;
  if (w == NULL) return;
  if (s->norm != CR_NORM_NONE && r->norm == 0) {
    memset(w, 0, (size_t)r->row->columns * sizeof *w);
    return;
  }

  /* dL/du is e_c / sum, and for the target minus what the others have */
  double q = r->by / sum, pull = -(sum - (double)v[y]) * q;
  if (s->norm == CR_NORM_EMBEDDING) {
    v[y] = 0;
    r->along = s->scale * (q * mean_of(n, v, d, offset) + pull * hard);
  } else if (s->norm == CR_NORM_BOTH) {
    double turn = pull * s->scale * (hard - cosine * slope);
    r->along = turn * r->target_norm;
    r->target_along = turn * r->norm;
  }
  real *g = one ? w : v;
  scaled(n, v, (real)(-a * q), g);
  g[y] = (real)(-a * slope * pull);
  if (!one) unpool(r, g);
}

/* ---- call ------------------------------------------------------------------------------------ */

typedef struct item { double loss, along, target_along, norm, target_norm; } item;

static int64_t centers_of(const cr_class_settings *s) { return s->centers > 1 ? s->centers : 1; }

static bool in_backward(const cr_class_settings *s) { return s->reduction == CR_NONE; }

/* what a row needs: logits; with pooling also similarities, and a share for each row of weights */
static size_t row_numbers(const cr_call *c, const cr_class_settings *s) {
  int64_t rows = c->dim['C'], classes = rows / centers_of(s);
  return (size_t)(s->pool == CR_POOL_ONE ? classes : 2 * classes + rows);
}

static cr_tile_shape shape_of(const cr_call *c, const cr_class_settings *s, bool gradient) {
  return (cr_tile_shape){
    .rows = c->dim['B'], .width = c->dim['D'], .references = c->dim['C'],
    .metric = s->metric, .squared = s->squared, .normalize = s->normalize,
    .gradient = gradient, .reference_gradient = c->want[WEIGHTS],
    .row_scratch_bytes = row_numbers(c, s) * sizeof(real),
  };
}

/* What comes after the engine's scratch: an item a row; a label and a number for each row of
 * weights. */
static size_t own_bytes(const cr_call *c) {
  return (size_t)c->dim['B'] * sizeof(item) +
         (size_t)c->dim['C'] * (sizeof(int64_t) + sizeof(double));
}

static size_t gradient_bytes(const cr_call *c) {
  return (size_t)((c->dim['B'] + c->dim['C']) * c->dim['D']) * sizeof(real);
}

/* 64 is the alignment of everything in a scratch */
static size_t aligned(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

bool cr_class_check(cr_call *c, const cr_class_settings *s, cr_error *err) {
  int64_t B = c->dim['B'], rows = c->dim['C'], centers = centers_of(s), classes = rows / centers;
  const int64_t *label = cr_ints(c->in[LABELS]);
  if (rows < 1) return cr_fail(err, CR_ESHAPE, "weights must have a row or more, got none");
  if (rows % centers != 0)
    return cr_fail(err, CR_ESHAPE, "weights must have %lld rows for each class, got %lld rows",
                   (long long)centers, (long long)rows);
  if (s->squared && (s->metric == CR_COSINE || s->metric == CR_DOT))
    return cr_fail(err, CR_EVALUE,
                   "squared is for distance = \"euclidean\" or \"manhattan\", got \"%s\"",
                   s->metric == CR_DOT ? "dot" : "cosine");
  for (int64_t i = 0; i < B; i++)
    if (label[i] < 1 || label[i] > classes)
      return cr_fail(err, CR_EVALUE,
                     "labels are class numbers from 1 to %lld, got %lld in row %lld",
                     (long long)classes, (long long)label[i], (long long)i + 1);
  cr_tile_shape shape = shape_of(c, s, c->wants_grad && !in_backward(s));
  size_t kept = 0;
  if (!cr_tile_sizes(&shape, &c->saved_bytes, &c->scratch_bytes, err)) return false;
  c->scratch_bytes = aligned(c->scratch_bytes) + own_bytes(c);
  if (c->wants_grad && in_backward(s)) {
    shape.gradient = true;
    if (!cr_tile_sizes(&shape, &kept, &c->backward_scratch_bytes, err)) return false;
    c->backward_scratch_bytes = aligned(c->backward_scratch_bytes) + aligned(own_bytes(c)) +
                                gradient_bytes(c);
  }
  cr_out_shape(c, 0, s->reduction == CR_NONE ? 1 : 0, &B);
  return true;
}

/* One walk over the batch. */
typedef struct job {
  const cr_call *c;
  const cr_class_settings *settings;
  const real *gout;           /* reduction none, in backward: a number for each row; else NULL */
  double divisor;
  item *items;
} job;

static double item_weight(const cr_call *c, int64_t i) {
  return c->in[ITEM_WEIGHTS] != NULL ? (double)cr_reals(c->in[ITEM_WEIGHTS])[i] : 1;
}

static void do_row(const cr_row *row, void *context) {
  const job *j = context;
  const cr_call *c = j->c;
  const cr_class_settings *s = j->settings;
  int64_t i = row->tile->order[row->i], D = c->dim['D'];
  int64_t classes = c->dim['C'] / s->centers;
  real *v = row->scratch;
  cr_class_row r = { .settings = s, .row = row, .v = v, .pooled = v + classes,
                     .share = v + 2 * classes, .classes = classes,
                     .target = cr_ints(c->in[LABELS])[i] - 1,
                     .by = item_weight(c, i) / j->divisor * (j->gout ? (double)j->gout[i] : 1) };
  if (s->norm != CR_NORM_NONE) r.norm = sqrt(square_sum(D, cr_reals(c->in[EMBEDDINGS]) + i * D));
  if (s->norm == CR_NORM_BOTH)
    r.target_norm = sqrt(square_sum(D, cr_reals(c->in[WEIGHTS]) + r.target * D));
  s->row(&r);
  row->sum[RIGHT] += r.right;
  j->items[i] = (item){ r.loss, r.along, r.target_along, r.norm, r.target_norm };
}

CR_VECTOR static void add_row(int64_t n, real by, const real *restrict x, real *restrict g) {
  for (int64_t k = 0; k < n; k++) g[k] += by * x[k];
}

/* What lengths add to the gradient: along the embedding itself, and along the weights of its
 * class. */
static void add_lengths(const job *j, double *by_class, real *gx, real *gw) {
  const cr_call *c = j->c;
  int64_t B = c->dim['B'], C = c->dim['C'], D = c->dim['D'];
  for (int64_t i = 0; i < B; i++)
    if (j->items[i].norm > 0)
      add_row(D, (real)(j->items[i].along / j->items[i].norm),
              cr_reals(c->in[EMBEDDINGS]) + i * D, gx + i * D);
  if (j->settings->norm != CR_NORM_BOTH || !c->want[WEIGHTS]) return;
  memset(by_class, 0, (size_t)C * sizeof *by_class);
  for (int64_t i = 0; i < B; i++)
    if (j->items[i].target_norm > 0)
      by_class[cr_ints(c->in[LABELS])[i] - 1] += j->items[i].target_along / j->items[i].target_norm;
  for (int64_t k = 0; k < C; k++)
    if (by_class[k] != 0)
      add_row(D, (real)by_class[k], cr_reals(c->in[WEIGHTS]) + k * D, gw + k * D);
}

/* Losses into items, and the gradient, if wanted, into saved; returns the row sums. */
static void walk(job *j, cr_tile *t, const cr_tile_shape *shape, void *scratch, size_t engine_bytes,
                 real *saved, double sum[CR_ROW_SUMS]) {
  const cr_call *c = j->c;
  int64_t B = c->dim['B'], C = c->dim['C'], D = c->dim['D'];
  j->items = (item *)(void *)((unsigned char *)scratch + engine_bytes);
  int64_t *label = (int64_t *)(void *)(j->items + B);
  double *by_class = (double *)(void *)(label + C);
  for (int64_t i = 0; i < B; i++) j->items[i] = (item){ .loss = NAN };
  for (int64_t k = 0; k < C; k++) label[k] = 1 + k / j->settings->centers;
  cr_tile_start(t, shape, cr_reals(c->in[EMBEDDINGS]), cr_ints(c->in[LABELS]),
                cr_reals(c->in[WEIGHTS]), label, scratch);
  cr_tile_pass(t, do_row, j, shape->gradient, sum);
  if (!shape->gradient) return;
  cr_tile_gradient(t, 1, saved);
  if (j->settings->norm != CR_NORM_NONE) add_lengths(j, by_class, saved, saved + B * D);
}

/* a call's settings with centers never 0 */
static cr_class_settings complete(const cr_class_settings *s) {
  cr_class_settings full = *s;
  full.centers = centers_of(s);
  return full;
}

void cr_class_forward(cr_call *c, const cr_class_settings *given) {
  cr_class_settings s = complete(given);
  int64_t B = c->dim['B'];
  cr_tile_shape shape = shape_of(c, &s, c->wants_grad && !in_backward(&s));
  job j = { .c = c, .settings = &s, .divisor = s.reduction == CR_MEAN && B > 0 ? (double)B : 1 };
  cr_tile t;
  double sum[CR_ROW_SUMS], total = 0;
  walk(&j, &t, &shape, c->scratch, c->scratch_bytes - own_bytes(c), c->saved, sum);
  for (int64_t i = 0; i < B; i++) {
    double loss = item_weight(c, i) * j.items[i].loss;
    total += loss;
    if (s.reduction == CR_NONE) cr_reals(c->out[0])[i] = (real)loss;
  }
  if (s.reduction != CR_NONE) *cr_reals(c->out[0]) = (real)(total / j.divisor);
  c->stat[ACCURACY] = cr_ratio(sum[RIGHT], (double)B);
  c->stat[POSITIVE_DISTANCE] = cr_ratio(t.positive_distance, (double)t.positive_pairs);
  c->stat[NEGATIVE_DISTANCE] = cr_ratio(t.negative_distance, (double)t.negative_pairs);
}

void cr_class_backward(cr_call *c, const cr_class_settings *given) {
  cr_class_settings s = complete(given);
  cr_tile_shape shape = shape_of(c, &s, true);
  real *saved = c->saved;
  double gout = 1;
  if (in_backward(&s)) {
    job j = { .c = c, .settings = &s, .divisor = 1, .gout = cr_reals(c->gout[0]) };
    cr_tile t;
    double sum[CR_ROW_SUMS];
    size_t engine = c->backward_scratch_bytes - gradient_bytes(c) - aligned(own_bytes(c));
    saved = (real *)(void *)((unsigned char *)c->scratch + engine + aligned(own_bytes(c)));
    walk(&j, &t, &shape, c->scratch, engine, saved, sum);
  } else {
    gout = (double)*cr_reals(c->gout[0]);
  }
  cr_tile_backward(&shape, saved, gout,
                   c->gin[EMBEDDINGS] != NULL ? cr_reals(c->gin[EMBEDDINGS]) : NULL,
                   c->gin[WEIGHTS] != NULL ? cr_reals(c->gin[WEIGHTS]) : NULL);
}
