/* dtw_matrix.c - dynamic time warping of every sequence with every other
 *
 *   distances = crun.dtw_matrix(x, y, x_lengths, y_lengths, { cost = "squared", window = 10 })
 *
 *   x [B T D], y [R U D]   ->   [B R]        distances[i][j] = crun.dtw of x_i and y_j
 *
 * What a nearest-neighbour classifier of strokes wants. y left out (nil) stands for x itself: each
 * pair is then worked out once. x_lengths [B] and y_lengths [R] as in crun.dtw. There is no
 * gradient. Cost: B R T U D, sixteen pairs at once and pairs shared by all threads.
 *
 * Sakoe, Chiba, "Dynamic programming algorithm optimization for spoken word recognition", 1978. */
#include <math.h>

#include "autograd/op.h"
#include "kernels/dtw.h"

enum { X, Y, X_LENGTHS, Y_LENGTHS };
enum { COST, WINDOW };

static const cr_input inputs[] = {
  [X]         = { "x",         "B T D", CR_TREAL, CR_NOGRAD },
  [Y]         = { "y",         "R U D", CR_TREAL, CR_OPTIONAL | CR_NOGRAD },
  [X_LENGTHS] = { "x_lengths", "B",     CR_TINT,  CR_OPTIONAL | CR_NOGRAD },
  [Y_LENGTHS] = { "y_lengths", "R",     CR_TINT,  CR_OPTIONAL | CR_NOGRAD },
  { 0 }
};

static const cr_output outputs[] = { { "distances", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [COST]   = { "cost", CR_DTW_SQUARED, 0, 0, "of one step beside another", CR_CHOICE,
               CR_DTW_COST_NAMES },
  [WINDOW] = { "window", NAN, 0, 1e15, "how far i and j may be apart; default: any", CR_COUNT },
  { 0 }
};

static cr_dtw job_of(const cr_call *c) {
  const cr_tensor *y = c->in[Y], *n = c->in[X_LENGTHS], *m = c->in[Y_LENGTHS];
  cr_dtw d = {
    .x = { c->dim['B'], c->dim['T'], c->dim['D'], cr_reals(c->in[X]), n ? cr_ints(n) : NULL },
    .cost = (cr_dtw_cost)c->option[COST],
    .window = isnan(c->option[WINDOW]) ? -1 : (int64_t)c->option[WINDOW],
    .matrix = true, .same = y == NULL,
  };
  d.y = d.x;
  if (y != NULL)
    d.y = (cr_sequences){ c->dim['R'], c->dim['U'], c->dim['D'], cr_reals(y),
                          m ? cr_ints(m) : NULL };
  return d;
}

static bool check(cr_call *c, cr_error *err) {
  if (c->in[Y] == NULL && c->in[Y_LENGTHS] != NULL)
    return cr_fail(err, CR_EVALUE, "y_lengths need y, got only y_lengths");
  cr_dtw d = job_of(c);
  if (!cr_sequences_check(&d.x, "x_lengths", err) || !cr_sequences_check(&d.y, "y_lengths", err))
    return false;
  if (!cr_dtw_bytes(&d, &c->scratch_bytes))
    return cr_fail(err, CR_EMEMORY, "the sequences are too long");
  cr_out_shape(c, 0, 2, (int64_t[]){ d.x.count, d.y.count });
  return true;
}

static void forward(cr_call *c) {
  cr_dtw d = job_of(c);
  cr_dtw_run(&d, cr_reals(c->out[0]), c->scratch);
}

const cr_op cr_op_dtw_matrix = {
  .name = "dtw_matrix", .help = "dynamic time warping of every sequence with every other",
  .formula = "distances[i][j] = dtw(x_i, y_j)",
  .paper = "Sakoe, Chiba, \"Dynamic programming algorithm optimization for spoken word "
           "recognition\", 1978",
  .inputs = inputs, .outputs = outputs, .options = options, .check = check, .forward = forward,
};
