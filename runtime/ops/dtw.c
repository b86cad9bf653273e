/* dtw.c - dynamic time warping: what it costs to step through two sequences together
 *
 *   distance                                = crun.dtw(x, y, x_lengths, y_lengths, { ... })
 *   distance, path, steps, accumulated      = the same with { path = true }
 *
 *   r_ij = c_ij + min(r_i-1,j-1, r_i-1,j, r_i,j-1)            distance = r_nm
 *   c_ij = |x_i - y_j|^2, or by `cost` |x_i - y_j| ("euclidean") or sum_k |x_ik - y_jk|
 *
 * x [B T D] and y [B U D] are B pairs of sequences of steps of D numbers; of pair b the first
 * x_lengths[b] and y_lengths[b] steps count (all, when left out; nil may stand for either).
 * distance [B] is the sum of costs along the cheapest way from the first steps to the last, no root
 * taken. window = w allows only cells with |i - j| <= w (Sakoe and Chiba's band); where it leaves
 * no way the distance is inf. A sequence that is not finite gives nan.
 *
 * With path = true: path [B, T+U-1, 2], the cells of a cheapest way, from 1, zeros after the
 * steps[b] cells of pair b (0 where there is no way); accumulated [B T U], all r_ij, inf
 * outside lengths and window. Of equal ways the one that steps in both sequences, then in x.
 *
 * There is no gradient: the distance has corners wherever the way changes. losses.soft_dtw is its
 * smooth form, and goes to it as gamma goes to 0. For all pairs of two sets: crun.dtw_matrix. Cost:
 * B T U D; memory: two rows of the table (or all of it, with the path).
 *
 * Sakoe, Chiba, "Dynamic programming algorithm optimization for spoken word recognition", 1978. */
#include <math.h>

#include "autograd/op.h"
#include "base/pool.h"
#include "kernels/dtw.h"

enum { X, Y, X_LENGTHS, Y_LENGTHS };
enum { COST, WINDOW, PATH };
enum { DISTANCE, WAY, STEPS, ACCUMULATED };

static const cr_input inputs[] = {
  [X]         = { "x",         "B T D", CR_TREAL, CR_NOGRAD },
  [Y]         = { "y",         "B U D", CR_TREAL, CR_NOGRAD },
  [X_LENGTHS] = { "x_lengths", "B",     CR_TINT,  CR_OPTIONAL | CR_NOGRAD },
  [Y_LENGTHS] = { "y_lengths", "B",     CR_TINT,  CR_OPTIONAL | CR_NOGRAD },
  { 0 }
};

static const cr_output outputs[] = {
  [DISTANCE]    = { "distance",    "B",     CR_TREAL },
  [WAY]         = { "path",        NULL,    CR_TINT },
  [STEPS]       = { "steps",       "B",     CR_TINT },
  [ACCUMULATED] = { "accumulated", "B T U", CR_TREAL },
  { 0 }
};

static const cr_option options[] = {
  [COST]   = { "cost", CR_DTW_SQUARED, 0, 0, "of one step beside another", CR_CHOICE,
               CR_DTW_COST_NAMES },
  [WINDOW] = { "window", NAN, 0, 1e15, "how far i and j may be apart; default: any", CR_COUNT },
  [PATH]   = { "path", 0, 0, 1, "give the cheapest way and the table too", CR_FLAG },
  { 0 }
};

static cr_dtw job_of(const cr_call *c) {
  const cr_tensor *n = c->in[X_LENGTHS], *m = c->in[Y_LENGTHS];
  return (cr_dtw){
    .x = { c->dim['B'], c->dim['T'], c->dim['D'], cr_reals(c->in[X]), n ? cr_ints(n) : NULL },
    .y = { c->dim['B'], c->dim['U'], c->dim['D'], cr_reals(c->in[Y]), m ? cr_ints(m) : NULL },
    .cost = (cr_dtw_cost)c->option[COST],
    .window = isnan(c->option[WINDOW]) ? -1 : (int64_t)c->option[WINDOW],
  };
}

static bool check(cr_call *c, cr_error *err) {
  cr_dtw d = job_of(c);
  if (!cr_sequences_check(&d.x, "x_lengths", err) || !cr_sequences_check(&d.y, "y_lengths", err))
    return false;
  int64_t most = d.x.steps + d.y.steps > 0 ? d.x.steps + d.y.steps - 1 : 0;
  cr_out_shape(c, WAY, 3, (int64_t[]){ d.x.count, most, 2 });
  if (c->option[PATH] == 0) {
    cr_out_count(c, 1);
    if (!cr_dtw_bytes(&d, &c->scratch_bytes))
      return cr_fail(err, CR_EMEMORY, "the sequences are too long");
  }
  return true;
}

static void one_pair(void *context, int64_t begin, int64_t end) {
  cr_call *c = context;
  cr_dtw d = job_of(c);
  int64_t T = d.x.steps, U = d.y.steps, most = T + U - 1;
  for (int64_t b = begin; b < end; b++) {
    real *table = cr_reals(c->out[ACCUMULATED]) + b * T * U;
    int64_t *path = cr_ints(c->out[WAY]) + b * most * 2;
    int64_t steps = cr_dtw_path(&d, b, table, path);
    for (int64_t k = 0; k < 2 * most; k++) path[k] = k < 2 * steps ? path[k] + 1 : 0;
    cr_ints(c->out[STEPS])[b] = steps;
    cr_reals(c->out[DISTANCE])[b] =
      table[(cr_sequence_length(&d.x, b) - 1) * U + cr_sequence_length(&d.y, b) - 1];
  }
}

static void forward(cr_call *c) {
  cr_dtw d = job_of(c);
  if (c->n_out > 1) cr_pool_for(d.x.count, 1, one_pair, c);
  else cr_dtw_run(&d, cr_reals(c->out[DISTANCE]), c->scratch);
}

const cr_op cr_op_dtw = {
  .name = "dtw", .help = "dynamic time warping of pairs of sequences",
  .formula = "r_ij = c_ij + min(r_i-1,j-1, r_i-1,j, r_i,j-1); distance = r_nm",
  .paper = "Sakoe, Chiba, \"Dynamic programming algorithm optimization for spoken word "
           "recognition\", 1978",
  .differs = "the sum of squared distances as it is; tslearn takes its root. No gradient: "
             "losses.soft_dtw has one",
  .inputs = inputs, .outputs = outputs, .options = options, .check = check, .forward = forward,
};
