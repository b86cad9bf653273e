/* n_pairs.c - N-pair loss
 *
 * From each class one pair, an anchor a_k and a positive p_k, its first two rows; the positives of
 * all other classes are the anchor's negatives. s_kj = <a_k, p_j> unless told otherwise. variant =
 *
 *   "mc"           l_k = log(1 + sum_{j != k} e^(s_kj - s_kk))
 *   "one_vs_one"   l_k = sum_{j != k} log(1 + e^(s_kj - s_kk))
 *
 * l2_reg adds l2_reg / 2 (|a_k|^2 + |p_k|^2) to each term. Sohn 2016, eq. 5 and 7. Terms are
 * classes. With references the anchor is the first row of a class and the positive its first
 * reference. A class without a pair takes no part; other rows have gradient 0.
 *
 * Cost: M^2 D for M classes, memory a tile of rows by M. */
#include <string.h>

#include "autograd/pair_loss.h"
#include "kernels/label_order.h"
#include "kernels/row_stream.h"

enum { VARIANT, L2_REG };
enum { MC, ONE_VS_ONE };

static const cr_option options[] = {
  [VARIANT] = { "variant", MC, 0, 0, "all negatives in one logarithm, or one in each", CR_CHOICE,
                "mc one_vs_one", false },
  [L2_REG]  = { "l2_reg", 0, 0, 1e6, "weight of the squared norms", CR_NUMBER, NULL, false },
  CR_PAIR_OPTIONS(CR_DOT, 0, CR_PAIR_MEAN),
  { 0 }
};

enum { SHARED = L2_REG + 1, DISTANCE = SHARED, SQUARED, NORMALIZE };

/* ---- memory ---------------------------------------------------------------------------------- */

/* All that a call needs, laid out in one block; `chosen` are row numbers of anchors, then of
 * positives. */
typedef struct work {
  int64_t B, R, D, M;
  int64_t *order, *reference_order, *spare, *chosen, *number;
  real *rows, *gradient;            /* [2 M D], anchors first */
  unsigned char *tile;
  size_t bytes;
} work;

static void lay_out(work *k, const cr_call *c, unsigned char *base) {
  bool references = c->in[CR_PAIR_REFERENCE_LABELS] != NULL;
  int64_t B = c->dim['B'], R = references ? c->dim['R'] : 0, M = k->M;
  k->B = B;
  k->R = R;
  k->D = c->dim['D'];
  k->bytes = 0;
  k->order = cr_stream_take(base, &k->bytes, B, sizeof(int64_t));
  k->reference_order = cr_stream_take(base, &k->bytes, R, sizeof(int64_t));
  k->spare = cr_stream_take(base, &k->bytes, B > R ? B : R, sizeof(int64_t));
  k->chosen = cr_stream_take(base, &k->bytes, 2 * M, sizeof(int64_t));
  k->number = cr_stream_take(base, &k->bytes, M, sizeof(int64_t));
  k->rows = cr_stream_take(base, &k->bytes, 2 * M * k->D, sizeof(real));
  k->gradient = cr_stream_take(base, &k->bytes, 2 * M * k->D, sizeof(real));
  k->tile = cr_stream_take(base, &k->bytes, 0, 1);
}

/* Finds the pairs, and writes them down where there is room; returns their number. */
static int64_t choose(const cr_call *c, work *k, bool write) {
  const int64_t *label = cr_ints(c->in[CR_PAIR_LABELS]), *other = NULL;
  int64_t M = 0;
  cr_label_order(k->B, label, k->order, k->spare);
  if (c->in[CR_PAIR_REFERENCE_LABELS] != NULL) {
    other = cr_ints(c->in[CR_PAIR_REFERENCE_LABELS]);
    cr_label_order(k->R, other, k->reference_order, k->spare);
  }
  for (int64_t i = 0, end; i < k->B; i = end) {
    int64_t own = label[k->order[i]], begin, positive = -1;
    for (end = i + 1; end < k->B && label[k->order[end]] == own; end++) { }
    if (other != NULL) {
      int64_t stop;
      cr_label_slice(k->R, other, k->reference_order, own, &begin, &stop);
      if (begin < stop) positive = k->reference_order[begin];
    } else if (end - i >= 2) {
      positive = k->order[i + 1];
    }
    if (positive < 0) continue;
    if (write) k->chosen[M] = k->order[i], k->chosen[k->M + M] = positive;
    M++;
  }
  return M;
}

static cr_tile_shape shape_of(const cr_call *c) {
  return (cr_tile_shape){
    .rows = c->dim['a'], .references = c->dim['a'], .width = c->dim['D'],
    .metric = cr_pair_metric(c), .squared = c->option[SQUARED] != 0,
    .normalize = c->option[NORMALIZE] != 0,
    .gradient = c->wants_grad, .reference_gradient = true,
  };
}

static bool check(cr_call *c, cr_error *err) {
  work k = { .M = 0 };
  if (!cr_pair_check(c, err)) return false;         /* sets saved_bytes as well */
  lay_out(&k, c, NULL);
  unsigned char *block = cr_alloc(k.bytes, err);
  if (block == NULL) return false;
  lay_out(&k, c, block);
  k.M = c->dim['a'] = choose(c, &k, false);
  cr_free(block);
  lay_out(&k, c, NULL);
  cr_tile_shape shape = shape_of(c);
  size_t unused;
  if (!cr_tile_sizes(&shape, &unused, &c->scratch_bytes, err)) return false;
  return cr_size_add(c->scratch_bytes, k.bytes, &c->scratch_bytes)
      || cr_fail(err, CR_EMEMORY, "a batch of %lld rows is too large", (long long)k.B);
}

/* ---- loss ------------------------------------------------------------------------------------ */

typedef struct settings { int variant; double l2; const work *k; } settings;

/* s = -d but for a constant that all have */
static double logit(double d, double *slope, void *context) {
  (void)context;
  *slope = -1;
  return -d;
}

static double squares(const real *x, int64_t D) {
  double sum = 0;
  for (int64_t j = 0; j < D; j++) sum += (double)x[j] * (double)x[j];
  return sum;
}

static void row_loss(const cr_row *row, void *context) {
  const settings *s = context;
  const work *k = s->k;
  if (s->variant == MC) {
    cr_lse_each_positive(row, -1, logit, NULL, cr_pair_term);
  } else {
    cr_span negatives = cr_span_negatives(row);
    int64_t own = row->begin;
    cr_pair_term(row, cr_span_log_one_plus(row->d, negatives, -1, (double)row->d[own], row->w));
    if (row->w != NULL) {
      row->w[own] = (real)cr_span_sum(row->w, negatives);
      cr_span_affine(row->w, negatives, -1, 0);
    }
  }
  const real *a = k->rows + row->i * k->D;
  if (s->l2 > 0) row->sum[CR_PAIR_LOSS] += s->l2 / 2 * (squares(a, k->D)
                                                        + squares(a + k->M * k->D, k->D));
}

/* From the chosen rows to all. */
static void spread(const work *k, double l2, real *saved) {
  memset(saved, 0, (size_t)((k->B + k->R) * k->D) * sizeof *saved);
  for (int64_t i = 0; i < 2 * k->M; i++) {
    bool of_reference = k->R > 0 && i >= k->M;
    real *to = saved + (k->chosen[i] + (of_reference ? k->B : 0)) * k->D;
    const real *g = k->gradient + i * k->D, *x = k->rows + i * k->D;
    for (int64_t j = 0; j < k->D; j++) to[j] = g[j] + (real)l2 * x[j];
  }
}

static void gather(const cr_call *c, work *k) {
  const real *x = cr_reals(c->in[CR_PAIR_EMBEDDINGS]);
  const real *y = k->R > 0 ? cr_reals(c->in[CR_PAIR_REFERENCES]) : x;
  k->M = c->dim['a'];
  choose(c, k, true);
  for (int64_t i = 0; i < 2 * k->M; i++)
    memcpy(k->rows + i * k->D, (i < k->M ? x : y) + k->chosen[i] * k->D,
           (size_t)k->D * sizeof(real));
  for (int64_t i = 0; i < k->M; i++) k->number[i] = i;
}

static void forward(cr_call *c) {
  work k = { .M = c->dim['a'] };
  settings s = { (int)c->option[VARIANT], c->option[L2_REG], &k };
  cr_tile_shape shape = shape_of(c);
  cr_tile t;
  double sum[CR_ROW_SUMS];
  lay_out(&k, c, c->scratch);
  gather(c, &k);
  cr_tile_start(&t, &shape, k.rows, k.number, k.M > 0 ? k.rows + k.M * k.D : NULL, k.number,
                k.tile);
  cr_tile_pass(&t, row_loss, &s, c->wants_grad, sum);
  double scale = cr_pair_scale(c, sum);
  cr_pair_finish_into(c, &t, k.gradient, scale, scale * sum[CR_PAIR_LOSS], sum);
  if (c->wants_grad) spread(&k, scale * s.l2, c->saved);
}

const cr_op cr_loss_n_pairs = {
  .name = "n_pairs", .help = "one pair of each class: its own positive among those of all classes",
  .formula = "mc: mean over classes of log(1 + sum_{j != k} e^(s_kj - s_kk)); "
             "one_vs_one: sum_{j != k} log(1 + e^(s_kj - s_kk))",
  .paper = "Sohn, \"Improved deep metric learning with multi-class N-pair loss objective\", NIPS "
           "2016, eq. 5 and 7",
  .differs = "pytorch-metric-learning normalises rows by default, which keeps the loss above "
             "log(1 + (M - 1) / e^2); here normalize = true does that",
  .inputs = cr_pair_loss_inputs, .options = options, .stats = cr_pair_loss_stats,
  .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = cr_pair_backward,
};
