/* soft_dtw.c - how far two sequences of unequal length are apart, smoothly
 *
 *   l = r_nm
 *   r_ij = c_ij - gamma log(e^(-r_i-1,j-1 / gamma) + e^(-r_i-1,j / gamma) + e^(-r_i,j-1 / gamma))
 *   c_ij = |x_i - y_j|^2, or by `cost` |x_i - y_j| ("euclidean") or sum_k |x_ik - y_jk|
 *
 *   divergence = true      l(x, y) - (l(x, x) + l(y, y)) / 2
 *
 * x [B T D] and y [B U D] are B pairs of sequences; of pair b the first x_lengths[b] and
 * y_lengths[b] steps count (all, when left out). Both have a gradient, 0 after their lengths.
 * reduction = "mean", "sum" or "none" ([B], a value for each pair).
 *
 * l alone may be negative and is not least at x = y; the divergence is 0 there and, with squared
 * costs, not below 0. As gamma goes to 0, l goes to crun.dtw. A pair of steps at distance 0 has
 * gradient 0 whatever the cost. A sequence that is not finite gives nan for its pair.
 *
 * Cost: T U D a pair, three times that for the divergence. Memory: 12 bytes (in float) a cell for
 * the sixteen pairs each thread has in hand, not for the batch.
 *
 * Cuturi, Blondel, "Soft-DTW: a Differentiable Loss Function for Time-Series", ICML 2017; Blondel,
 * Mensch, Vert, "Differentiable Divergences Between Time Series", AISTATS 2021, for the
 * divergence. */
#include <math.h>
#include <string.h>

#include "autograd/term_loss.h"
#include "kernels/soft_dtw.h"

enum { X, Y, X_LENGTHS, Y_LENGTHS };
enum { REDUCTION, GAMMA, COST, DIVERGENCE };

static const cr_input inputs[] = {
  [X]         = { "x",         "B T D", CR_TREAL, 0 },
  [Y]         = { "y",         "B U D", CR_TREAL, 0 },
  [X_LENGTHS] = { "x_lengths", "B",     CR_TINT,  CR_OPTIONAL | CR_NOGRAD },
  [Y_LENGTHS] = { "y_lengths", "B",     CR_TINT,  CR_OPTIONAL | CR_NOGRAD },
  { 0 }
};

static const cr_output outputs[] = { { "loss", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [REDUCTION]  = CR_REDUCTION_OPTION,
  [GAMMA]      = { "gamma", 1, 1e-12, 1e12, "how soft the minimum is", CR_NUMBER },
  [COST]       = { "cost", CR_DTW_SQUARED, 0, 0, "of one step beside another", CR_CHOICE,
                   CR_DTW_COST_NAMES },
  [DIVERGENCE] = { "divergence", 0, 0, 1, "less half of what each costs against itself", CR_FLAG },
  { 0 }
};

/* x against y, x against x, y against y, added up one after another */
enum { ACROSS, OWN_X, OWN_Y };

static cr_soft_dtw job_of(const cr_call *c, int part) {
  const cr_tensor *n = c->in[X_LENGTHS], *m = c->in[Y_LENGTHS];
  int64_t B = c->dim['B'], T = c->dim['T'], D = c->dim['D'];
  cr_sequences x = { B, T, D, cr_reals(c->in[X]), n != NULL ? cr_ints(n) : NULL };
  cr_sequences y = { B, c->dim['U'], D, cr_reals(c->in[Y]), m != NULL ? cr_ints(m) : NULL };
  real *gx = c->want[X] ? c->saved : NULL;
  real *gy = c->want[Y] && c->saved != NULL ? (real *)c->saved + B * T * D : NULL;
  cr_soft_dtw s = { .pairs = B, .cost = (cr_dtw_cost)c->option[COST], .gamma = c->option[GAMMA],
                    .weight = part == ACROSS ? 1 : -0.5, .x = part == OWN_Y ? y : x,
                    .gx = part == OWN_Y ? gy : gx };
  s.gradient = part == ACROSS ? c->wants_grad : c->want[part == OWN_X ? X : Y];
  if (part == ACROSS) s.y = y, s.gy = gy;
  return s;
}

static int parts(const cr_call *c) { return c->option[DIVERGENCE] != 0 ? OWN_Y + 1 : ACROSS + 1; }

static bool check(cr_call *c, cr_error *err) {
  cr_soft_dtw s = job_of(c, ACROSS);
  int64_t B = s.pairs;
  if (!cr_sequences_check(&s.x, "x_lengths", err) || !cr_sequences_check(&s.y, "y_lengths", err))
    return false;
  if (c->wants_grad)
    c->saved_bytes = (size_t)(B * s.x.width * (s.x.steps + s.y.steps)) * sizeof(real);
  for (int part = ACROSS; part < parts(c); part++) {
    size_t bytes;
    s = job_of(c, part);
    if (!cr_soft_dtw_bytes(&s, &bytes))
      return cr_fail(err, CR_EMEMORY, "the sequences are too long");
    if (bytes > c->scratch_bytes) c->scratch_bytes = bytes;
  }
  c->scratch_bytes += (size_t)B * sizeof(double);
  cr_out_shape(c, 0, c->option[REDUCTION] == CR_NONE ? 1 : 0, &B);
  return true;
}

static double divisor(const cr_call *c) {
  return c->option[REDUCTION] == CR_MEAN && c->dim['B'] > 0 ? (double)c->dim['B'] : 1;
}

static void forward(cr_call *c) {
  int64_t B = c->dim['B'];
  double *value = (double *)((char *)c->scratch + c->scratch_bytes) - B, sum = 0;
  memset(value, 0, (size_t)B * sizeof *value);
  if (c->wants_grad) memset(c->saved, 0, c->saved_bytes);
  for (int part = ACROSS; part < parts(c); part++) {
    cr_soft_dtw s = job_of(c, part);
    s.value = value;
    cr_soft_dtw_run(&s, c->scratch);
  }
  for (int64_t b = 0; b < B; b++) {
    sum += value[b];
    if (c->option[REDUCTION] == CR_NONE) cr_reals(c->out[0])[b] = (real)value[b];
  }
  if (c->option[REDUCTION] != CR_NONE) *cr_reals(c->out[0]) = (real)(sum / divisor(c));
}

static void backward(cr_call *c) {
  const real *saved = c->saved, *gout = cr_reals(c->gout[0]);
  for (int k = X; k <= Y; k++) {
    int64_t n = c->dim[k == X ? 'T' : 'U'] * c->dim['D'];
    for (int64_t b = 0; c->gin[k] != NULL && b < c->dim['B']; b++) {
      double by = (double)gout[c->option[REDUCTION] == CR_NONE ? b : 0] / divisor(c);
      for (int64_t i = 0; i < n; i++)
        cr_reals(c->gin[k])[b*n + i] = (real)(by * (double)saved[b*n + i]);
    }
    saved += c->dim['B'] * n;
  }
}

const cr_op cr_loss_soft_dtw = {
  .name = "soft_dtw", .help = "how far two sequences of unequal length are apart, smoothly",
  .formula = "r_ij = |x_i - y_j|^2 + softmin_gamma(r_i-1,j-1, r_i-1,j, r_i,j-1); l = r_nm; "
             "divergence: l(x, y) - (l(x, x) + l(y, y)) / 2",
  .paper = "Cuturi, Blondel, \"Soft-DTW: a Differentiable Loss Function for Time-Series\", ICML "
           "2017; Blondel, Mensch, Vert, \"Differentiable Divergences Between Time Series\", "
           "AISTATS 2021",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = backward,
};
