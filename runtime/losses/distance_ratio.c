/* distance_ratio.c - distance ratio loss of the triplets of a labelled batch
 *
 *   l_apn = -log( e^-d_ap / (e^-d_ap + e^-d_an) ) = log(1 + e^(d_ap - d_an))
 *
 * the chance, by a softmax over two distances, of taking the negative for the positive. It is the
 * soft triplet loss with margin 0, over every triplet. The right-hand form neither overflows nor
 * takes the logarithm of 0.
 *
 *   reduction = "mean"      over triplets
 *               "nonzero"   over triplets whose negative is nearer than the positive
 *               "sum"
 *
 * Time B^2 D + B^2 K (kernels/triplet_rows.h); memory a tile of rows by B. No triplet: 0 with zero
 * gradient. */
#include <string.h>

#include "autograd/batch_loss.h"
#include "kernels/triplet_rows.h"

enum { DISTANCE, SQUARED, NORMALIZE, REDUCTION };
enum { TRIPLETS = CR_BATCH_STATS };

static const cr_input inputs[] = { CR_BATCH_INPUTS, { 0 } };

static const cr_option options[] = {
  [DISTANCE]  = CR_BATCH_OPTIONS(CR_EUCLIDEAN, 0, 0),
  [REDUCTION] = CR_BATCH_REDUCTION(CR_BATCH_MEAN),
  { 0 }
};

/* active: the share of triplets whose negative is nearer than the positive */
static const char *const stats[] = { CR_BATCH_STAT_NAMES, [TRIPLETS] = "triplets", NULL };

/* for K positives: distances, counts and slopes, and the work space of triplet_rows */
static size_t row_bytes(int64_t k) {
  return cr_batch_aligned((size_t)k * sizeof(real)) +
         2 * cr_batch_aligned((size_t)k * sizeof(double)) + cr_triplet_bytes(k);
}

static cr_tile_shape shape_of(const cr_call *c) {
  cr_tile_shape shape = cr_batch_shape(c, DISTANCE);
  shape.row_scratch_bytes = row_bytes(c->dim['a']);
  return shape;
}

static bool check(cr_call *c, cr_error *err) {
  if (!cr_batch_largest(c, &c->dim['a'], err)) return false;
  cr_tile_shape shape = shape_of(c);
  return cr_batch_check(c, &shape, 0, 0, err);
}

enum { LOSS, WRONG, HINGES };

static void ratio_row(const cr_row *row, void *context) {
  int64_t k = 0, largest = *(const int64_t *)context, size = row->end - row->begin;
  real *u = row->scratch;
  unsigned char *rest = (unsigned char *)u + cr_batch_aligned((size_t)largest * sizeof(real));
  double *slope = (double *)(void *)rest;
  rest += cr_batch_aligned((size_t)largest * sizeof(double));
  double *count = (double *)(void *)rest;
  void *work = rest + cr_batch_aligned((size_t)largest * sizeof(double));
  if (row->w != NULL) memset(row->w, 0, (size_t)row->columns * sizeof *row->w);
  if (row->positives == 0 || row->negatives == 0) return;
  for (int64_t p = row->begin; p < row->end; p++)
    if (p != row->self) u[k++] = row->d[p];
  cr_triplet_hinge(k, u, row->d, row->begin, size, row->columns - row->end, NULL, count,
                   &row->sum[HINGES], work);
  cr_triplet_soft(k, u, row->d, row->begin, size, row->columns - row->end, row->w, slope,
                  &row->sum[LOSS], work);
  for (int64_t i = 0; i < k; i++) row->sum[WRONG] += count[i];
  for (int64_t p = row->begin, i = 0; row->w != NULL && p < row->end; p++)
    if (p != row->self) row->w[p] = (real)slope[i++];
}

static void forward(cr_call *c) {
  cr_tile_shape shape = shape_of(c);
  double sum[CR_ROW_SUMS];
  cr_tile t;
  cr_batch_start(&t, c, &shape);
  cr_tile_pass(&t, ratio_row, &c->dim['a'], c->wants_grad, sum);
  double scale = cr_batch_scale(c->option[REDUCTION], t.triplets, sum[WRONG]);
  cr_batch_end(c, &t, scale, scale * sum[LOSS], cr_ratio(sum[WRONG], t.triplets));
  c->stat[TRIPLETS] = t.triplets;
}

const cr_op cr_loss_distance_ratio = {
  .name = "distance_ratio", .help = "chance of taking the negative for the positive",
  .formula = "mean over triplets of -log(exp(-d(a,p)) / (exp(-d(a,p)) + exp(-d(a,n))))",
  .paper = "Hoffer, Ailon, \"Deep metric learning using triplet network\", 2015; as a log ratio in "
           "torch/nn's DistanceRatioCriterion",
  .differs = "torch/nn takes given triplets and overflows for large distances",
  .inputs = inputs, .options = options, .stats = stats, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = cr_batch_backward,
};
