/* dropout.c - elements set to 0 at random while training, the others raised to make up for it
 *
 *   out = x m / (1 - p)        m is 0 with probability p, else 1; without training, out = x
 *
 * The mask is a pure function of (seed, stream, step, row number, place in the row), Philox words
 * compared with p: the same whatever the batch is cut into, and made again by backward instead of
 * being stored. Rows are the first dimension.
 *
 *   x:dropout{ p = 0.3, seed = 1, stream = 7, place = { step, first_row } }
 *                                                          first_row from 1, default 1
 *
 * Srivastava et al., "Dropout", JMLR 2014, scaled while training as is usual. */
#include <math.h>
#include "autograd/op.h"
#include "base/pool.h"
#include "base/rng.h"

enum { P, TRAINING, SEED, STREAM, PLACE };

static const cr_input inputs[] = { { "x", "...", CR_TREAL, 0 }, { 0 } };
static const cr_output outputs[] = { { "out", "=0", CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [P]        = { "p", 0.5, 0, 1, "probability to be set to 0", CR_NUMBER },
  [TRAINING] = { "training", 1, 0, 1, "false: out = x", CR_FLAG },
  [SEED]     = { "seed", 0, 0, 9e15, "of the run", CR_COUNT },
  [STREAM]   = { "stream", 0, 0, 9e15, "a number of its own for each layer", CR_COUNT },
  [PLACE]    = { "place", NAN, 0, 4294967295.0, "step, then the number of the first row",
                 CR_COUNTS },
  { 0 }
};

typedef struct job {
  const real *x;
  real *y, raise;
  int64_t n;                    /* numbers in a row */
  uint64_t seed, stream, place;
  uint64_t least;               /* a word below this drops its element */
} job;

static bool check(cr_call *c, cr_error *err) {
  const cr_list *place = &c->list[PLACE];
  if (place->n > 2)
    return cr_fail(err, CR_EVALUE, "place is { step, first_row }, got %d numbers", place->n);
  if (place->n == 2 && place->at[1] < 1)
    return cr_fail(err, CR_EVALUE, "the first row is numbered from 1, got %lld",
                   (long long)place->at[1]);
  return true;
}

/* Words 4 i .. 4 i + 3 of a row's place come from one Philox block. */
static void drop(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  for (int64_t r = begin; r < end; r++) {
    cr_rng rng = cr_rng_at(j->seed, j->stream, j->place + (uint64_t)r);
    const real *x = j->x + r * j->n;
    real *y = j->y + r * j->n;
    for (int64_t i = 0; i < j->n; i++) y[i] = cr_rng_u32(&rng) < j->least ? 0 : x[i] * j->raise;
  }
}

static void apply(const cr_call *c, const cr_tensor *from, cr_tensor *to) {
  double p = c->option[P];
  if (c->option[TRAINING] == 0 || p == 0) {
    cr_tensor_copy(to, from);
    return;
  }
  int64_t rows = from->ndim > 0 ? from->shape[0] : 1;
  const cr_list *place = &c->list[PLACE];
  uint64_t step = place->n > 0 ? (uint64_t)place->at[0] : 0;
  uint64_t first = place->n > 1 ? (uint64_t)place->at[1] - 1 : 0;
  job j = {
    .x = cr_reals(from),
    .y = cr_reals(to),
    .raise = p < 1 ? (real)(1 / (1 - p)) : 0,
    .n = rows > 0 ? cr_tensor_numel(from) / rows : 0,
    .least = (uint64_t)(p * 0x1p32),
    .seed = (uint64_t)c->option[SEED],
    .stream = (uint64_t)c->option[STREAM],
    .place = step << 32 | first,
  };
  cr_pool_for(rows, j.n > 4096 ? 1 : 4096 / (j.n > 1 ? j.n : 1), drop, &j);
}

static void forward(cr_call *c) { apply(c, c->in[0], c->out[0]); }
static void backward(cr_call *c) { apply(c, c->gout[0], c->gin[0]); }

const cr_op cr_op_dropout = {
  .name = "dropout", .help = "elements set to 0 at random while training",
  .formula = "out = x m / (1 - p)", .paper = "Srivastava et al., \"Dropout\", JMLR 2014",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = backward,
};
