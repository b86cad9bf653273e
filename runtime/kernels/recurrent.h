/* recurrent.h - the three classic recurrent layers over a sequence, forward and backward
 *
 *   tanh, relu   h' = f(W_ih x + b_ih + W_hh h + b_hh)
 *   lstm         i, f, o = sigmoid, g = tanh of the four parts;  c' = f c + i g,  h' = o tanh(c')
 *                                            rows i f g o
 *   gru          r, z = sigmoid,  n = tanh(W_in x + b_in + r (W_hn h + b_hn)),
 *                h' = (1 - z) n + z h        rows r z n
 *
 * A cell is a sequence of one step. Steps t >= length[b] of row b are padding: they hold the state,
 * whichever way the walk goes, so that out there repeats it, x there gets no gradient, and nothing
 * is computed. Spread over the pool by rows; the bits do not depend on the number of threads. */
#ifndef CR_KERNELS_RECURRENT_H
#define CR_KERNELS_RECURRENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/real.h"

typedef enum { CR_RNN_TANH, CR_RNN_RELU, CR_RNN_LSTM, CR_RNN_GRU } cr_recurrent_kind;

typedef struct cr_recurrent {
  cr_recurrent_kind kind;
  bool reverse;                         /* from the last step to the first */
  int64_t T, B, D, H;
  const real *x, *h0, *c0;              /* [T B D], [B H], [B H]; h0 and c0 may be NULL: zeros */
  const real *w_ih, *w_hh;              /* [parts H, D], [parts H, H] */
  const real *b_ih, *b_hh;              /* [parts H], may be NULL */
  const int64_t *length;                /* [B], 0 .. T; NULL: all are T */
  real *out, *hn, *cn; /* [T B H]; the state after the last step, [B H], may be NULL */
  void *saved, *scratch;
  const real *g_out, *g_hn, *g_cn;      /* backward: may be NULL, as may all that follow */
  real *gx, *gh0, *gc0, *gw_ih, *gw_hh, *gb_ih, *gb_hh;
} cr_recurrent;

int cr_recurrent_parts(cr_recurrent_kind kind);           /* 1, 1, 4, 3 */
size_t cr_recurrent_saved_bytes(const cr_recurrent *r);
size_t cr_recurrent_scratch_bytes(const cr_recurrent *r, bool backward);
void cr_recurrent_forward(const cr_recurrent *r);
void cr_recurrent_backward(const cr_recurrent *r);        /* x, the weights, length, saved */

#endif
