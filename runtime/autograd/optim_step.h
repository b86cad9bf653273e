/* optim_step.h - the frame of an optimiser step
 *
 * A step is an operator without result that changes its first input, the parameter, and the state
 * that follows the gradient, all of one shape, element by element:
 *
 *   crun.optim_step.adam(param, grad, mean, square, { lr = 1e-3, step = t })
 *
 * State starts as zeros unless the file says otherwise. `step` counts from 1: the step about to be
 * taken. */
#ifndef CR_AUTOGRAD_OPTIM_STEP_H
#define CR_AUTOGRAD_OPTIM_STEP_H

#include "autograd/op.h"

#define CR_STEP_PARAM { "param", "...", CR_TREAL, CR_INPLACE }
#define CR_STEP_GRAD { "grad", "...", CR_TREAL, CR_NOGRAD }
#define CR_STEP_STATE(name) { name, "...", CR_TREAL, CR_INPLACE }
#define CR_STEP_OPTIONAL_STATE(name) { name, "...", CR_TREAL, CR_INPLACE | CR_OPTIONAL }

#define CR_OPTION_LR(lr) \
  { "lr", lr, 0, 1e30, "learning rate", CR_NUMBER, NULL, false }
#define CR_OPTION_WEIGHT_DECAY(decay) \
  { "weight_decay", decay, 0, 1e30, "pull towards 0", CR_NUMBER, NULL, false }
#define CR_OPTION_STEP \
  { "step", 1, 1, 9e15, "number of this step, from 1", CR_COUNT, NULL, false }
#define CR_OPTION_FRACTION(name, value, help) \
  { name, value, 0, 1, help, CR_NUMBER, NULL, false }
#define CR_OPTION_EPS(eps) \
  { "eps", eps, 0, 1, "added to a divisor", CR_NUMBER, NULL, false }

extern const cr_output cr_step_no_outputs[];

/* n elements: at[i] is where those of input i begin, NULL for one that is absent. */
typedef void (*cr_step_fn)(const cr_call *c, int64_t n, real *const at[]);

/* The first `same` inputs, where present, must have the shape of the parameter. */
bool cr_step_check(const cr_call *c, int same, cr_error *err);
/* fn over all elements, in parallel. */
void cr_step_run(cr_call *c, cr_step_fn fn);
/* The norm of n numbers, in double, in an order that depends on n alone. */
double cr_step_norm(int64_t n, const real *x);

#endif
