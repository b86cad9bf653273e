/* triplet.c - triplet loss over the triplets of a labelled batch
 *
 *   l_apn = max(0, d_ap - d_an + margin)          soft: log(1 + exp(d_ap - d_an + margin))
 *
 * The margin is 0.2 when not given, and 0 with soft = true. Anchor a and positive p carry one
 * label, negative n another. Which triplets are considered:
 *
 *   mine = "all"        every one
 *          "hard"       for each anchor its farthest positive and its nearest negative (batch hard,
 *                       Hermans 2017)
 *          "semihard"   for each pair (a, p) the nearest negative that is farther than p, or, when
 *                       no negative is, the farthest one (FaceNet; a triplet of this kind has 0 < L
 *                       < margin)
 *   reduction = "nonzero"   the sum by the number of triplets with a loss above 0 (soft: of all of
 *                           them)
 *               "mean"      by the number of all that were considered
 *               "sum"
 *   squared = true      d^2 in place of d, as in FaceNet; not for cosine and dot
 *   swap = true         d_an becomes min(d_an, d_pn), anchor swap (Balntas 2016); only with mine =
 *                       "all", without references. Takes time B^2 K in place of B^2, and the
 *                       distances of a whole class in memory
 *
 * distance = "cosine" is 1 - cos (a margin on similarities is the same margin here), "dot" is minus
 * the inner product. normalize divides rows by max(|x|, 1e-12) first. With references [R D] and
 * their labels, positives and negatives come from those: an anchor's own row is not left out.
 *
 * Cost: B^2 D for distances and gradient; all triplets are counted, not listed
 * (kernels/triplet_rows.h). Memory: a tile of rows by B, and a few times B D; never B^2. An empty
 * set of triplets gives 0 with zero gradient. The gradient of a Euclidean distance at 0 is 0. An
 * embedding that is not finite gives nan. */
#include <math.h>
#include <string.h>

#include "autograd/op.h"
#include "kernels/label_order.h"
#include "kernels/tile_loss.h"
#include "kernels/triplet_rows.h"

enum { EMBEDDINGS, LABELS, REFERENCES, REFERENCE_LABELS };
enum { MARGIN, MINE, SOFT, SQUARED, SWAP, DISTANCE, NORMALIZE, REDUCTION };
enum { ALL, HARD, SEMIHARD };
enum { MEAN, NONZERO, SUM };
enum { ACTIVE_SHARE, POSITIVE_DISTANCE, NEGATIVE_DISTANCE, TRIPLETS, ACTIVE };

static const cr_input inputs[] = {
  [EMBEDDINGS]       = { "embeddings",       "B D", CR_TREAL, 0 },
  [LABELS]           = { "labels",           "B",   CR_TINT,  CR_NOGRAD },
  [REFERENCES]       = { "references",       "R D", CR_TREAL, CR_OPTIONAL },
  [REFERENCE_LABELS] = { "reference_labels", "R",   CR_TINT,  CR_OPTIONAL | CR_NOGRAD },
  { 0 }
};

static const cr_option options[] = {
  [MARGIN]    = { "margin", NAN, -1e30, 1e30,
                  "how much farther a negative shall be; default 0.2, soft 0", CR_NUMBER, NULL,
                      false },
  [MINE]      = { "mine", ALL, 0, 0, "which triplets count", CR_CHOICE, "all hard semihard",
                  false },
  [SOFT]      = { "soft", 0, 0, 1, "log(1 + exp(.)) in place of the hinge", CR_FLAG, NULL, false },
  [SQUARED]   = { "squared", 0, 0, 1, "squared distances", CR_FLAG, NULL, false },
  [SWAP]      = { "swap", 0, 0, 1, "the negative's distance is the smaller of its two", CR_FLAG,
                  NULL, false },
  [DISTANCE]  = { "distance", CR_EUCLIDEAN, 0, 0, "", CR_CHOICE, CR_METRIC_NAMES, false },
  [NORMALIZE] = { "normalize", 0, 0, 1, "divide rows by their norm first", CR_FLAG, NULL, false },
  [REDUCTION] = { "reduction", NONZERO, 0, 0, "what the sum is divided by", CR_CHOICE,
                  "mean nonzero sum", false },
  { 0 }
};

static const char *const stats[] = {
  /* share of the considered triplets with a loss above 0 */
  [ACTIVE_SHARE] = "active",
  [POSITIVE_DISTANCE] = "positive_distance",  /* means over all pairs of the batch */
  [NEGATIVE_DISTANCE] = "negative_distance",
  [TRIPLETS] = "triplets",                    /* how many were considered */
  [ACTIVE] = "active_triplets",
  NULL
};

static cr_tile_shape shape_of(const cr_call *c) {
  int64_t B = c->dim['B'];
  return (cr_tile_shape){
    .rows = B, .width = c->dim['D'],
        .references = c->in[REFERENCE_LABELS] != NULL ? c->dim['R'] : 0,
    .metric = (cr_metric)c->option[DISTANCE], .squared = c->option[SQUARED] != 0,
    .normalize = c->option[NORMALIZE] != 0, .gradient = c->wants_grad,
        .reference_gradient = c->want[REFERENCES],
  };
}

/* The size of the largest class: a border for K, and what a tile must hold for `swap`. */
static bool largest_class(const cr_tensor *labels, int64_t *largest, cr_error *err) {
  int64_t n = labels->shape[0];
  int64_t *order = cr_alloc(2 * (size_t)n * sizeof *order, err);
  if (order == NULL) return false;
  cr_label_order(n, cr_ints(labels), order, order + n);
  *largest = cr_label_largest(n, cr_ints(labels), order);
  cr_free(order);
  return true;
}

static size_t aligned(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

/* What a row needs for K positives: thresholds, who they are, counts, and the work space of
 * triplet_rows. */
static size_t row_bytes(int64_t k) {
  return aligned((size_t)k * sizeof(real)) + aligned((size_t)k * sizeof(double)) +
         aligned(cr_triplet_bytes(k) + 2 * (size_t)(k + 1) * sizeof(int64_t));
}

static bool check(cr_call *c, cr_error *err) {
  bool references = c->in[REFERENCES] != NULL, swap = c->option[SWAP] != 0;
  int64_t k = 0;
  if (references != (c->in[REFERENCE_LABELS] != NULL))
    return cr_fail(err, CR_EVALUE, "references and reference_labels go together, got only %s",
                   references ? "references" : "reference_labels");
  if (references && c->dim['R'] == 0)
    return cr_fail(err, CR_ESHAPE, "references must have a row or more, got none");
  if (c->option[SQUARED] != 0
      && (c->option[DISTANCE] == CR_COSINE || c->option[DISTANCE] == CR_DOT))
    return cr_fail(err, CR_EVALUE,
                   "squared is for distance = \"euclidean\" or \"manhattan\", got \"%s\"",
                   c->option[DISTANCE] == CR_DOT ? "dot" : "cosine");
  if (swap && c->option[MINE] != ALL) return cr_fail(err, CR_EVALUE, "swap needs mine = \"all\"");
  if (swap && references) return cr_fail(err, CR_EVALUE, "swap cannot be had with references");
  if (!largest_class(c->in[references ? REFERENCE_LABELS : LABELS], &k, err)) return false;
  cr_tile_shape shape = shape_of(c);
  shape.row_scratch_bytes = row_bytes(k);
  if (swap) shape.whole_classes = k;
  c->dim['a'] = k;
  return cr_tile_sizes(&shape, &c->saved_bytes, &c->scratch_bytes, err);
}

/* ---- rows ------------------------------------------------------------------------------------ */

enum { LOSS, CONSIDERED, COUNTED };

typedef struct settings { real margin; bool soft; int64_t largest; } settings;

/* One triplet's loss and slope; counts it. */
static double term(const settings *s, const cr_row *row, double x) {
  double slope = x > 0;
  row->sum[CONSIDERED]++;
  if (s->soft) row->sum[LOSS] += cr_triplet_softplus(x, &slope);
  else if (x > 0) row->sum[LOSS] += x;
  row->sum[COUNTED] += s->soft || x > 0;
  return slope;
}

static void clear(const cr_row *row) {
  if (row->w != NULL) memset(row->w, 0, (size_t)row->columns * sizeof *row->w);
}

/* The distances to the positives, plus `add`; returns their number. */
static int64_t positives(const cr_row *row, real add, real *u) {
  int64_t k = 0;
  for (int64_t p = row->begin; p < row->end; p++)
    if (p != row->self) u[k++] = row->d[p] + add;
  return k;
}

static void all_row(const cr_row *row, void *context) {
  const settings *s = context;
  real *u = row->scratch;
  double *count = (double *)(void *)((unsigned char *)u
                                     + aligned((size_t)s->largest * sizeof(real)));
  void *work = (unsigned char *)count + aligned((size_t)s->largest * sizeof(double));
  clear(row);
  if (row->positives == 0 || row->negatives == 0) return;
  int64_t k = positives(row, s->margin, u), size = row->end - row->begin;
  (s->soft ? cr_triplet_soft : cr_triplet_hinge)(k, u, row->d, row->begin, size,
                                                 row->columns - row->end, row->w,
                                                 count, &row->sum[LOSS], work);
  row->sum[CONSIDERED] = (double)k * (double)row->negatives;
  for (int64_t i = 0; !s->soft && i < k; i++) row->sum[COUNTED] += count[i];
  if (s->soft) row->sum[COUNTED] = row->sum[CONSIDERED];
  for (int64_t p = row->begin, i = 0; row->w != NULL && p < row->end; p++)
    if (p != row->self) row->w[p] = (real)count[i++];
}

/* The place of the least of v[begin .. end-1], or of the one at `best` if that is not above it; -1:
 * none yet. Lanes first, then a search for the number found: several times faster than carrying the
 * place along. */
CR_VECTOR static int64_t least(const real *v, int64_t begin, int64_t end, int64_t best) {
  enum { LANES = 16 };
  if (begin >= end) return best;
  real lane[LANES], low = v[begin];
  int64_t j = begin;
  for (int l = 0; l < LANES; l++) lane[l] = low;
  for (; j + LANES <= end; j += LANES)
    for (int l = 0; l < LANES; l++) lane[l] = v[j + l] < lane[l] ? v[j + l] : lane[l];
  for (; j < end; j++) low = v[j] < low ? v[j] : low;
  for (int l = 0; l < LANES; l++) low = lane[l] < low ? lane[l] : low;
  if (best >= 0 && v[best] <= low) return best;
  for (j = begin; v[j] != low; j++) { }
  return j;
}

static void hard_row(const cr_row *row, void *context) {
  const settings *s = context;
  int64_t far = -1, near = least(row->d, row->end, row->columns, least(row->d, 0, row->begin, -1));
  clear(row);
  for (int64_t p = row->begin; p < row->end; p++)
    if (p != row->self && (far < 0 || row->d[p] > row->d[far])) far = p;
  if (far < 0 || near < 0) return;
  double slope = term(s, row, (double)(row->d[far] + s->margin) - (double)row->d[near]);
  if (row->w == NULL) return;
  row->w[far] = (real)slope;
  row->w[near] = (real)-slope;
}

/* With positives sorted, a negative lies beyond the first place[] of them. The nearest negative
 * beyond a positive is the least over all places from its own on: a minimum for each place, then
 * minima from the end. */
static void semihard_row(const cr_row *row, void *context) {
  const settings *s = context;
  real *u = row->scratch;
  unsigned char *work = (unsigned char *)u + aligned((size_t)s->largest * sizeof(real)) +
                        aligned((size_t)s->largest * sizeof(double));
  int64_t *best = (int64_t *)(void *)work, farthest = -1, k = 0;
  clear(row);
  if (row->positives == 0 || row->negatives == 0) return;
  for (int64_t p = row->begin; p < row->end; p++)
    /* beyond is strictly farther */
    if (p != row->self) u[k++] = (real)nextafter(row->d[p], (real)INFINITY);
  cr_rank rank;
  cr_rank_start(&rank, k, u, work + (size_t)(k + 1) * sizeof *best);
  for (int64_t i = 0; i <= k; i++) best[i] = -1;
  for (int64_t begin = 0, some; begin < row->columns; begin += some) {
    if (begin == row->begin) begin = row->end;
    int64_t border = begin < row->begin ? row->begin : row->columns;
    int32_t place[CR_RANK_CHUNK];
    some = border - begin < CR_RANK_CHUNK ? border - begin : CR_RANK_CHUNK;
    cr_rank_places(&rank, some, row->d + begin, place);
    for (int64_t j = begin; j < begin + some; j++) {
      int64_t *b = &best[place[j - begin]];
      if (*b < 0 || row->d[j] < row->d[*b]) *b = j;
      if (farthest < 0 || row->d[j] > row->d[farthest]) farthest = j;
    }
  }
  int64_t nearest = -1;
  for (int64_t i = k; i > 0; i--) {
    if (best[i] >= 0 && (nearest < 0 || row->d[best[i]] <= row->d[nearest])) nearest = best[i];
    int64_t p = row->begin + rank.order[i - 1], n = nearest >= 0 ? nearest : farthest;
    if (row->self >= row->begin && p >= row->self) p++;
    double slope = term(s, row, (double)(row->d[p] + s->margin) - (double)row->d[n]);
    if (row->w == NULL) continue;
    row->w[p] += (real)slope;
    row->w[n] -= (real)slope;
  }
}

/* The loss of (a, p, n) is that of (p, a, n), and both count. So what (a, n) gets is all there in
 * a's own row: twice the slope where d_an is the smaller of the two, once in a tie. */
static void swap_row(const cr_row *row, void *context) {
  const settings *s = context;
  clear(row);
  for (int64_t p = row->begin; p < row->end; p++) {
    if (p == row->self) continue;
    const real *other = cr_tile_row(row->tile, p);
    double pull = 0;
    real u = row->d[p] + s->margin;
    for (int64_t n = 0; n < row->columns; n++) {
      if (n == row->begin) n = row->end;
      if (n >= row->columns) break;
      real mine = row->d[n], theirs = other[n];
      double slope = term(s, row, (double)u - (double)(mine < theirs ? mine : theirs));
      pull += slope;
      if (row->w != NULL) row->w[n] -= (real)(slope * (mine < theirs ? 2 : mine == theirs ? 1 : 0));
    }
    if (row->w != NULL) row->w[p] = (real)pull;
  }
}

/* ---- loss ------------------------------------------------------------------------------------ */

static void forward(cr_call *c) {
  static const cr_row_fn by_choice[] = { [ALL] = all_row, [HARD] = hard_row,
                                         [SEMIHARD] = semihard_row };
  cr_tile_shape shape = shape_of(c);
  bool swap = c->option[SWAP] != 0, references = shape.references > 0;
  bool soft = c->option[SOFT] != 0;
  double margin = isnan(c->option[MARGIN]) ? (soft ? 0 : 0.2) : c->option[MARGIN];
  settings s = { (real)margin, soft, c->dim['a'] };
  shape.row_scratch_bytes = row_bytes(s.largest);
  if (swap) shape.whole_classes = s.largest;
  cr_tile t;
  double sum[CR_ROW_SUMS];
  cr_tile_start(&t, &shape, cr_reals(c->in[EMBEDDINGS]), cr_ints(c->in[LABELS]),
                references ? cr_reals(c->in[REFERENCES]) : NULL,
                references ? cr_ints(c->in[REFERENCE_LABELS]) : NULL, c->scratch);
  cr_tile_pass(&t, swap ? swap_row : by_choice[(int)c->option[MINE]], &s, c->wants_grad, sum);
  double by[] = { [MEAN] = sum[CONSIDERED], [NONZERO] = sum[COUNTED], [SUM] = 1 };
  double scale = cr_ratio(1, by[(int)c->option[REDUCTION]]);
  cr_tile_gradient(&t, scale, c->saved);
  *cr_reals(c->out[0]) = (real)cr_tile_result(&t, scale * sum[LOSS]);
  c->stat[ACTIVE_SHARE] = cr_ratio(sum[COUNTED], sum[CONSIDERED]);
  c->stat[POSITIVE_DISTANCE] = cr_ratio(t.positive_distance, (double)t.positive_pairs);
  c->stat[NEGATIVE_DISTANCE] = cr_ratio(t.negative_distance, (double)t.negative_pairs);
  c->stat[TRIPLETS] = sum[CONSIDERED];
  c->stat[ACTIVE] = sum[COUNTED];
}

static void backward(cr_call *c) {
  cr_tile_shape shape = shape_of(c);
  shape.references = c->gin[REFERENCES] != NULL ? c->dim['R'] : 0;
  cr_tile_backward(&shape, c->saved, (double)*cr_reals(c->gout[0]),
                   c->gin[EMBEDDINGS] != NULL ? cr_reals(c->gin[EMBEDDINGS]) : NULL,
                   c->gin[REFERENCES] != NULL ? cr_reals(c->gin[REFERENCES]) : NULL);
}

const cr_op cr_loss_triplet = {
  .name = "triplet", .help =
      "an anchor shall be nearer to its positive than to a negative, by a margin",
  .formula = "mean over triplets of max(0, d(a,p) - d(a,n) + margin)",
  .paper = "Schroff, Kalenichenko, Philbin, \"FaceNet\", CVPR 2015, eq. 3; Hermans, Beyer, Leibe, "
           "\"In defense of the triplet loss\", 2017, eq. 5; swap: Balntas and others, \"Learning "
           "local feature descriptors with triplets\", BMVC 2016",
  .differs = "FaceNet squares distances and normalises rows: squared = true, normalize = true",
  .inputs = inputs, .options = options, .stats = stats, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = backward,
};
