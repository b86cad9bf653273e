/* tile_loss.h - the engine of every loss over the pairs of a labelled batch
 *
 * A loss over pairs or triplets is, row by row: read the distances of one row to all others, add up
 * its terms, write the derivative of the loss by each distance. The engine does the rest and never
 * holds more than a tile of T rows by n columns:
 *
 *   sort by label       the positives of a row become one slice of columns, the negatives the rest
 *   normalise, centre   into a packed copy
 *   for each tile       distances (pair_dist.h), the loss's row function, coefficients, matrix
 *                       products
 *   gradient            undo centring, normalising and sorting
 *
 *     cr_tile_shape shape = { .rows = B, .width = D, .metric = ..., .gradient = c->wants_grad };
 *     check:     cr_tile_sizes(&shape, &c->saved_bytes, &c->scratch_bytes, err)
 *     forward:   cr_tile_start(&tile, &shape, x, label, NULL, NULL, c->scratch);
 *                cr_tile_pass(&tile, row, &context, c->wants_grad, sum);
 *                cr_tile_gradient(&tile, scale, c->saved);
 *     backward:  cr_tile_backward(&shape, c->saved, gout, gx, NULL);
 *
 * The loss is a leaf of the graph: its gradient, [rows, width], is worked out in the forward call,
 * where the distances are, and backward only scales it. A loss that needs something of the whole
 * batch before it can weigh pairs makes two passes, the first without weights. With references each
 * row is held against those instead of the other rows of the batch.
 *
 * Where a row's distances are not all finite its function is not called, and cr_tile_result is
 * nan. */
#ifndef CR_KERNELS_TILE_LOSS_H
#define CR_KERNELS_TILE_LOSS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "kernels/pair_dist.h"

enum { CR_ROW_SUMS = 6 };

typedef struct cr_tile_shape {
  int64_t rows, width;
  int64_t references;         /* 0: the rows themselves, each but for itself */
  cr_metric metric;
  bool squared, normalize;    /* cosine normalises in any case */
  double least_norm;          /* a row is divided by its norm, but by no less than this; 0: 1e-12 */
  bool symmetric;             /* d_ij and d_ji get one weight: see pair_dist.h */
  bool gradient, reference_gradient;
  /* 0, or the size of the largest class: no class is cut by the border of a tile */
  int64_t whole_classes;
  size_t row_scratch_bytes;   /* for the row function, a block for each worker */
} cr_tile_shape;

typedef struct cr_tile cr_tile;

/* Row i of the sorted batch. Columns begin .. end-1 carry its label, `self` (or -1) is the row
 * itself and counts nowhere. */
typedef struct cr_row {
  const cr_tile *tile;
  int64_t i, columns, begin, end, self;
  int64_t positives, negatives;
  const real *d;              /* [columns] */
  /* [columns]: the row function writes every element but self. NULL: not wanted */
  real *w;
  double *sum;                /* [CR_ROW_SUMS], 0 at first; added up over rows, in order */
  void *scratch;
} cr_row;

typedef void (*cr_row_fn)(const cr_row *row, void *context);

struct cr_tile {
  cr_tile_shape shape;
  cr_pairs pairs;
  cr_pairs_sums sums;
  int64_t tile_rows, first, count;            /* the tile at work */
  /* sorted place -> row as given; reference_order is order without references */
  int64_t *order, *reference_order;
  const int64_t *label, *reference_label;
  int64_t *begin, *end, *spare;               /* by row */
  real *x, *y, *xx, *yy, *mean;               /* the packed rows and references behind `pairs` */
  const real *given, *given_references;
  real *inverse, *reference_inverse;          /* 1 / norm, when normalising */
  real *d, *w;                                /* [tile_rows, columns] */
  bool *close;
  cr_pairs_mode *mode;
  double *row_sums;
  unsigned char *row_scratch;
  int64_t kept_first;                         /* the tile whose distances d holds, or -1 */

  int64_t anchors;                            /* rows with a positive and a negative */
  int64_t positive_pairs, negative_pairs;     /* ordered: (i, j) and (j, i) are two */
  double triplets;                            /* sum over rows of positives x negatives */
  double positive_distance, negative_distance; /* sums over those pairs, by the last pass */
  bool healthy;                               /* all distances of the last pass were finite */
};

/* Bytes for the gradient and for everything else; fails when they overflow. */
bool cr_tile_sizes(const cr_tile_shape *shape, size_t *saved_bytes, size_t *scratch_bytes,
                   cr_error *err);

void cr_tile_start(cr_tile *t, const cr_tile_shape *shape, const real *x, const int64_t *label,
                   const real *references, const int64_t *reference_label, void *scratch);
void cr_tile_pass(cr_tile *t, cr_row_fn fn, void *context, bool weights, double sum[CR_ROW_SUMS]);
/* The distances of row i, which must lie in the tile at work (whole_classes: the rows of one's own
 * class do). */
const real *cr_tile_row(const cr_tile *t, int64_t i);
/* scale times the gradient of everything weighed so far, into saved: [rows, width], then
 * [references, width]. */
void cr_tile_gradient(cr_tile *t, double scale, real *saved);
void cr_tile_backward(const cr_tile_shape *shape, const real *saved, double gout, real *gx,
                      real *greferences);

/* `loss`, or nan where distances were not finite */
double cr_tile_result(const cr_tile *t, double loss);
/* a / b, and 0 for an empty set */
double cr_ratio(double a, double b);

#endif
