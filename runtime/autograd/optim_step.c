/* optim_step.c - see optim_step.h */
#include "autograd/optim_step.h"

#include <math.h>

#include "base/pool.h"

enum { GRAIN = 16384, MOST_INPUTS = 8 };

const cr_output cr_step_no_outputs[] = { { 0 } };

bool cr_step_check(const cr_call *c, int same, cr_error *err) {
  const cr_tensor *param = c->in[0];
  char want[CR_SHAPE_TEXT], got[CR_SHAPE_TEXT];
  for (int i = 1; i < same; i++) {
    const cr_tensor *t = c->in[i];
    if (t == NULL || cr_tensor_same_shape(t, param)) continue;
    return cr_fail(err, CR_ESHAPE, "%s must have the shape %s of param, got %s",
                   c->op->inputs[i].name,
                   cr_shape_text(param->ndim, param->shape, want),
                       cr_shape_text(t->ndim, t->shape, got));
  }
  return true;
}

typedef struct job { const cr_call *c; cr_step_fn fn; } job;

static void run_range(void *context, int64_t begin, int64_t end) {
  const job *t = context;
  real *at[MOST_INPUTS] = { 0 };
  for (int i = 0; i < t->c->n_in && i < MOST_INPUTS; i++)
    if (t->c->in[i] != NULL) at[i] = cr_reals(t->c->in[i]) + begin;
  t->fn(t->c, end - begin, at);
}

void cr_step_run(cr_call *c, cr_step_fn fn) {
  job t = { c, fn };
  int64_t n = cr_tensor_numel(c->in[0]);
  if (n > 0) cr_pool_for(n, n < 2 * GRAIN ? n : GRAIN, run_range, &t);
}

CR_VECTOR static double squares(int64_t n, const real *x) {
  double lane[16] = { 0 }, sum = 0;
  int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (int k = 0; k < 16; k++) lane[k] += (double)x[i + k] * (double)x[i + k];
  for (; i < n; i++) sum += (double)x[i] * (double)x[i];
  for (int k = 0; k < 16; k++) sum += lane[k];
  return sum;
}

double cr_step_norm(int64_t n, const real *x) { return sqrt(squares(n, x)); }
