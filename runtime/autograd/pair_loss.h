/* pair_loss.h - losses that are a mean of terms over the rows or pairs of a labelled batch
 *
 * The loss gives one function of a row of distances (kernels/tile_loss.h): it adds its terms with
 * cr_pair_term and writes the slope of their plain sum by every distance into row->w. Inputs, the
 * last four options, checks, reduction, statistics and backward are here:
 *
 *   static const cr_option options[] = {
 *     [TEMPERATURE] = { "temperature", ... },
 *     CR_PAIR_OPTIONS(CR_COSINE, 0, CR_PAIR_MEAN),
 *     { 0 }
 *   };
 *   static void forward(cr_call *c) { cr_pair_forward(c, row, &settings); }
 *
 * (The defaults of distance, squared and reduction; squared NAN: where the distance has a square.)
 *
 *   reduction = "mean"      the sum of the terms by their number
 *               "sum"
 *               "nonzero"   by the number of terms above 0
 *
 * A loss of two towers takes other inputs, its first two being embeddings [B D] and references
 * [R D] with R >= B: row i belongs to row i of the references and to no other.
 *
 * distance = "cosine" is 1 - cos and "dot" minus the inner product, so that smaller is nearer.
 * With references [R D] and their labels each row is held against those; without, against the other
 * rows of the batch. A batch without pairs gives 0 with zero gradient; an embedding that is not
 * finite gives nan. */
#ifndef CR_AUTOGRAD_PAIR_LOSS_H
#define CR_AUTOGRAD_PAIR_LOSS_H

#include "autograd/op.h"
#include "kernels/lse_rows.h"

enum { CR_PAIR_EMBEDDINGS, CR_PAIR_LABELS, CR_PAIR_REFERENCES, CR_PAIR_REFERENCE_LABELS };
enum { CR_TOWER_EMBEDDINGS, CR_TOWER_REFERENCES };
extern const cr_input cr_pair_loss_inputs[];

enum { CR_PAIR_MEAN, CR_PAIR_SUM, CR_PAIR_NONZERO };
#define CR_PAIR_OPTIONS(metric, square, reduce) \
  { "distance", metric, 0, 0, "cosine is 1 - cos, dot minus the inner product", CR_CHOICE, \
    CR_METRIC_NAMES, false }, \
  { "squared", square, 0, 1, "squared euclidean or manhattan distances; nil: wherever there are", \
    CR_FLAG, NULL, false }, \
  { "normalize", 0, 0, 1, "divide rows by their norm first (cosine always does)", CR_FLAG, NULL, \
    false }, \
  { "reduction", reduce, 0, 0, "mean: by the number of terms; nonzero: by those above 0", \
    CR_CHOICE, "mean sum nonzero", false }

extern const char *const cr_pair_loss_stats[];

/* The settings of the last four options. */
cr_metric cr_pair_metric(const cr_call *c);
/* A threshold on similarities (cosine, dot) or distances, as one on distances. */
double cr_pair_threshold(const cr_call *c, double value);

/* What row->sum[] holds; from CR_PAIR_OWN on a loss may add up numbers of its own. */
enum { CR_PAIR_LOSS, CR_PAIR_TERMS, CR_PAIR_ACTIVE, CR_PAIR_OWN };
void cr_pair_term(const cr_row *row, double loss);

bool cr_pair_check(cr_call *c, cr_error *err);
/* The same with own_bytes for the loss at c->scratch, and row_bytes for each worker's rows. */
bool cr_pair_check_with(cr_call *c, size_t own_bytes, size_t row_bytes, cr_error *err);

/* One pass does it all. */
void cr_pair_forward(cr_call *c, cr_row_fn row, void *context);

/* The same in pieces, for a loss that takes several passes over the tile. */
void cr_pair_start(cr_call *c, cr_tile *t);
/* symmetric: within a batch the loss gives (i, j) and (j, i) one weight, which saves a third of the
 * work. least_norm: see tile_loss.h; 0 as a rule. */
void cr_pair_start_as(cr_call *c, cr_tile *t, bool symmetric, double least_norm);
/* Two towers: the references' rows against the embeddings, for sums over columns; values only. It
 * uses the memory of the tile of cr_pair_start and must be done with before. */
void cr_pair_start_columns(cr_call *c, cr_tile *t);
double cr_pair_scale(const cr_call *c, const double sum[CR_ROW_SUMS]);
/* scale is for the gradient gathered so far; loss is the result. */
void cr_pair_finish(cr_call *c, cr_tile *t, double scale, double loss,
                    const double sum[CR_ROW_SUMS]);
/* The same with the tile's gradient elsewhere than in c->saved. */
void cr_pair_finish_into(cr_call *c, cr_tile *t, real *gradient, double scale, double loss,
                         const double sum[CR_ROW_SUMS]);
void cr_pair_backward(cr_call *c);

/* A number a loss keeps for backward beside the gradient: k = 0 or 1. */
enum { CR_PAIR_KEPT = 2 };
void cr_pair_keep(cr_call *c, int k, double value);
double cr_pair_kept(const cr_call *c, int k);

#endif
