/* soft_rank.h - where each positive of a row stands, softly
 *
 * For a positive at distance u the items nearer than it are counted by sigmoids,
 *
 *   before(u) = sum_j s((u - v_j) / tau),      s(x) = 1 / (1 + e^-x)
 *
 * once over the other positives and once over the negatives. A sigmoid is 0 or 1 to the last digit
 * that matters beyond CR_SOFT_REACH tau, so the v_j are laid out in cells of ascending distance (a
 * counting sort) and only cells within reach of u are evaluated; what lies nearer counts 1, what
 * lies farther 0. At tau = 0.01 that leaves about a quarter of the sigmoids.
 *
 * cr_soft_rank_row does all positives of a row of tile_loss.h: a function turns two counts into a
 * term of the loss and its slopes by them, and the slopes go back to the distances. */
#ifndef CR_KERNELS_SOFT_RANK_H
#define CR_KERNELS_SOFT_RANK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "kernels/tile_loss.h"

#ifdef CR_DOUBLE
#define CR_SOFT_REACH 38
#else
#define CR_SOFT_REACH 20
#endif

typedef struct cr_soft_counts { double positives, negatives; } cr_soft_counts;

/* The term of one positive, from what is counted before it, and the slopes by both counts. */
typedef double (*cr_soft_rank_fn)(const cr_row *row, cr_soft_counts before, cr_soft_counts *slope,
                                  const void *context);

typedef struct cr_soft_rank_job {
  double tau;
  bool among_positives;       /* count positives too; else that count is 0 */
  bool self_too;              /* the row itself is one more positive */
  cr_soft_rank_fn fn;
  const void *context;
} cr_soft_rank_job;

/* What cr_soft_rank_row adds to the sums of a row. Preceded: positives with a negative before. */
enum { CR_SOFT_LOSS, CR_SOFT_ROWS, CR_SOFT_ACTIVE_ROWS, CR_SOFT_POSITIVES, CR_SOFT_PRECEDED };

/* A cr_row_fn whose context is a cr_soft_rank_job. A row without positives gives nothing. */
void cr_soft_rank_row(const cr_row *row, void *job);
/* row_scratch_bytes for rows of n columns */
size_t cr_soft_rank_bytes(int64_t n);

#endif
