/* retrieval.c - how well the nearest references of a query carry its label
 *
 * For a query with R references of its label, at places rank_1 < ... < rank_R of the list sorted by
 * distance:
 *
 *   precision@1   [rank_1 = 1]                      R-precision   #{ i: rank_i <= R } / R
 *   MRR           1 / rank_1                        MAP@R         1/R sum over rank_i <= R of i /
 *   MAP           1/R sum_i i / rank_i                            rank_i
 *
 * and, with H = #{ i: rank_i <= k } hits among the first k and S = sum over rank_i <= k of i /
 * rank_i, the rows of `at_k` (each column one of the k):
 *
 *   1 recall               [H > 0]                  5 map_relevant   S / R
 *   2 recall_relevant      H / R                    6 map_possible   S / min(k, R)
 *   3 precision            H / k                    7 map_found      S / H, 0 without a hit
 *   4 precision_possible   H / min(k, R)            8 ndcg           sum over rank_i <= k of
 *                                                     1 / log2(1 + rank_i), over its largest value
 *
 * "MAP@k" is any of 5, 6 and 7 in one library or another, "precision@k" 3 or 4, "recall@k" 1 (CMC)
 * or 2: here each has its own name.
 *
 * Means are over the queries that have a match at all; those without have 0 in `first` and nan in
 * the other vectors (recall over all queries is recall times queries / Q). at_k_class holds means
 * over classes of their means. Equal distances: the lower reference number comes first. A distance
 * that is not a number is farthest. Without references a query's own row is left out (leave one
 * out).
 *
 * With the neighbourhoods that metrics.k_reciprocal finds, distances are first mixed with how
 * little those of two rows overlap (kernels/jaccard.h): k-reciprocal re-ranking.
 *
 * Exact, and never more than a tile of queries by references in memory: only the R matches are
 * sorted, and every other reference is counted at the place where it falls among them
 * (kernels/place_count.h), which needs no order. So where the references are the queries, a
 * distance is computed once and counted for both, as long as the counts of all queries, some 24
 * bytes for each of their matches, fit in 160 MB. References are put in the order of their labels,
 * so that matches are neighbours, and go by in pieces that stay in the cache
 * (kernels/row_stream.h). Euclidean distances are compared squared. */
#include <math.h>
#include <string.h>

#include "autograd/op.h"
#include "kernels/jaccard.h"
#include "kernels/label_order.h"
#include "kernels/place_count.h"
#include "kernels/row_stream.h"

enum { EMBEDDINGS, LABELS, REFERENCES, REFERENCE_LABELS, HOOD, HOOD_WEIGHT };
enum { FIRST, R_PRECISION, MAP_AT_R, AVERAGE_PRECISION, RECALL, PRECISION,
       AT_K, AT_K_CLASS };
enum { K, DISTANCE, LAMBDA };
enum { S_P1, S_RP, S_MAPR, S_MAP, S_MRR, S_R1, S_R2, S_R4, S_R8, S_QUERIES,
       S_P1_CLASS, S_RP_CLASS, S_MAPR_CLASS, S_MAP_CLASS, S_MRR_CLASS };

static const cr_input inputs[] = {
  [EMBEDDINGS]       = { "embeddings",       "Q D", CR_TREAL, CR_NOGRAD },
  [LABELS]           = { "labels",           "Q",   CR_TINT,  CR_NOGRAD },
  [REFERENCES]       = { "references",       "R D", CR_TREAL, CR_OPTIONAL | CR_NOGRAD },
  [REFERENCE_LABELS] = { "reference_labels", "R",   CR_TINT,  CR_OPTIONAL | CR_NOGRAD },
  /* of metrics.k_reciprocal, P = Q, or Q + R: queries first. Given: distances are re-ranked */
  [HOOD]             = { "neighbourhood",        "P M", CR_TINT,  CR_OPTIONAL | CR_NOGRAD },
  [HOOD_WEIGHT]      = { "neighbourhood_weight", "P M", CR_TREAL, CR_OPTIONAL | CR_NOGRAD },
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
  [AT_K]              = { "at_k",              NULL, CR_TREAL },
  [AT_K_CLASS]        = { "at_k_class",        NULL, CR_TREAL },
  { 0 }
};

static const cr_option options[] = {
  [K] = { "k", 0, 1, 1e9, "recall and precision at these; default 1, 2, 4, 8", CR_COUNTS, NULL,
          false },
  [DISTANCE] = { "distance", 0, 0, 0, "", CR_CHOICE, CR_METRIC_NAMES, false },
  [LAMBDA] = { "lambda", 0.3, 0, 1, "share of the distance itself when re-ranking" },
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

/* NEAR: distances to references of their own label that some queries are given at once */
enum { MOST_K = CR_MAX_DIMS, NEAR = 1 << 15 };

/* the rows of at_k */
enum { HIT, SHARE_OF_RELEVANT, SHARE_OF_K, SHARE_OF_POSSIBLE, MAP_RELEVANT, MAP_POSSIBLE,
       MAP_FOUND, NDCG, AT_ROWS };

typedef struct work {
  int64_t Q, N, ks, largest;
  int64_t *order, *query_order, *spare;
  real *at;                     /* [Q, AT_ROWS, ks] */
  double *ideal;                /* ideal[n] = sum over i <= n of 1 / log2(1 + i) */
  cr_jaccard jaccard;
  void *stream;
} work;

/* What a query carries along its row. Columns are references in the order of their labels. */
typedef struct seat {
  cr_places places;             /* of its matches */
  int64_t begin, end, R;        /* the columns of its label; matches among them */
} seat;

static size_t seat_bytes(int64_t largest) {
  return sizeof(seat) + (largest > 0 ? cr_places_bytes(largest) : 0);
}

/* What a thread needs while queries take their seats, and for re-ranking two rows */
typedef struct spare { real *near; int32_t *number; void *places; real *row[2]; } spare;

static size_t spare_of(const cr_call *c, int64_t largest, void *at, spare *s) {
  size_t used = 0;
  int64_t N = c->in[HOOD] == NULL ? 0 : c->dim[c->in[REFERENCES] == NULL ? 'Q' : 'R'];
  s->near = cr_stream_take(at, &used, largest > NEAR ? largest : NEAR, sizeof(real));
  s->number = cr_stream_take(at, &used, largest, sizeof(int32_t));
  s->places = cr_stream_take(at, &used, 1, cr_places_scratch_bytes(largest));
  for (int i = 0; i < 2; i++) s->row[i] = cr_stream_take(at, &used, N, sizeof(real));
  return used;
}

/* Re-ranking takes whole rows: there the seat follows what is spare. */
static cr_stream_shape shape_of(const cr_call *c, int64_t largest) {
  bool same = c->in[REFERENCES] == NULL;
  cr_metric metric = (cr_metric)c->option[DISTANCE];
  bool pieces = c->in[HOOD] == NULL;
  spare b;
  size_t seats = seat_bytes(largest), spares = spare_of(c, largest, NULL, &b);
  return (cr_stream_shape){
    .queries = c->dim['Q'], .references = same ? c->dim['Q'] : c->dim['R'], .width = c->dim['D'],
    .same = same, .metric = metric, .squared = metric == CR_EUCLIDEAN,
    .pieces = pieces, .row_bytes = pieces ? seats : spares + seats,
    .spare_bytes = pieces ? spares : 0
  };
}

static size_t lay_out(const cr_call *c, int64_t largest, work *k, void *scratch) {
  cr_stream_shape shape = shape_of(c, largest);
  int64_t Q = shape.queries, N = shape.references, ks = c->list[K].n > 0 ? c->list[K].n : 4;
  size_t used = 0;
  *k = (work){ .Q = Q, .N = N, .ks = ks, .largest = largest };
  k->order = cr_stream_take(scratch, &used, N, sizeof(int64_t));
  k->query_order = cr_stream_take(scratch, &used, Q, sizeof(int64_t));
  k->spare = cr_stream_take(scratch, &used, Q > N ? Q : N, sizeof(int64_t));
  k->at = cr_stream_take(scratch, &used, Q * AT_ROWS * ks, sizeof(real));
  k->ideal = cr_stream_take(scratch, &used, largest + 1, sizeof(double));
  if (c->in[HOOD] != NULL) {
    k->jaccard = (cr_jaccard){ .rows = c->dim['P'], .width = c->dim['M'],
                               .index = cr_ints(c->in[HOOD]), .lambda = c->option[LAMBDA],
                               .weight = cr_reals(c->in[HOOD_WEIGHT]) };
    size_t bytes = cr_jaccard_bytes(c->dim['P'], c->dim['M']);
    void *lists = cr_stream_take(scratch, &used, 1, bytes);
    if (scratch != NULL) cr_jaccard_start(&k->jaccard, lists);
  }
  k->stream = scratch != NULL ? (unsigned char *)scratch + used : NULL;
  return used + cr_stream_bytes(&shape);
}

/* Neighbourhoods must be of these rows. */
static bool check_hoods(const cr_call *c, cr_error *err) {
  int64_t rows = c->dim['Q'] + (c->in[REFERENCES] != NULL ? c->dim['R'] : 0);
  if ((c->in[HOOD] == NULL) != (c->in[HOOD_WEIGHT] == NULL))
    return cr_fail(err, CR_EVALUE, "neighbourhood and neighbourhood_weight go together");
  if (c->in[HOOD] == NULL) return true;
  if (c->dim['P'] != rows)
    return cr_fail(err, CR_ESHAPE, "neighbourhood must have a row for each of the %lld queries and "
                   "references, got %lld", (long long)rows, (long long)c->dim['P']);
  const int64_t *index = cr_ints(c->in[HOOD]);
  for (int64_t i = 0; i < rows * c->dim['M']; i++)
    if (index[i] < 0 || index[i] > rows)
      return cr_fail(err, CR_EVALUE, "neighbourhood holds %lld, rows are 1 to %lld",
                     (long long)index[i], (long long)rows);
  return true;
}

static bool check(cr_call *c, cr_error *err) {
  bool references = c->in[REFERENCES] != NULL;
  if (references != (c->in[REFERENCE_LABELS] != NULL))
    return cr_fail(err, CR_EVALUE, "references and reference_labels go together, got only %s",
                   references ? "references" : "reference_labels");
  if (!check_hoods(c, err)) return false;
  const cr_tensor *labels = c->in[references ? REFERENCE_LABELS : LABELS];
  int64_t n = labels->shape[0];
  if (n > INT32_MAX)
    return cr_fail(err, CR_ESHAPE, "at most %d references, got %lld", INT32_MAX, (long long)n);
  int64_t *order = cr_alloc(2 * (size_t)n * sizeof *order, err);
  if (order == NULL) return false;
  cr_label_order(n, cr_ints(labels), order, order + n);
  c->dim['a'] = cr_label_largest(n, cr_ints(labels), order);
  cr_free(order);
  work k;
  c->scratch_bytes = lay_out(c, c->dim['a'], &k, NULL);
  int64_t table[2] = { AT_ROWS, k.ks };
  cr_out_shape(c, RECALL, 1, &k.ks);
  cr_out_shape(c, PRECISION, 1, &k.ks);
  cr_out_shape(c, AT_K, 2, table);
  cr_out_shape(c, AT_K_CLASS, 2, table);
  return true;
}

typedef struct job {
  cr_call *c;
  work *k;
  cr_stream *stream;
  bool same;
  const int64_t *label, *reference_label;
  int64_t at[MOST_K];
} job;

static double discount(int64_t place) { return 1 / log2(1 + (double)place); }

/* The column of at_k for k = t->at[l]: matches come in as places, and out go the scores. */
static void score_at(const job *t, int64_t i, int64_t l, int64_t R, double hits, double precisions,
                     double gain) {
  int64_t k = t->at[l], possible = k < R ? k : R;
  double row[AT_ROWS] = {
    [HIT] = hits > 0, [SHARE_OF_RELEVANT] = hits / (double)R, [SHARE_OF_K] = hits / (double)k,
    [SHARE_OF_POSSIBLE] = hits / (double)possible, [MAP_RELEVANT] = precisions / (double)R,
    [MAP_POSSIBLE] = precisions / (double)possible, [MAP_FOUND] = hits > 0 ? precisions / hits : 0,
    [NDCG] = gain / t->k->ideal[possible],
  };
  for (int s = 0; s < AT_ROWS; s++) t->k->at[(i * AT_ROWS + s) * t->k->ks + l] = (real)row[s];
}

/* All scores of query i; negatives[k] is how many references fall between its k-th and its next
 * match. */
static void score(const job *t, int64_t i, int64_t R, const int32_t *negatives) {
  cr_call *c = t->c;
  double hits_in_r = 0, map_at_r = 0, map = 0;
  double hits[MOST_K] = { 0 }, precisions[MOST_K] = { 0 }, gain[MOST_K] = { 0 };
  int64_t before = 0, ks = t->k->ks;
  for (int64_t k = 0; k < R; k++) {
    before += negatives[k];
    int64_t place = k + 1 + before;
    double precision = (double)(k + 1) / (double)place;
    if (k == 0) cr_ints(c->out[FIRST])[i] = place;
    map += precision;
    if (place <= R) hits_in_r++, map_at_r += precision;
    for (int64_t l = 0; l < ks; l++)
      if (place <= t->at[l]) hits[l]++, precisions[l] += precision, gain[l] += discount(place);
  }
  cr_reals(c->out[R_PRECISION])[i] = (real)(hits_in_r / (double)R);
  cr_reals(c->out[MAP_AT_R])[i] = (real)(map_at_r / (double)R);
  cr_reals(c->out[AVERAGE_PRECISION])[i] = (real)(map / (double)R);
  for (int64_t l = 0; l < ks; l++) score_at(t, i, l, R, hits[l], precisions[l], gain[l]);
}

/* A distance that is not finite becomes one larger than any other. */
static void make_finite(int64_t n, real *d) {
  for (int64_t j = 0; j < n; j++) d[j] = d[j] <= CR_REAL_MAX ? d[j] : CR_REAL_MAX;
}

/* Query q takes its seat: `near` holds the distances of its label's columns. */
static void sit(const job *t, int64_t q, int64_t begin, int64_t end, seat *s, real *near,
                const spare *b) {
  *s = (seat){ .begin = begin, .end = end };
  make_finite(end - begin, near);
  for (int64_t m = 0; m < end - begin; m++) {
    int64_t number = t->k->order[begin + m];
    if (t->same && number == q) continue;       /* itself */
    near[s->R] = near[m];
    b->number[s->R++] = (int32_t)number;
  }
  if (s->R > 0) cr_places_start(&s->places, s->R, near, b->number, s + 1, b->places);
}

/* Columns first .. first+n-1, those of the query's label left out */
static void count(const job *t, seat *s, int64_t first, int64_t n, real *d) {
  int64_t until = s->begin < first + n ? s->begin : first + n;
  int64_t from = s->end > first ? s->end : first;
  const int64_t *number = t->k->order + first;
  if (s->R == 0) return;
  if (until > first) cr_places_count(&s->places, until - first, d, number);
  if (from < first + n)
    cr_places_count(&s->places, first + n - from, d + (from - first), number + (from - first));
}

static void no_match(const job *t, int64_t q) {
  cr_ints(t->c->out[FIRST])[q] = 0;
  for (int o = R_PRECISION; o <= AVERAGE_PRECISION; o++)
    cr_reals(t->c->out[o])[q] = (real)NAN;
}

static void rise(const job *t, int64_t q, const seat *s) {
  if (s->R > 0) score(t, q, s->R, s->places.count);
  else          no_match(t, q);
}

/* Queries are taken in the order of their labels: i is the place of one, not its number. Those of
 * one label are given the distances of its columns by one product, as far as there is room. */
static void start(void *context, int64_t first, int64_t n, unsigned char *states, size_t step,
                  void *at) {
  const job *t = context;
  const work *k = t->k;
  const cr_pairs *pairs = &t->stream->pairs;
  spare b;
  spare_of(t->c, k->largest, at, &b);
  for (int64_t i = first, some; i < first + n; i += some) {
    int64_t begin, end, label = t->label[k->query_order[i]];
    cr_label_slice(k->N, t->reference_label, k->order, label, &begin, &end);
    int64_t wide = end - begin, room = wide > 0 && wide < NEAR ? NEAR / wide : 1;
    for (some = 1; some < room && i + some < first + n; some++)
      if (t->label[k->query_order[i + some]] != label) break;
    cr_pairs_products_piece(pairs, i, some, begin, wide, b.near);
    for (int64_t r = 0; r < some; r++) {
      real *near = b.near + r * wide;
      cr_pairs_piece(pairs, i + r, begin, wide, near);
      sit(t, k->query_order[i + r], begin, end, (seat *)(states + (size_t)(i + r - first) * step),
          near, &b);
    }
  }
}

static void piece(void *context, int64_t i, int64_t first, int64_t n, real *d, void *state) {
  (void)i;
  count(context, state, first, n, d);
}

static void end(void *context, int64_t i, void *state) {
  const job *t = context;
  rise(t, t->k->query_order[i], state);
}

/* The whole row of query q, re-ranked first */
static void reranked(void *context, int64_t q, real *d, void *state) {
  const job *t = context;
  const work *k = t->k;
  int64_t begin, end_of_label;
  spare b;
  seat *s = (seat *)((unsigned char *)state + spare_of(t->c, k->largest, state, &b));
  cr_jaccard_row(&k->jaccard, q, t->same ? 0 : k->Q, k->N, d, b.row[0]);
  for (int64_t j = 0; j < k->N; j++) b.row[1][j] = d[k->order[j]];
  cr_label_slice(k->N, t->reference_label, k->order, t->label[q], &begin, &end_of_label);
  memcpy(b.near, b.row[1] + begin, (size_t)(end_of_label - begin) * sizeof *b.near);
  sit(t, q, begin, end_of_label, s, b.near, &b);
  count(t, s, 0, k->N, b.row[1]);
  rise(t, q, s);
}

/* ---- means ----------------------------------------------------------------------------------- */

/* The mean of a score over queries with a match, and the mean over classes of their means. The
 * score of query i is v[i * stride]; without v it comes from `first`: its inverse, or whether it is
 * 1. */
static void means(const job *t, const real *v, int64_t stride, bool inverse, double *mean,
                  double *by_class) {
  const int64_t *order = t->k->query_order, *first = cr_ints(t->c->out[FIRST]);
  double all = 0, classes = 0, sum = 0;
  int64_t n = 0, in_class = 0, number = 0;
  for (int64_t s = 0; s < t->k->Q; s++) {
    int64_t i = order[s];
    if (first[i] > 0) {
      double x = v != NULL ? (double)v[i * stride]
        : inverse ? 1 / (double)first[i] : first[i] == 1;
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
  int64_t ks = t->k->ks, cells = AT_ROWS * ks;
  for (int64_t i = 0; i < t->k->Q; i++) queries += cr_ints(c->out[FIRST])[i] > 0;
  s[S_QUERIES] = queries;
  means(t, NULL, 1, false, &s[S_P1], &s[S_P1_CLASS]);
  means(t, NULL, 1, true, &s[S_MRR], &s[S_MRR_CLASS]);
  means(t, cr_reals(c->out[R_PRECISION]), 1, false, &s[S_RP], &s[S_RP_CLASS]);
  means(t, cr_reals(c->out[MAP_AT_R]), 1, false, &s[S_MAPR], &s[S_MAPR_CLASS]);
  means(t, cr_reals(c->out[AVERAGE_PRECISION]), 1, false, &s[S_MAP], &s[S_MAP_CLASS]);
  for (int l = 0; l < 4; l++) s[S_R1 + l] = recall_at(t, 1 << l, queries);
  for (int64_t cell = 0; cell < cells; cell++) {
    double mean, by_class;
    means(t, t->k->at + cell, cells, false, &mean, &by_class);
    cr_reals(c->out[AT_K])[cell] = (real)mean;
    cr_reals(c->out[AT_K_CLASS])[cell] = (real)by_class;
  }
  for (int64_t l = 0; l < ks; l++) {
    cr_reals(c->out[RECALL])[l] = cr_reals(c->out[AT_K])[HIT * ks + l];
    cr_reals(c->out[PRECISION])[l] = cr_reals(c->out[AT_K])[SHARE_OF_K * ks + l];
  }
}

static void forward(cr_call *c) {
  work k;
  lay_out(c, c->dim['a'], &k, c->scratch);
  cr_stream_shape shape = shape_of(c, k.largest);
  job t = { .c = c, .k = &k, .same = shape.same, .label = cr_ints(c->in[LABELS]) };
  t.reference_label = t.same ? t.label : cr_ints(c->in[REFERENCE_LABELS]);
  for (int64_t l = 0; l < k.ks; l++) t.at[l] = c->list[K].n > 0 ? c->list[K].at[l] : 1 << l;
  k.ideal[0] = 0;
  for (int64_t n = 1; n <= k.largest; n++) k.ideal[n] = k.ideal[n - 1] + discount(n);
  cr_label_order(k.N, t.reference_label, k.order, k.spare);
  cr_label_order(k.Q, t.label, k.query_order, k.spare);
  cr_stream stream;
  t.stream = &stream;
  cr_stream_start(&stream, &shape, cr_reals(c->in[EMBEDDINGS]),
                  t.same ? NULL : cr_reals(c->in[REFERENCES]),
                  shape.pieces ? k.query_order : NULL, shape.pieces ? k.order : NULL, k.stream);
  if (!shape.pieces) cr_stream_rows(&stream, reranked, &t);
  else cr_stream_pieces(&stream, &(cr_stream_fns){ start, piece, end }, &t);
  summarise(&t);
}

const cr_op cr_metric_retrieval = {
  .name = "retrieval", .help =
      "recall@k, precision@k, R-precision, MAP@R, MAP@k, MRR, NDCG@k of nearest neighbours",
  .formula = "MAP@R = mean over queries of 1/R sum over matches with rank_i <= R of i / rank_i",
  .paper = "Musgrave, Belongie, Lim, \"A metric learning reality check\", ECCV 2020, section 3.2",
  .differs = "MAP@k: libraries divide by R, min(k, R) or the hits found: rows 5, 6, 7 of at_k. "
             "precision@k: by k (row 3), OML by min(k, R) (row 4). pytorch-metric-learning leaves "
             "out queries without a match as here; OML counts them.",
  .inputs = inputs, .outputs = outputs, .options = options, .stats = stats, .check = check,
      .forward = forward,
};
