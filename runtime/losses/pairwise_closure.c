/* pairwise_closure.c - the mean of a user's formula over the pairs of a labelled batch
 *
 *   L = 1/P sum over pairs f(d_ij)        f is `positive` where labels are equal, else `negative`
 *
 * positive and negative are programs (kernels/expression.h) of one input, the distance, that give
 * the value and its derivative; lua/crun/closure.lua writes them from a Lua function:
 *
 *   crun.loss.pairwise(function(d, same) return same and d^2 or (1 - d):relu()^2 end)
 *
 * numbers holds the constants of both. Pairs are ordered: (i, j) and (j, i) both count, which only
 * reduction = "sum" notices. distance, squared, normalize, reduction, references, edges: see
 * autograd/pair_loss.h. The gradient of a distance at 0 is 0.
 *
 * Cost: B R D, and the steps of the program for each pair. Memory: a tile of rows by R. */
#include <string.h>

#include "autograd/pair_loss.h"
#include "kernels/expression.h"

enum { POSITIVE = CR_PAIR_REFERENCE_LABELS + 1, NEGATIVE, NUMBERS };

static const cr_input inputs[] = {
  [CR_PAIR_EMBEDDINGS]       = { "embeddings",       "B D", CR_TREAL, 0 },
  [CR_PAIR_LABELS]           = { "labels",           "B",   CR_TINT,  CR_NOGRAD },
  [CR_PAIR_REFERENCES]       = { "references",       "R D", CR_TREAL, CR_OPTIONAL },
  [CR_PAIR_REFERENCE_LABELS] = { "reference_labels", "R",   CR_TINT,  CR_OPTIONAL | CR_NOGRAD },
  [POSITIVE]                 = { "positive",         "S 5", CR_TINT,  CR_NOGRAD },
  [NEGATIVE]                 = { "negative",         "T 5", CR_TINT,  CR_NOGRAD },
  [NUMBERS]                  = { "numbers",          "N",   CR_TREAL, CR_NOGRAD },
  { 0 }
};

static const cr_option options[] = { CR_PAIR_OPTIONS(CR_EUCLIDEAN, 0, CR_PAIR_MEAN), { 0 } };

typedef struct programs { cr_expression negative, positive; } programs;

static bool read_programs(const cr_call *c, programs *p, cr_error *err) {
  const real *numbers = cr_reals(c->in[NUMBERS]);
  int64_t count = c->dim['N'];
  return cr_expression_read(&p->positive, "positive", cr_ints(c->in[POSITIVE]), c->dim['S'],
                            numbers, count, 1, err) &&
         cr_expression_read(&p->negative, "negative", cr_ints(c->in[NEGATIVE]), c->dim['T'],
                            numbers, count, 1, err);
}

static bool check(cr_call *c, cr_error *err) {
  programs p;
  if (!read_programs(c, &p, err)) return false;
  size_t a = cr_expression_bytes(&p.positive), b = cr_expression_bytes(&p.negative);
  return cr_pair_check_with(c, 0, a > b ? a : b, err);
}

/* Adds up n numbers and counts those above 0. */
CR_VECTOR static double add_up(int64_t n, const real *v, double *above) {
  double lane[16] = { 0 }, sum = 0;
  int64_t i = 0, count = 0;
  for (; i + 16 <= n; i += 16)
    for (int k = 0; k < 16; k++) lane[k] += (double)v[i + k];
  for (; i < n; i++) sum += (double)v[i];
  for (int k = 0; k < 16; k++) sum += lane[k];
  for (i = 0; i < n; i++) count += v[i] > 0;
  *above += (double)count;
  return sum;
}

static void walk(const cr_expression *e, const cr_row *row, int64_t begin, int64_t end) {
  double above = 0;
  for (int64_t j = begin; j < end; j += CR_EXPRESSION_CHUNK) {
    int64_t n = end - j < CR_EXPRESSION_CHUNK ? end - j : CR_EXPRESSION_CHUNK;
    const real *d = row->d + j, *out[CR_X_OUTPUTS];
    cr_expression_run(e, n, &d, row->scratch, out);
    row->sum[CR_PAIR_LOSS] += add_up(n, out[CR_X_VALUE], &above);
    row->sum[CR_PAIR_TERMS] += (double)n;
    if (row->w == NULL) continue;
    if (out[CR_X_SLOPE1] != NULL) memcpy(row->w + j, out[CR_X_SLOPE1], (size_t)n * sizeof(real));
    else memset(row->w + j, 0, (size_t)n * sizeof(real));
  }
  row->sum[CR_PAIR_ACTIVE] += above;
}

static void row_of_pairs(const cr_row *row, void *context) {
  const programs *p = context;
  int64_t self = row->self >= 0 ? row->self : row->end;
  cr_expression_start(&p->negative, row->scratch);
  walk(&p->negative, row, 0, row->begin);
  walk(&p->negative, row, row->end, row->columns);
  if (row->positives == 0) return;
  cr_expression_start(&p->positive, row->scratch);
  walk(&p->positive, row, row->begin, self);
  walk(&p->positive, row, self + 1, row->end);
}

static void forward(cr_call *c) {
  programs p;
  cr_error ignored;
  read_programs(c, &p, &ignored);               /* check() has seen them */
  cr_pair_forward(c, row_of_pairs, &p);
}

const cr_op cr_loss_pairwise_closure = {
  .name = "pairwise_closure", .help = "a formula of distances, given as a program, over all pairs",
  .formula = "mean over pairs of f(d): positive where labels are equal, else negative",
  .differs = "made by crun.loss.pairwise(function(d, same) ... end)",
  .inputs = inputs, .options = options, .stats = cr_pair_loss_stats,
  .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = cr_pair_backward,
};
