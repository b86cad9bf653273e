/* triplet_closure.c - the mean of a user's formula over all triplets of a labelled batch
 *
 *   L = 1/T sum over (a, p, n) f(d_ap, d_an)        y_a = y_p, a != p, y_n != y_a
 *
 * code is a program (kernels/expression.h) of two inputs that gives the value and its two
 * derivatives; lua/crun/closure.lua writes it from a Lua function:
 *
 *   crun.loss.triplet(function(ap, an) return (ap - an + 0.2):relu() end)
 *
 * numbers holds its constants. reduction = "nonzero" divides by the triplets with a value above 0.
 * distance, squared, normalize, references, edges: see autograd/pair_loss.h. The gradient of a
 * distance at 0 is 0.
 *
 * Cost: B R D, and the steps of the program for each of B K R triplets: there is no sorting as for
 * the hinge, since nothing is known of f. Memory: a tile of rows by R. */
#include <string.h>

#include "autograd/pair_loss.h"
#include "kernels/expression.h"

enum { CODE = CR_PAIR_REFERENCE_LABELS + 1, NUMBERS };

static const cr_input inputs[] = {
  [CR_PAIR_EMBEDDINGS]       = { "embeddings",       "B D", CR_TREAL, 0 },
  [CR_PAIR_LABELS]           = { "labels",           "B",   CR_TINT,  CR_NOGRAD },
  [CR_PAIR_REFERENCES]       = { "references",       "R D", CR_TREAL, CR_OPTIONAL },
  [CR_PAIR_REFERENCE_LABELS] = { "reference_labels", "R",   CR_TINT,  CR_OPTIONAL | CR_NOGRAD },
  [CODE]                     = { "code",             "S 5", CR_TINT,  CR_NOGRAD },
  [NUMBERS]                  = { "numbers",          "N",   CR_TREAL, CR_NOGRAD },
  { 0 }
};

static const cr_option options[] = { CR_PAIR_OPTIONS(CR_EUCLIDEAN, 0, CR_PAIR_MEAN), { 0 } };

static bool read_program(const cr_call *c, cr_expression *e, cr_error *err) {
  return cr_expression_read(e, "code", cr_ints(c->in[CODE]), c->dim['S'], cr_reals(c->in[NUMBERS]),
                            c->dim['N'], 2, err);
}

static bool check(cr_call *c, cr_error *err) {
  cr_expression e;
  if (!read_program(c, &e, err)) return false;
  /* and d_ap, spread over a chunk */
  return cr_pair_check_with(c, 0, cr_expression_bytes(&e) + CR_EXPRESSION_CHUNK * sizeof(real),
                            err);
}

typedef struct sums { double value, above, slope; } sums;

CR_VECTOR static double add_up(int64_t n, const real *v) {
  double lane[16] = { 0 }, sum = 0;
  int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (int k = 0; k < 16; k++) lane[k] += (double)v[i + k];
  for (; i < n; i++) sum += (double)v[i];
  for (int k = 0; k < 16; k++) sum += lane[k];
  return sum;
}

CR_VECTOR static double count_above(int64_t n, const real *v) {
  int count = 0;
  for (int64_t i = 0; i < n; i++) count += v[i] > 0;
  return count;
}

CR_VECTOR static void add_to(int64_t n, const real *restrict v, real *restrict w) {
  for (int64_t i = 0; i < n; i++) w[i] += v[i];
}

/* One positive against the negatives in columns begin .. end-1. */
static void walk(const cr_expression *e, const cr_row *row, const real *ap, real *work,
                 int64_t begin, int64_t end, sums *s) {
  for (int64_t j = begin; j < end; j += CR_EXPRESSION_CHUNK) {
    int64_t n = end - j < CR_EXPRESSION_CHUNK ? end - j : CR_EXPRESSION_CHUNK;
    const real *input[] = { ap, row->d + j }, *out[CR_X_OUTPUTS];
    cr_expression_run(e, n, input, work, out);
    s->value += add_up(n, out[CR_X_VALUE]);
    s->above += count_above(n, out[CR_X_VALUE]);
    if (row->w == NULL) continue;
    if (out[CR_X_SLOPE1] != NULL) s->slope += add_up(n, out[CR_X_SLOPE1]);
    if (out[CR_X_SLOPE2] != NULL) add_to(n, out[CR_X_SLOPE2], row->w + j);
  }
}

static void row_of_triplets(const cr_row *row, void *context) {
  const cr_expression *e = context;
  real *ap = row->scratch, *work = ap + CR_EXPRESSION_CHUNK;
  if (row->w != NULL) memset(row->w, 0, (size_t)row->columns * sizeof(real));
  if (row->positives == 0 || row->negatives == 0) return;
  cr_expression_start(e, work);
  for (int64_t p = row->begin; p < row->end; p++) {
    sums s = { 0 };
    if (p == row->self) continue;
    for (int64_t i = 0; i < CR_EXPRESSION_CHUNK; i++) ap[i] = row->d[p];
    walk(e, row, ap, work, 0, row->begin, &s);
    walk(e, row, ap, work, row->end, row->columns, &s);
    row->sum[CR_PAIR_LOSS] += s.value;
    row->sum[CR_PAIR_ACTIVE] += s.above;
    row->sum[CR_PAIR_TERMS] += (double)row->negatives;
    if (row->w != NULL) row->w[p] = (real)s.slope;
  }
}

static void forward(cr_call *c) {
  cr_expression e;
  cr_error ignored;
  read_program(c, &e, &ignored);                /* check() has seen it */
  cr_pair_forward(c, row_of_triplets, &e);
}

const cr_op cr_loss_triplet_closure = {
  .name = "triplet_closure",
  .help = "a formula of two distances, given as a program, over all triplets",
  .formula = "mean over triplets of f(d(a,p), d(a,n))",
  .differs = "made by crun.loss.triplet(function(ap, an) ... end)",
  .inputs = inputs, .options = options, .stats = cr_pair_loss_stats,
  .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = cr_pair_backward,
};
