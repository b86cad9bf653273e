/* lse_rows.h - log-sum-exp over slices of a row of distances
 *
 * In a tile (tile_loss.h) the positives of a row are one slice and its negatives the rest, so
 * every set a loss sums over is two pieces of the row: a span. A logarithm of a sum of exponentials
 * always subtracts the largest exponent first, and a logarithm of a ratio is the difference of two
 * of them: nothing overflows, and nothing vanishes that has a gradient, at any temperature. */
#ifndef CR_KERNELS_LSE_ROWS_H
#define CR_KERNELS_LSE_ROWS_H

#include "kernels/tile_loss.h"

typedef struct cr_span { int64_t begin[2], end[2]; } cr_span;

cr_span cr_span_positives(const cr_row *row);
cr_span cr_span_negatives(const cr_row *row);
cr_span cr_span_others(const cr_row *row);        /* all but the row itself */

/* log sum_j e^(a d_j), and sum_j e^(a d_j - the largest of them). An empty span: -inf and 0. */
typedef struct cr_lse { double log, sum; } cr_lse;

/* e, where not NULL, gets e^(a d_j - the largest) over the span: by 1 / sum it is the softmax. It
 * may be d itself. */
cr_lse cr_span_lse(const real *d, cr_span span, double a, real *e);

/* sum_j log(1 + e^(a d_j + plus)); w, where not NULL, gets the slopes by the exponent. */
double cr_span_log_one_plus(const real *d, cr_span span, double a, double plus, real *w);

double cr_span_sum(const real *d, cr_span span);
/* v_j = by v_j + plus; v_j = to */
void cr_span_affine(real *v, cr_span span, double by, double plus);
void cr_span_fill(real *v, cr_span span, double to);

/* Of over_j = max(0, sign (d_j - limit)), which e, where not NULL, gets: how many are above 0, how
 * many were not below it before the cut, sum and sum of squares. */
typedef struct cr_over { double above, reached, sum, squares; } cr_over;
cr_over cr_span_over(const real *d, cr_span span, double sign, double limit, real *e);

/* e_j *= by / lse.sum: what cr_span_lse left in e becomes by times the softmax. */
void cr_span_softmax(real *e, cr_span span, cr_lse lse, double by);

/* log(e^a + e^b), either of which may be -inf */
double cr_log_add(double a, double b);
/* log(1 + e^x) and its slope; x may be infinite */
double cr_log_one_plus(double x, double *slope);

/* -log( sum_p e^(a d_p) / sum_j e^(a d_j) ), p over the positives and j over all others, and its
 * slopes in row->w: how likely a neighbour drawn by a softmax is one of the positives. */
double cr_lse_neighbours(const cr_row *row, double a);

/* sum_p log(1 + e^(lse_n - u_p)), lse_n over the negatives of e^(a d_n); each positive against all
 * negatives at once. `positive` gives u and du/dd at a distance. Slopes go to row->w; the terms go
 * to `term`. */
typedef double (*cr_lse_positive_fn)(double d, double *slope, void *context);
typedef void (*cr_lse_term_fn)(const cr_row *row, double loss);
void cr_lse_each_positive(const cr_row *row, double a, cr_lse_positive_fn positive, void *context,
                          cr_lse_term_fn term);

#endif
