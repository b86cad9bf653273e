/* batch_loss.h - what losses over the pairs of a labelled batch have in common
 *
 * Inputs 0 .. 3 are embeddings [B D], labels [B] and, optionally, references [R D] with their
 * labels [R]; what else a loss takes comes after. Three options stand in a row: distance, squared,
 * normalize. The first three statistics are the active share and the mean distances of positive and
 * of negative pairs. Between cr_batch_start and cr_batch_end the loss makes its passes over the
 * tiles of kernels/tile_loss.h:
 *
 *   check:     cr_tile_shape shape = cr_batch_shape(c, DISTANCE);
 *              return cr_batch_check(c, &shape, 0, 0, err);
 *   forward:   cr_batch_start(&tile, c, &shape);
 *              cr_tile_pass(&tile, row, &context, c->wants_grad, sum);
 *              cr_batch_end(c, &tile, scale, loss, active_share);
 *   backward:  cr_batch_backward(c);
 */
#ifndef CR_AUTOGRAD_BATCH_LOSS_H
#define CR_AUTOGRAD_BATCH_LOSS_H

#include "autograd/op.h"
#include "kernels/tile_loss.h"

enum { CR_BATCH_X, CR_BATCH_LABELS, CR_BATCH_REFERENCES, CR_BATCH_REFERENCE_LABELS, CR_BATCH_MORE };
#define CR_BATCH_INPUTS \
  [CR_BATCH_X]                = { "embeddings",       "B D", CR_TREAL, 0 }, \
  [CR_BATCH_LABELS]           = { "labels",           "B",   CR_TINT,  CR_NOGRAD }, \
  [CR_BATCH_REFERENCES]       = { "references",       "R D", CR_TREAL, CR_OPTIONAL }, \
  [CR_BATCH_REFERENCE_LABELS] = { "reference_labels", "R",   CR_TINT,  CR_OPTIONAL | CR_NOGRAD }

/* distance, squared and normalize, in this order */
#define CR_BATCH_OPTIONS(metric, square, norm) \
  { "distance", metric, 0, 0, "", CR_CHOICE, CR_METRIC_NAMES, false }, \
  { "squared", square, 0, 1, "squared distances", CR_FLAG, NULL, false }, \
  { "normalize", norm, 0, 1, "divide rows by their norm first", CR_FLAG, NULL, false }

/* how one number comes of the losses of rows or triplets */
enum { CR_BATCH_MEAN, CR_BATCH_SUM, CR_BATCH_NONZERO };
#define CR_BATCH_REDUCTION(reduction) \
  { "reduction", reduction, 0, 0, "what the sum is divided by", CR_CHOICE, "mean sum nonzero", \
    false }

enum { CR_BATCH_ACTIVE, CR_BATCH_POSITIVE, CR_BATCH_NEGATIVE, CR_BATCH_STATS };
#define CR_BATCH_STAT_NAMES "active", "positive_distance", "negative_distance"

/* `distance`: the number of that option, -1 where the loss has none (Euclidean, as given). */
cr_tile_shape cr_batch_shape(const cr_call *c, int distance);
/* More bytes of scratch and of saved memory may be had: cr_batch_scratch and cr_batch_saved name
 * them. */
bool cr_batch_check(cr_call *c, const cr_tile_shape *shape, size_t more_scratch, size_t more_saved,
                    cr_error *err);
/* The size of the largest class among what a row is held against. */
bool cr_batch_largest(const cr_call *c, int64_t *largest, cr_error *err);

void cr_batch_start(cr_tile *t, const cr_call *c, const cr_tile_shape *shape);
void *cr_batch_scratch(const cr_call *c, size_t more);
void *cr_batch_saved(const cr_call *c, size_t more);
/* 1 / what the reduction divides by, 0 for an empty set */
double cr_batch_scale(double reduction, double considered, double active);
/* Puts scale times the gradient by, and `loss` out. */
void cr_batch_end(cr_call *c, cr_tile *t, double scale, double loss, double active);
void cr_batch_backward(cr_call *c);

/* memory in rows of 64 bytes */
size_t cr_batch_aligned(size_t bytes);

#endif
