/* sampled_logistic.h - logistic regression of one true row of a table against a few drawn ones
 *
 *   s_bk = <x_b, t_r> + bias_r - shift_r       r = rows of entry k of b: the true one, then K drawn
 *   l_b  = softplus(-s_b0) + sum_{k >= 1} softplus(s_bk)
 *   slope_bk = dl_b/ds_bk = sigmoid(s_bk) - [k = 0]
 *
 * A vector x_b is row b of x, or the row of x named by x_row. Row numbers count from 1. The
 * gradient touches the rows named and nothing else: numbers are sorted, and what one row receives
 * is summed in double, in the order of the batch. */
#ifndef CR_KERNELS_SAMPLED_LOGISTIC_H
#define CR_KERNELS_SAMPLED_LOGISTIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/real.h"

typedef struct cr_sampled {
  int64_t batch, drawn, width;          /* B, K, D */
  const real *x;
  const int64_t *x_row;                 /* NULL: row b */
  const real *table, *bias;             /* bias NULL: 0 */
  const real *shift;                    /* by row of the table; NULL: 0 */
  double shift_all;                     /* added to every shift */
  const int64_t *positive, *negative;   /* [B], [B K] */
} cr_sampled;

/* loss[B]; score and slope [B (K+1)], slope may be NULL. Spread over the pool. */
void cr_sampled_terms(const cr_sampled *s, double *loss, real *score, real *slope);

/* slope times by[b]; by has one number for all rows when `one` */
void cr_sampled_scale(const cr_sampled *s, const real *slope, const real *by, bool one, double all,
                      real *scaled);

/* gx (rows: x_rows), gtable (rows: table_rows), gbias from the scaled slopes; NULL ones are left
 * out. scratch holds cr_sampled_bytes bytes. */
size_t cr_sampled_bytes(const cr_sampled *s);
void cr_sampled_gradient(const cr_sampled *s, const real *slope, int64_t x_rows, int64_t table_rows,
                         void *scratch, real *gx, real *gtable, real *gbias);

#endif
