/* proxy_anchor.c - every proxy is an anchor: pulled at by its class, pushed by all others
 *
 *   L = 1/|C+| sum_{c in C+} log(1 + sum_{i: y_i = c}  exp(alpha (margin - s_ic)))
 *     + 1/C    sum_c         log(1 + sum_{i: y_i != c} exp(alpha (s_ic + margin)))
 *
 * C+ are the classes present in the batch; s is the cosine, or the inner product. With a distance d
 * the exponents are alpha (d - margin) and alpha (-d - margin).
 *
 * embeddings [B D], labels [B] class numbers from 1, weights [C D], item_weights? [B]: weight - 1
 * is added to the exponents of a row, as other libraries do with what a miner counts.
 *
 *   reduction = "mean"   as above;  "sum": without the two divisors;
 *               "none"   [2 C]: the positive and the negative terms by class
 *
 * The tile engine (kernels/tile_loss.h) runs over the proxies, with the embeddings as their
 * references, so each sum is of one row: cost B C D, memory a tile of proxies by B. An empty batch
 * has loss 0. */
#include <math.h>
#include <string.h>
#include <tgmath.h>

#include "autograd/term_loss.h"
#include "kernels/row_softmax.h"
#include "kernels/tile_loss.h"

enum { EMBEDDINGS, LABELS, WEIGHTS, ITEM_WEIGHTS };
enum { MARGIN, ALPHA, DISTANCE, SQUARED, NORMALIZE, REDUCTION };
enum { POSITIVE_DISTANCE, NEGATIVE_DISTANCE, CLASSES };

static const cr_input inputs[] = {
  [EMBEDDINGS]   = { "embeddings",   "B D", CR_TREAL, 0 },
  [LABELS]       = { "labels",       "B",   CR_TINT,  CR_NOGRAD },
  [WEIGHTS]      = { "weights",      "C D", CR_TREAL, 0 },
  [ITEM_WEIGHTS] = { "item_weights", "B",   CR_TREAL, CR_OPTIONAL | CR_NOGRAD },
  { 0 }
};

static const cr_output outputs[] = { { "loss", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [MARGIN]    = { "margin", 0.1, -1e30, 1e30, "delta of the formula", CR_NUMBER, NULL, false },
  [ALPHA]     = { "alpha", 32, 0, 1e6, "what similarities are multiplied by", CR_NUMBER, NULL,
                  false },
  [DISTANCE]  = { "distance", CR_COSINE, 0, 0, "by what nearness is measured", CR_CHOICE,
                  CR_METRIC_NAMES, false },
  [SQUARED]   = { "squared", 0, 0, 1, "squared distances; not of cosine and dot", CR_FLAG, NULL,
                  false },
  [NORMALIZE] = { "normalize", 1, 0, 1, "divide embeddings and weights by their norm first",
                  CR_FLAG, NULL, false },
  [REDUCTION] = CR_REDUCTION_OPTION,
  { 0 }
};

static const char *const stats[] = {
  [POSITIVE_DISTANCE] = "positive_distance",  /* means over rows and the weights of their class */
  [NEGATIVE_DISTANCE] = "negative_distance",  /* ... of the other classes */
  [CLASSES] = "classes",                      /* how many the batch holds */
  NULL
};

static bool is_none(const cr_call *c) { return c->option[REDUCTION] == CR_NONE; }

static bool is_similarity(const cr_call *c) {
  return c->option[DISTANCE] == CR_COSINE || c->option[DISTANCE] == CR_DOT;
}

static cr_tile_shape shape_of(const cr_call *c, bool gradient) {
  return (cr_tile_shape){
    .rows = c->dim['C'], .width = c->dim['D'], .references = c->dim['B'],
    .metric = (cr_metric)c->option[DISTANCE], .squared = c->option[SQUARED] != 0,
    .normalize = c->option[NORMALIZE] != 0, .gradient = gradient,
    .reference_gradient = c->want[EMBEDDINGS],
    .row_scratch_bytes = (size_t)c->dim['B'] * sizeof(real),
  };
}

typedef struct term { double positive, negative; } term;      /* of a class */

static size_t aligned(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

/* what comes after the engine's scratch: terms, and class numbers */
static size_t own_bytes(const cr_call *c) {
  return aligned((size_t)c->dim['C'] * (sizeof(term) + sizeof(int64_t)));
}

static size_t gradient_bytes(const cr_call *c) {
  return (size_t)((c->dim['B'] + c->dim['C']) * c->dim['D']) * sizeof(real);
}

static bool check(cr_call *c, cr_error *err) {
  int64_t B = c->dim['B'], C = c->dim['C'];
  const int64_t *label = cr_ints(c->in[LABELS]);
  if (C < 1) return cr_fail(err, CR_ESHAPE, "weights must have a row or more, got none");
  if (c->option[SQUARED] != 0 && is_similarity(c))
    return cr_fail(err, CR_EVALUE,
                   "squared is for distance = \"euclidean\" or \"manhattan\", got \"%s\"",
                   c->option[DISTANCE] == CR_DOT ? "dot" : "cosine");
  for (int64_t i = 0; i < B; i++)
    if (label[i] < 1 || label[i] > C)
      return cr_fail(err, CR_EVALUE,
                     "labels are class numbers from 1 to %lld, got %lld in row %lld", (long long)C,
                     (long long)label[i], (long long)i + 1);
  cr_tile_shape shape = shape_of(c, c->wants_grad && !is_none(c));
  size_t kept = 0;
  if (!cr_tile_sizes(&shape, &c->saved_bytes, &c->scratch_bytes, err)) return false;
  c->scratch_bytes = aligned(c->scratch_bytes) + own_bytes(c);
  if (c->wants_grad && is_none(c)) {
    shape.gradient = true;
    if (!cr_tile_sizes(&shape, &kept, &c->backward_scratch_bytes, err)) return false;
    c->backward_scratch_bytes = aligned(c->backward_scratch_bytes) + own_bytes(c) +
                                gradient_bytes(c);
  }
  int64_t two[] = { 2, C };
  cr_out_shape(c, 0, is_none(c) ? 2 : 0, two);
  return true;
}

/* ---- one proxy ------------------------------------------------------------------------------- */

typedef struct job {
  const cr_call *c;
  const real *gout;             /* reduction none, in backward: [2 C] */
  double positive_by, negative_by;
  term *terms;
} job;

CR_VECTOR static real exponents(int64_t n, const real *restrict d, real a, real b, real largest,
                                real *restrict v) {
  for (int64_t i = 0; i < n; i++) v[i] = a * d[i] + b;
  for (int64_t i = 0; i < n; i++) largest = v[i] > largest ? v[i] : largest;
  return largest;
}

/* v = a d + b + weight - 1 in columns begin .. end-1; returns the largest, or `largest` */
static real slice(const job *j, const cr_row *row, int64_t begin, int64_t end, double a, double b,
                  real largest) {
  real *v = (real *)row->scratch + begin;
  const int64_t *order = row->tile->reference_order + begin;
  const cr_tensor *weight = j->c->in[ITEM_WEIGHTS];
  real most = exponents(end - begin, row->d + begin, (real)a, (real)b, largest, v);
  if (weight == NULL) return most;
  for (int64_t i = 0; i < end - begin; i++) {
    v[i] += cr_reals(weight)[order[i]] - 1;
    largest = v[i] > largest ? v[i] : largest;
  }
  return largest;
}

/* v = e^(v - largest); returns the sum */
static double exponentials(const cr_row *row, int64_t begin, int64_t end, real largest) {
  real *v = (real *)row->scratch + begin;
  return cr_kernel_row_exp(v, end - begin, largest, v);
}

CR_VECTOR static void scaled(int64_t n, real by, const real *restrict v, real *restrict w) {
  for (int64_t i = 0; i < n; i++) w[i] = by * v[i];
}

static void weigh(const cr_row *row, int64_t begin, int64_t end, double by) {
  if (row->w != NULL)
    scaled(end - begin, (real)by, (const real *)row->scratch + begin, row->w + begin);
}

/* log(1 + e^largest sum) */
static double log_one_plus(double sum, double largest) {
  return largest > 0 ? largest + log(sum + exp(-largest)) : log1p(sum);
}

static void do_row(const cr_row *row, void *context) {
  const job *j = context;
  const cr_call *c = j->c;
  double alpha = c->option[ALPHA], margin = c->option[MARGIN];
  double one = c->option[DISTANCE] == CR_COSINE;
  double pull = is_similarity(c) ? margin - one : -margin;
  double push = is_similarity(c) ? margin + one : -margin;
  int64_t begin = row->begin, end = row->end, n = row->columns, k = row->tile->order[row->i];
  double positive_by = j->gout ? (double)j->gout[k] : j->positive_by;
  double negative_by = j->gout ? (double)j->gout[c->dim['C'] + k] : j->negative_by;

  real most = slice(j, row, begin, end, alpha, alpha * pull, 0);
  double sum = exponentials(row, begin, end, most), one_plus = sum + exp(-(double)most);
  j->terms[k].positive = log_one_plus(sum, (double)most);
  weigh(row, begin, end, alpha * positive_by / one_plus);

  most = slice(j, row, 0, begin, -alpha, alpha * push, 0);
  most = slice(j, row, end, n, -alpha, alpha * push, most);
  sum = exponentials(row, 0, begin, most) + exponentials(row, end, n, most);
  one_plus = sum + exp(-(double)most);
  j->terms[k].negative = log_one_plus(sum, (double)most);
  weigh(row, 0, begin, -alpha * negative_by / one_plus);
  weigh(row, end, n, -alpha * negative_by / one_plus);
}

/* ---- call ------------------------------------------------------------------------------------ */

/* The terms of all classes, and the gradient, [C D] and then [B D], into saved where wanted. */
static void walk(job *j, cr_tile *t, const cr_tile_shape *shape, void *scratch, size_t engine_bytes,
                 real *saved) {
  const cr_call *c = j->c;
  int64_t C = c->dim['C'];
  double sum[CR_ROW_SUMS];
  j->terms = (term *)(void *)((unsigned char *)scratch + engine_bytes);
  int64_t *label = (int64_t *)(void *)(j->terms + C);
  for (int64_t k = 0; k < C; k++) {
    j->terms[k] = (term){ NAN, NAN };
    label[k] = k + 1;
  }
  cr_tile_start(t, shape, cr_reals(c->in[WEIGHTS]), label, cr_reals(c->in[EMBEDDINGS]),
                cr_ints(c->in[LABELS]), scratch);
  cr_tile_pass(t, do_row, j, shape->gradient, sum);
  cr_tile_gradient(t, 1, saved);
}

/* classes in the batch; flag: a byte for each class */
static int64_t classes_present(const cr_call *c, unsigned char *flag) {
  int64_t B = c->dim['B'], C = c->dim['C'], n = 0;
  const int64_t *label = cr_ints(c->in[LABELS]);
  memset(flag, 0, (size_t)C);
  for (int64_t i = 0; i < B; i++) {
    n += !flag[label[i] - 1];
    flag[label[i] - 1] = 1;
  }
  return n;
}

static void forward(cr_call *c) {
  int64_t C = c->dim['C'], present = classes_present(c, c->scratch);
  bool mean = c->option[REDUCTION] == CR_MEAN;
  job j = { .c = c, .positive_by = mean ? cr_ratio(1, (double)present) : 1,
            .negative_by = mean ? 1 / (double)C : 1 };
  cr_tile t = { 0 };
  real *out = cr_reals(c->out[0]);
  c->stat[POSITIVE_DISTANCE] = c->stat[NEGATIVE_DISTANCE] = c->stat[CLASSES] = 0;
  if (c->dim['B'] == 0) {
    memset(out, 0, (size_t)(is_none(c) ? 2 * C : 1) * sizeof *out);
    return;
  }
  cr_tile_shape shape = shape_of(c, c->wants_grad && !is_none(c));
  walk(&j, &t, &shape, c->scratch, c->scratch_bytes - own_bytes(c), c->saved);
  double positive = 0, negative = 0;
  for (int64_t k = 0; k < C; k++) {
    positive += j.terms[k].positive;
    negative += j.terms[k].negative;
    if (is_none(c)) {
      out[k] = (real)j.terms[k].positive;
      out[C + k] = (real)j.terms[k].negative;
    }
  }
  if (!is_none(c)) *out = (real)(j.positive_by * positive + j.negative_by * negative);
  c->stat[POSITIVE_DISTANCE] = cr_ratio(t.positive_distance, (double)t.positive_pairs);
  c->stat[NEGATIVE_DISTANCE] = cr_ratio(t.negative_distance, (double)t.negative_pairs);
  c->stat[CLASSES] = (double)present;
}

static void backward(cr_call *c) {
  cr_tile_shape shape = shape_of(c, true);
  real *saved = c->saved, *gw = c->gin[WEIGHTS] ? cr_reals(c->gin[WEIGHTS]) : NULL;
  double gout = 1;
  if (c->dim['B'] == 0) {
    if (gw != NULL) memset(gw, 0, (size_t)(c->dim['C'] * c->dim['D']) * sizeof *gw);
    return;
  }
  if (is_none(c)) {
    job j = { .c = c, .gout = cr_reals(c->gout[0]) };
    cr_tile t;
    size_t engine = c->backward_scratch_bytes - gradient_bytes(c) - own_bytes(c);
    saved = (real *)(void *)((unsigned char *)c->scratch + engine + own_bytes(c));
    walk(&j, &t, &shape, c->scratch, engine, saved);
  } else {
    gout = (double)*cr_reals(c->gout[0]);
  }
  cr_tile_backward(&shape, saved, gout, gw,
                   c->gin[EMBEDDINGS] != NULL ? cr_reals(c->gin[EMBEDDINGS]) : NULL);
}

const cr_op cr_loss_proxy_anchor = {
  .name = "proxy_anchor",
  .help = "every proxy is pulled at by the embeddings of its class and pushed by all others",
  .formula = "mean over classes present of log(1 + sum_pos exp(alpha (margin - s))) + mean over "
             "all of log(1 + sum_neg exp(alpha (s + margin)))",
  .paper = "Kim, Kim, Cho, Kwak, \"Proxy anchor loss for deep metric learning\", CVPR 2020, eq. 4",
  .inputs = inputs, .outputs = outputs, .options = options, .stats = stats,
  .check = check, .forward = forward, .backward = backward,
};
