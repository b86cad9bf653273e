/* term_loss.h - losses that are a sum of terms, one for each element
 *
 * The loss gives one function that works out a run of terms and their slopes by each input;
 * checking shapes, the reduction and the scaling in backward are here. The first option of such a
 * loss is `reduction`:
 *
 *   static const cr_option options[] = { CR_REDUCTION_OPTION, ... };
 *
 * mean divides by the number of terms, none keeps the shape of the first input. */
#ifndef CR_AUTOGRAD_TERM_LOSS_H
#define CR_AUTOGRAD_TERM_LOSS_H

#include "autograd/op.h"

enum { CR_MEAN, CR_SUM, CR_NONE };
#define CR_REDUCTION_OPTION \
  { "reduction", CR_MEAN, 0, 0, "what becomes of the terms", CR_CHOICE, "mean sum none", false }

/* Terms begin .. begin+n-1: loss[0 .. n-1], and slope[i][0 .. n-1] by input i where slope[i] is not
 * NULL. loss is NULL in backward. Runs in parallel. */
typedef void (*cr_term_fn)(const cr_call *c, int64_t begin, int64_t n, real *loss,
                           real *const slope[]);

/* Inputs 0 .. same-1 must have one shape; the result is a scalar or has that shape. */
bool cr_terms_check(cr_call *c, int same, cr_error *err);
/* `divisor` is what mean divides by. */
void cr_terms_forward(cr_call *c, double divisor, cr_term_fn fn);
void cr_terms_backward(cr_call *c, double divisor, cr_term_fn fn);

#endif
