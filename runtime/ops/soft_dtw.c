/* soft_dtw.c - soft-DTW of given tables of costs
 *
 *   values = crun.soft_dtw(costs, n, m, { gamma = 1 })
 *
 *   costs [B T U], n [B], m [B]   ->   values [B]
 *   r_ij = c_ij - gamma log(e^(-r_i-1,j-1 / gamma) + e^(-r_i-1,j / gamma) + e^(-r_i,j-1 / gamma))
 *
 * of which values[b] is r at (n[b], m[b]), the last cell; n and m left out mean all of T and U. For
 * costs of one's own: losses.soft_dtw takes sequences. A cost of inf closes its cell. The gradient
 * of a value by a cost is the share of the ways (each weighing e^(-cost / gamma)) through its cell;
 * outside n and m it is 0.
 *
 * As gamma goes to 0 the value goes to crun.dtw; it may be negative, and lies below that by at most
 * gamma times the logarithm of the number of ways. Cost: B T U. Memory: of the order of B T U.
 *
 * Cuturi, Blondel, "Soft-DTW: a Differentiable Loss Function for Time-Series", ICML 2017,
 * algorithms 1 and 2. */
#include <math.h>
#include <string.h>

#include "autograd/op.h"
#include "kernels/soft_dtw.h"

enum { COSTS, N, M };
enum { GAMMA };

static const cr_input inputs[] = {
  [COSTS] = { "costs", "B T U", CR_TREAL, 0 },
  [N]     = { "n",     "B",     CR_TINT,  CR_OPTIONAL | CR_NOGRAD },
  [M]     = { "m",     "B",     CR_TINT,  CR_OPTIONAL | CR_NOGRAD },
  { 0 }
};

static const cr_output outputs[] = { { "values", "B", CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [GAMMA] = { "gamma", 1, 1e-12, 1e12, "how soft the minimum is", CR_NUMBER },
  { 0 }
};

static cr_soft_dtw job_of(const cr_call *c) {
  const cr_tensor *n = c->in[N], *m = c->in[M];
  return (cr_soft_dtw){
    .pairs = c->dim['B'], .costs = cr_reals(c->in[COSTS]), .gamma = c->option[GAMMA], .weight = 1,
    .gradient = c->wants_grad,
    .x = { .count = c->dim['B'], .steps = c->dim['T'], .length = n != NULL ? cr_ints(n) : NULL },
    .y = { .count = c->dim['B'], .steps = c->dim['U'], .length = m != NULL ? cr_ints(m) : NULL },
    .gcosts = c->wants_grad ? c->saved : NULL,
  };
}

static bool check(cr_call *c, cr_error *err) {
  cr_soft_dtw s = job_of(c);
  if (!cr_sequences_check(&s.x, "n", err) || !cr_sequences_check(&s.y, "m", err)) return false;
  if (c->wants_grad) c->saved_bytes = (size_t)cr_tensor_numel(c->in[COSTS]) * sizeof(real);
  if (!cr_soft_dtw_bytes(&s, &c->scratch_bytes))
    return cr_fail(err, CR_EMEMORY, "the tables are too large");
  c->scratch_bytes += (size_t)s.pairs * sizeof(double);
  return true;
}

static void forward(cr_call *c) {
  cr_soft_dtw s = job_of(c);
  s.value = (double *)((char *)c->scratch + c->scratch_bytes) - s.pairs;
  memset(s.value, 0, (size_t)s.pairs * sizeof(double));
  cr_soft_dtw_run(&s, c->scratch);
  for (int64_t b = 0; b < s.pairs; b++) cr_reals(c->out[0])[b] = (real)s.value[b];
}

static void backward(cr_call *c) {
  int64_t cells = c->dim['T'] * c->dim['U'];
  const real *saved = c->saved, *gout = cr_reals(c->gout[0]);
  real *g = cr_reals(c->gin[COSTS]);
  for (int64_t b = 0; b < c->dim['B']; b++)
    for (int64_t k = 0; k < cells; k++) g[b*cells + k] = gout[b] * saved[b*cells + k];
}

const cr_op cr_op_soft_dtw = {
  .name = "soft_dtw", .help = "soft-DTW of given tables of costs",
  .formula = "r_ij = c_ij + softmin_gamma(r_i-1,j-1, r_i-1,j, r_i,j-1); values = r_nm",
  .paper = "Cuturi, Blondel, \"Soft-DTW: a Differentiable Loss Function for Time-Series\", "
           "ICML 2017, algorithms 1 and 2",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = backward,
};
