/* k_reciprocal.c - the k-reciprocal neighbourhood of every row, for re-ranking
 *
 *   index, weight = crun.metrics.k_reciprocal(embeddings)     embeddings: queries, then references
 *   crun.metrics.retrieval(z, labels, nil, nil, index, weight)  ranks by the mixed distance
 *
 * R(i) holds the rows among whose k1 nearest i is, of the k1 nearest of i (i itself among them). A
 * member's own set, with k1 / 2, is added when more than 2/3 of it lie in R(i). Weights are
 * exp(-d / largest d of the row), made to sum to 1, then averaged over the k2 nearest rows. A row's
 * weights are listed by number (from 1; 0: no more), at most `width` of them, the largest, scaled
 * to sum to 1; stats.cut says how many did not fit.
 *
 * Zhong, Zheng, Cao, Li, "Re-ranking person re-identification with k-reciprocal encoding", CVPR
 * 2017, sections 3.2 to 3.4. The authors' code holds N x N matrices; this holds a tile. */
#include <math.h>

#include "autograd/op.h"
#include "base/pool.h"
#include "kernels/row_stream.h"

enum { K1, K2, WIDTH, DISTANCE };
enum { INDEX, WEIGHT };
enum { CUT };
enum { ROWS = 64 };             /* of a block */

static const cr_input inputs[] = { { "embeddings", "N D", CR_TREAL, CR_NOGRAD }, { 0 } };

static const cr_output outputs[] = {
  [INDEX] = { "index", NULL, CR_TINT }, [WEIGHT] = { "weight", NULL, CR_TREAL }, { 0 }
};

static const cr_option options[] = {
  [K1]       = { "k1", 20, 1, 1000, "neighbours that may be reciprocal", CR_COUNT },
  [K2]       = { "k2", 6, 1, 1000, "neighbours whose weights are averaged", CR_COUNT },
  [WIDTH]    = { "width", 128, 1, 100000, "the most weights of a row", CR_COUNT },
  [DISTANCE] = { "distance", 0, 0, 0, "euclidean: squared", CR_CHOICE, CR_METRIC_NAMES },
  { 0 }
};

static const char *const stats[] = { [CUT] = "cut", NULL };

typedef struct work {
  cr_call *c;
  cr_stream stream;
  int64_t n, k1, half, k2, most, width;   /* most: members of an expanded set */
  int32_t *near;                          /* [n, k1 + 1], the row itself first */
  int32_t *member;                        /* [n, most], -1 ends */
  real *weight, *largest;                 /* [n, most], [n] */
  unsigned char *rows;                    /* for each worker, row_bytes */
  size_t row_bytes;
  double *cut;                            /* [n]: what did not fit */
  void *scratch;
} work;

static cr_stream_shape shape_of(const cr_call *c) {
  cr_metric metric = (cr_metric)c->option[DISTANCE];
  int64_t n = c->dim['N'], k1 = (int64_t)c->option[K1];
  return (cr_stream_shape){
    .queries = n, .references = n, .width = c->dim['D'], .same = true, .metric = metric,
    .squared = metric == CR_EUCLIDEAN, .row_bytes = cr_nearest_bytes(k1)
  };
}

static size_t lay_out(cr_call *c, work *w, void *scratch) {
  cr_stream_shape shape = shape_of(c);
  int64_t n = shape.queries, k1 = (int64_t)c->option[K1], k2 = (int64_t)c->option[K2];
  size_t used = 0;
  if (k1 > n - 1) k1 = n > 0 ? n - 1 : 0;
  *w = (work){ .c = c, .n = n, .k1 = k1, .k2 = k2 < k1 + 1 ? k2 : k1 + 1,
               .half = (int64_t)rint((double)k1 / 2), .width = (int64_t)c->option[WIDTH] };
  /* a set that is added has less than a third of new members */
  w->most = (k1 + 1) * (1 + (w->half + 1) / 3);
  if (w->width > n) w->width = n > 0 ? n : 1;
  w->near = cr_stream_take(scratch, &used, n * (k1 + 1), sizeof(int32_t));
  w->member = cr_stream_take(scratch, &used, n * w->most, sizeof(int32_t));
  w->weight = cr_stream_take(scratch, &used, n * w->most, sizeof(real));
  w->largest = cr_stream_take(scratch, &used, n, sizeof(real));
  w->cut = cr_stream_take(scratch, &used, n, sizeof(double));
  w->row_bytes = (size_t)(w->k2 * w->most) * (2 * sizeof(cr_sort_item) + 16) + 4 * 64;
  w->row_bytes = (w->row_bytes + 63) & ~(size_t)63;
  w->rows = cr_stream_take(scratch, &used, cr_pool_threads(), w->row_bytes);
  w->scratch = scratch != NULL ? (unsigned char *)scratch + used : NULL;
  return used + cr_stream_bytes(&shape);
}

static bool check(cr_call *c, cr_error *err) {
  work w;
  if (c->dim['N'] > INT32_MAX)
    return cr_fail(err, CR_EVALUE, "%lld rows are too many", (long long)c->dim['N']);
  c->scratch_bytes = lay_out(c, &w, NULL);
  int64_t sizes[2] = { w.n, w.width };
  cr_out_shape(c, INDEX, 2, sizes);
  cr_out_shape(c, WEIGHT, 2, sizes);
  return true;
}

static void nearest(void *context, int64_t i, real *d, void *scratch) {
  const work *w = context;
  const cr_sort_item *near;
  int32_t *own = w->near + i * (w->k1 + 1);
  real largest = 0;
  for (int64_t j = 0; j < w->n; j++) largest = d[j] > largest ? d[j] : largest;
  w->largest[i] = largest;
  cr_nearest(w->n, d, i, w->k1, &near, scratch);
  own[0] = (int32_t)i;
  for (int64_t k = 0; k < w->k1; k++) own[k + 1] = (int32_t)near[k].index;
}

static bool holds(const int32_t *list, int64_t n, int64_t value) {
  for (int64_t k = 0; k < n; k++)
    if (list[k] == value) return true;
  return false;
}

/* Of the k nearest of i those whose k nearest hold i, i itself first; returns how many. */
static int64_t reciprocal(const work *w, int64_t i, int64_t k, int32_t *set) {
  const int32_t *near = w->near + i * (w->k1 + 1);
  int64_t n = 0;
  for (int64_t s = 0; s <= k; s++)
    if (holds(w->near + near[s] * (w->k1 + 1), k + 1, i)) set[n++] = near[s];
  return n;
}

static double distance(const work *w, int64_t i, int64_t j) {
  const cr_pairs *p = &w->stream.pairs;
  const real *x = p->x + i * p->width, *y = p->x + j * p->width;
  double sum = 0;
  for (int64_t k = 0; k < p->width; k++) {
    double d = (double)x[k] - (double)y[k];
    if (p->metric == CR_EUCLIDEAN) sum += d * d;
    else if (p->metric == CR_MANHATTAN) sum += fabs(d);
    else sum -= (double)x[k] * (double)y[k];
  }
  return p->metric == CR_COSINE ? 1 + sum : sum;
}

/* R(i) with what its members bring along, and the weights of all of it. */
static void expand(void *context, int64_t begin, int64_t end) {
  const work *w = context;
  for (int64_t i = begin; i < end; i++) {
    int32_t *member = w->member + i * w->most, own[1001];
    int64_t n = reciprocal(w, i, w->k1, member), core = n;
    for (int64_t s = 0; s < core; s++) {
      int64_t size = reciprocal(w, member[s], w->half, own), shared = 0;
      for (int64_t k = 0; k < size; k++) shared += holds(member, core, own[k]);
      if (3 * shared <= 2 * size) continue;
      for (int64_t k = 0; k < size; k++)
        if (!holds(member, n, own[k])) member[n++] = own[k];
    }
    double sum = 0, largest = (double)w->largest[i] > 0 ? (double)w->largest[i] : 1;
    for (int64_t s = 0; s < n; s++) {
      double v = exp(-distance(w, i, member[s]) / largest);
      w->weight[i * w->most + s] = (real)v;
      sum += v;
    }
    for (int64_t s = 0; s < n; s++)
      w->weight[i * w->most + s] = (real)((double)w->weight[i * w->most + s] / sum);
    for (int64_t s = n; s < w->most; s++) member[s] = -1;
  }
}

/* The average over the k2 nearest: their lists one behind the other, sorted by number, equal
 * numbers added up; of these the largest `width` weights, by number again. */
static void average(void *context, int64_t block, int worker) {
  const work *w = context;
  int64_t end = block * ROWS + ROWS < w->n ? block * ROWS + ROWS : w->n, room = w->k2 * w->most;
  size_t used = 0;
  void *base = w->rows + (size_t)worker * w->row_bytes;
  cr_sort_item *item = cr_stream_take(base, &used, room, sizeof *item);
  cr_sort_item *spare = cr_stream_take(base, &used, room, sizeof *item);
  int64_t *number = cr_stream_take(base, &used, room, sizeof *number);
  double *value = cr_stream_take(base, &used, room, sizeof *value);
  for (int64_t i = block * ROWS; i < end; i++) {
    int64_t n = 0, sums = 0;
    for (int64_t k = 0; k < w->k2; k++) {
      int64_t from = w->near[i * (w->k1 + 1) + k] * w->most;
      for (int64_t s = 0; s < w->most && w->member[from + s] >= 0; s++)
        item[n++] = (cr_sort_item){ (uint64_t)w->member[from + s], from + s };
    }
    cr_sort_items(item, spare, n);
    for (int64_t s = 0; s < n; s++) {
      if (s == 0 || item[s].key != item[s - 1].key)
        number[sums] = (int64_t)item[s].key, value[sums++] = 0;
      value[sums - 1] += (double)w->weight[item[s].index] / (double)w->k2;
    }
    int64_t kept = sums < w->width ? sums : w->width;
    for (int64_t s = 0; s < sums; s++)
      item[s] = (cr_sort_item){ cr_sort_key_real((real)value[s], true), s };
    cr_sort_top(item, spare, sums, kept);
    for (int64_t s = 0; s < kept; s++) item[s].key = (uint64_t)item[s].index;
    cr_sort_items(item, spare, kept);
    double sum = 0;
    for (int64_t s = 0; s < kept; s++) sum += value[item[s].index];
    int64_t *index = cr_ints(w->c->out[INDEX]) + i * w->width;
    real *weight = cr_reals(w->c->out[WEIGHT]) + i * w->width;
    for (int64_t s = 0; s < w->width; s++) {
      index[s] = s < kept ? number[item[s].index] + 1 : 0;
      weight[s] = s < kept ? (real)(value[item[s].index] / sum) : 0;
    }
    w->cut[i] = (double)(sums - kept);
  }
}

static void forward(cr_call *c) {
  cr_stream_shape shape = shape_of(c);
  work w;
  lay_out(c, &w, c->scratch);
  cr_stream_start(&w.stream, &shape, cr_reals(c->in[0]), NULL, NULL, NULL, w.scratch);
  cr_stream_rows(&w.stream, nearest, &w);
  cr_pool_for(w.n, ROWS, expand, &w);
  cr_pool_run((w.n + ROWS - 1) / ROWS, average, &w);
  c->stat[CUT] = 0;
  for (int64_t i = 0; i < w.n; i++) c->stat[CUT] += w.cut[i];
}

const cr_op cr_metric_k_reciprocal = {
  .name = "k_reciprocal", .help = "the k-reciprocal neighbourhood of every row, for re-ranking",
  .formula = "d* = lambda d / max d + (1 - lambda) (1 - s / (2 - s)),  s_ij = sum_g min(V_ig, "
             "V_jg)",
  .paper = "Zhong, Zheng, Cao, Li, \"Re-ranking person re-identification with k-reciprocal "
           "encoding\", CVPR 2017",
  .inputs = inputs, .outputs = outputs, .options = options, .stats = stats, .check = check,
  .forward = forward,
};
