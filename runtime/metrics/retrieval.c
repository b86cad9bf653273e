/* retrieval.c - how well the nearest references of a query carry its label
 *
 * For a query with R references of its label, at places rank_1 < ... < rank_R of the list sorted by
 * distance:
 *
 *   precision@1   [rank_1 = 1]                      R-precision   #{ i: rank_i <= R } / R
 *   recall@k      [rank_1 <= k]                     MAP@R         1/R sum over rank_i <= R of i /
 *                                                                 rank_i
 *   MRR           1 / rank_1                        MAP           1/R sum_i i / rank_i
 *
 * Means are over the queries that have a match at all; those without have 0 in `first` and nan in
 * the other vectors. Equal distances: the lower reference number comes first. A distance that is
 * not a number is farthest. Without references a query's own row is left out (leave one out).
 *
 * Exact, and never more than a tile of queries by references in memory: only the R matches are
 * sorted, every other reference is counted at the place where it falls among them
 * (kernels/triplet_rows.h). Euclidean distances are compared squared. */
#include <math.h>
#include <string.h>

#include "autograd/op.h"
#include "base/pool.h"
#include "kernels/label_order.h"
#include "kernels/pair_dist.h"
#include "kernels/triplet_rows.h"

enum { EMBEDDINGS, LABELS, REFERENCES, REFERENCE_LABELS };
enum { FIRST, R_PRECISION, MAP_AT_R, AVERAGE_PRECISION, RECALL, PRECISION };
enum { K, DISTANCE };
enum { S_P1, S_RP, S_MAPR, S_MAP, S_MRR, S_R1, S_R2, S_R4, S_R8, S_QUERIES,
       S_P1_CLASS, S_RP_CLASS, S_MAPR_CLASS, S_MAP_CLASS, S_MRR_CLASS };

static const cr_input inputs[] = {
  [EMBEDDINGS]       = { "embeddings",       "Q D", CR_TREAL, CR_NOGRAD },
  [LABELS]           = { "labels",           "Q",   CR_TINT,  CR_NOGRAD },
  [REFERENCES]       = { "references",       "R D", CR_TREAL, CR_OPTIONAL | CR_NOGRAD },
  [REFERENCE_LABELS] = { "reference_labels", "R",   CR_TINT,  CR_OPTIONAL | CR_NOGRAD },
  { 0 }
};

static const cr_output outputs[] = {
  /* place of the nearest match, from 1 */
  [FIRST]             = { "first",             "Q",  CR_TINT },
  [R_PRECISION]       = { "r_precision",       "Q",  CR_TREAL },
  [MAP_AT_R]          = { "map_at_r",          "Q",  CR_TREAL },
  [AVERAGE_PRECISION] = { "average_precision", "Q",  CR_TREAL },
  /* means at each k of the list */
  [RECALL]            = { "recall",            NULL, CR_TREAL },
  [PRECISION]         = { "precision",         NULL, CR_TREAL },
  { 0 }
};

static const cr_option options[] = {
  [K] = { "k", 0, 1, 1e9, "recall and precision at these; default 1, 2, 4, 8", CR_COUNTS, NULL,
          false },
  [DISTANCE] = { "distance", 0, 0, 0, "", CR_CHOICE, "euclidean cosine dot", false },
  { 0 }
};

static const char *const stats[] = {
  [S_P1] = "precision_at_1", [S_RP] = "r_precision", [S_MAPR] = "map_at_r", [S_MAP] = "map",
      [S_MRR] = "mrr",
  [S_R1] = "recall_at_1", [S_R2] = "recall_at_2", [S_R4] = "recall_at_4", [S_R8] = "recall_at_8",
  [S_QUERIES] = "queries",            /* that have a match */
  [S_P1_CLASS] = "precision_at_1_class_average", [S_RP_CLASS] = "r_precision_class_average",
  [S_MAPR_CLASS] = "map_at_r_class_average", [S_MAP_CLASS] = "map_class_average",
  [S_MRR_CLASS] = "mrr_class_average", NULL
};

enum { MOST_K = CR_MAX_DIMS, TILE_NUMBERS = 1 << 19 };

typedef struct work {
  bool same;
  int64_t Q, N, D, rows, largest;
  int64_t *order, *query_order, *spare;
  real *x, *y, *xx, *yy, *d;
  int32_t *hits;                /* [Q, MOST_K]: matches among the first k */
  unsigned char *row;           /* for each worker: u, rank */
  size_t row_bytes;
} work;

static size_t aligned(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

static void *take(unsigned char *base, size_t *used, int64_t count, size_t each) {
  void *p = base != NULL ? base + *used : NULL;
  *used += aligned((size_t)count * each);
  return p;
}

static size_t lay_out(const cr_call *c, int64_t largest, work *k, void *scratch) {
  bool same = c->in[REFERENCES] == NULL;
  int64_t Q = c->dim['Q'], N = same ? Q : c->dim['R'], D = c->dim['D'],
      rows = N > 0 ? TILE_NUMBERS / N : 1;
  size_t used = 0;
  rows = rows < 16 ? 16 : rows > 256 ? 256 : rows;
  *k = (work){ .same = same, .Q = Q, .N = N, .D = D, .rows = rows < Q ? rows : Q,
               .largest = largest };
  k->order = take(scratch, &used, N, sizeof(int64_t));
  k->query_order = take(scratch, &used, Q, sizeof(int64_t));
  k->spare = take(scratch, &used, Q > N ? Q : N, sizeof(int64_t));
  k->x = take(scratch, &used, Q * D, sizeof(real));
  k->y = same ? k->x : take(scratch, &used, N * D, sizeof(real));
  k->xx = take(scratch, &used, Q, sizeof(real));
  k->yy = same ? k->xx : take(scratch, &used, N, sizeof(real));
  k->hits = take(scratch, &used, Q * MOST_K, sizeof(int32_t));
  k->d = take(scratch, &used, k->rows * N, sizeof(real));
  k->row_bytes = aligned((size_t)largest * sizeof(real)) + aligned(cr_rank_bytes(largest));
  k->row = take(scratch, &used, cr_pool_threads(), k->row_bytes);
  return used;
}

static bool check(cr_call *c, cr_error *err) {
  bool references = c->in[REFERENCES] != NULL;
  if (references != (c->in[REFERENCE_LABELS] != NULL))
    return cr_fail(err, CR_EVALUE, "references and reference_labels go together, got only %s",
                   references ? "references" : "reference_labels");
  const cr_tensor *labels = c->in[references ? REFERENCE_LABELS : LABELS];
  int64_t n = labels->shape[0], ks = c->list[K].n > 0 ? c->list[K].n : 4;
  int64_t *order = cr_alloc(2 * (size_t)n * sizeof *order, err);
  if (order == NULL) return false;
  cr_label_order(n, cr_ints(labels), order, order + n);
  c->dim['a'] = cr_label_largest(n, cr_ints(labels), order);
  cr_free(order);
  work k;
  c->scratch_bytes = lay_out(c, c->dim['a'], &k, NULL);
  cr_out_shape(c, RECALL, 1, &ks);
  cr_out_shape(c, PRECISION, 1, &ks);
  return true;
}

/* Rows as they are compared: normalised for cosine. Not centred: that would break exact ties. */
static void pack(int64_t n, int64_t D, bool normalize, const real *from, real *to, real *squares) {
  for (int64_t i = 0; i < n; i++) {
    squares[i] = cr_pairs_centre(D, from + i * D, NULL, to + i * D);
    double length = 0;
    const real *x = from + i * D;
    for (int64_t k = 0; normalize && k < D; k++) length += (double)x[k] * (double)x[k];
    length = sqrt(length);
    for (int64_t k = 0; normalize && k < D; k++)
      to[i * D + k] = (real)((double)x[k] / (length < 1e-12 ? 1e-12 : length));
  }
}

typedef struct job {
  cr_call *c;
  work *k;
  cr_pairs pairs;
  const int64_t *label, *reference_label;
  int64_t first, count, ks, at[MOST_K];
} job;

/* A positive number larger than any distance; a distance that is not finite becomes this. */
static real far_away(real d) { return d <= CR_REAL_MAX ? d : CR_REAL_MAX; }

/* All scores of query i; negatives[k] is how many references fall between its k-th and its next
 * match. */
static void score(const job *t, int64_t i, int64_t R, const int32_t *negatives) {
  cr_call *c = t->c;
  double hits_in_r = 0, map_at_r = 0, map = 0;
  int64_t before = 0;
  int32_t *hits = t->k->hits + i * MOST_K;
  for (int64_t k = 0; k < R; k++) {
    before += negatives[k];
    int64_t place = k + 1 + before;
    double precision = (double)(k + 1) / (double)place;
    if (k == 0) cr_ints(c->out[FIRST])[i] = place;
    map += precision;
    if (place <= R) hits_in_r++, map_at_r += precision;
    for (int64_t l = 0; l < t->ks; l++) hits[l] += place <= t->at[l];
  }
  cr_reals(c->out[R_PRECISION])[i] = (real)(hits_in_r / (double)R);
  cr_reals(c->out[MAP_AT_R])[i] = (real)(map_at_r / (double)R);
  cr_reals(c->out[AVERAGE_PRECISION])[i] = (real)(map / (double)R);
}

/* The row r of the tile: matches sorted, everything else counted at its place among them. */
static void query(const job *t, int64_t r, unsigned char *scratch) {
  const work *k = t->k;
  cr_call *c = t->c;
  int64_t i = t->first + r, N = k->N, begin, end, R = 0, excluded = 0;
  real *d = k->d + r * N, *u = (real *)(void *)scratch;
  cr_pairs_row(&t->pairs, i, d);
  for (int64_t j = 0; j < N; j++) d[j] = far_away(d[j]);
  cr_label_slice(N, t->reference_label, k->order, t->label[i], &begin, &end);
  for (int64_t s = begin; s < end; s++)
    if (!(k->same && k->order[s] == i)) u[R++] = d[k->order[s]];
  memset(k->hits + i * MOST_K, 0, MOST_K * sizeof *k->hits);
  if (R == 0) {
    cr_ints(c->out[FIRST])[i] = 0;
    for (int o = R_PRECISION; o <= AVERAGE_PRECISION; o++) cr_reals(c->out[o])[i] = (real)NAN;
    return;
  }
  cr_rank rank;
  cr_rank_start(&rank, R, u, scratch + aligned((size_t)k->largest * sizeof(real)));
  memset(rank.histogram, 0, (size_t)(R + 1) * sizeof *rank.histogram);
  /* matches and the query itself: nan falls at place 0, and is taken out of the count again */
  for (int64_t s = begin; s < end; s++, excluded++) d[k->order[s]] = (real)NAN;
  /* the match u[m] is row order[begin + m], past the query itself */
  int64_t own = k->same ? i : N;
  for (int64_t first = 0, some; first < N; first += some) {
    int32_t place[CR_RANK_CHUNK];
    some = N - first < CR_RANK_CHUNK ? N - first : CR_RANK_CHUNK;
    cr_rank_places(&rank, some, d + first, place);
    for (int64_t j = 0; j < some; j++) {
      int32_t p = place[j];
      while (p > 0 && rank.u[p - 1] == d[first + j]) {
        int64_t match = k->order[begin + rank.order[p - 1]];
        if (match >= own) match = k->order[begin + rank.order[p - 1] + 1];
        if (match < first + j) break;             /* equal distances: the lower number first */
        p--;
      }
      rank.histogram[p]++;
    }
  }
  rank.histogram[0] -= (int32_t)excluded;
  score(t, i, R, rank.histogram);
}

static void query_block(void *context, int64_t block, int worker) {
  const job *t = context;
  int64_t end = block * 4 + 4 < t->count ? block * 4 + 4 : t->count;
  unsigned char *scratch = t->k->row + (size_t)worker * t->k->row_bytes;
  for (int64_t r = block * 4; r < end; r++) query(t, r, scratch);
}

/* ---- means ----------------------------------------------------------------------------------- */

/* The mean of a score over queries with a match, and the mean over classes of their means. */
static void means(const job *t, const real *v, bool inverse, double *mean, double *by_class) {
  const int64_t *order = t->k->query_order, *first = cr_ints(t->c->out[FIRST]);
  double all = 0, classes = 0, sum = 0;
  int64_t n = 0, in_class = 0, number = 0;
  for (int64_t s = 0; s < t->k->Q; s++) {
    int64_t i = order[s];
    if (first[i] > 0) {
      double x = v != NULL ? (double)v[i] : inverse ? 1 / (double)first[i] : first[i] == 1;
      all += x, sum += x, n++, in_class++;
    }
    if (s + 1 < t->k->Q && t->label[order[s + 1]] == t->label[i]) continue;
    if (in_class > 0) classes += sum / (double)in_class, number++;
    sum = 0, in_class = 0;
  }
  *mean = n > 0 ? all / (double)n : NAN;
  *by_class = number > 0 ? classes / (double)number : NAN;
}

static double recall_at(const job *t, int64_t k, double queries) {
  double found = 0;
  for (int64_t i = 0; i < t->k->Q; i++) {
    int64_t first = cr_ints(t->c->out[FIRST])[i];
    found += first > 0 && first <= k;
  }
  return queries > 0 ? found / queries : NAN;
}

static void summarise(const job *t) {
  cr_call *c = t->c;
  double *s = c->stat, queries = 0;
  for (int64_t i = 0; i < t->k->Q; i++) queries += cr_ints(c->out[FIRST])[i] > 0;
  s[S_QUERIES] = queries;
  means(t, NULL, false, &s[S_P1], &s[S_P1_CLASS]);
  means(t, NULL, true, &s[S_MRR], &s[S_MRR_CLASS]);
  means(t, cr_reals(c->out[R_PRECISION]), false, &s[S_RP], &s[S_RP_CLASS]);
  means(t, cr_reals(c->out[MAP_AT_R]), false, &s[S_MAPR], &s[S_MAPR_CLASS]);
  means(t, cr_reals(c->out[AVERAGE_PRECISION]), false, &s[S_MAP], &s[S_MAP_CLASS]);
  for (int l = 0; l < 4; l++) s[S_R1 + l] = recall_at(t, 1 << l, queries);
  for (int64_t l = 0; l < t->ks; l++) {
    double hits = 0;
    for (int64_t i = 0; i < t->k->Q; i++) hits += t->k->hits[i * MOST_K + l];
    cr_reals(c->out[RECALL])[l] = (real)recall_at(t, t->at[l], queries);
    cr_reals(c->out[PRECISION])[l] = (real)(queries > 0 ? hits / queries / (double)t->at[l] : NAN);
  }
}

static void forward(cr_call *c) {
  static const cr_metric metrics[] = { CR_EUCLIDEAN, CR_COSINE, CR_DOT };
  work k;
  lay_out(c, c->dim['a'], &k, c->scratch);
  cr_metric metric = metrics[(int)c->option[DISTANCE]];
  job t = { .c = c, .k = &k, .label = cr_ints(c->in[LABELS]),
            .ks = c->list[K].n > 0 ? c->list[K].n : 4 };
  t.reference_label = k.same ? t.label : cr_ints(c->in[REFERENCE_LABELS]);
  for (int64_t l = 0; l < t.ks; l++) t.at[l] = c->list[K].n > 0 ? c->list[K].at[l] : 1 << l;
  cr_label_order(k.N, t.reference_label, k.order, k.spare);
  cr_label_order(k.Q, t.label, k.query_order, k.spare);
  pack(k.Q, k.D, metric == CR_COSINE, cr_reals(c->in[EMBEDDINGS]), k.x, k.xx);
  if (!k.same) pack(k.N, k.D, metric == CR_COSINE, cr_reals(c->in[REFERENCES]), k.y, k.yy);
  t.pairs = (cr_pairs){ .metric = metric, .squared = metric == CR_EUCLIDEAN, .same = k.same,
                        .rows = k.Q,
                        .columns = k.N, .width = k.D, .x = k.x, .y = k.y, .xx = k.xx, .yy = k.yy };
  for (t.first = 0; t.first < k.Q; t.first += t.count) {
    t.count = k.Q - t.first < k.rows ? k.Q - t.first : k.rows;
    int64_t blocks = (t.count + 3) / 4;
    cr_pairs_products(&t.pairs, t.first, t.count, k.d);
    if (t.count * k.N < 20000)
      for (int64_t b = 0; b < blocks; b++) query_block(&t, b, 0);
    else cr_pool_run(blocks, query_block, &t);
  }
  summarise(&t);
}

const cr_op cr_metric_retrieval = {
  .name = "retrieval", .help =
      "recall@k, precision@1, R-precision, MAP@R, MRR of nearest neighbours",
  .formula = "MAP@R = mean over queries of 1/R sum over matches with rank_i <= R of i / rank_i",
  .paper = "Musgrave, Belongie, Lim, \"A metric learning reality check\", ECCV 2020, section 3.2",
  .inputs = inputs, .outputs = outputs, .options = options, .stats = stats, .check = check,
      .forward = forward,
};
