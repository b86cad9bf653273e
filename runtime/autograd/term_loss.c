/* term_loss.c - see term_loss.h; terms go in blocks of fixed size whose sums are added in order */
#include "autograd/term_loss.h"

#include "base/pool.h"

enum { BLOCK = 4096, MOST_SUMS = 1024, MOST_INPUTS = 4 };

bool cr_terms_check(cr_call *c, int same, cr_error *err) {
  const cr_tensor *x = c->in[0];
  char want[CR_SHAPE_TEXT], got[CR_SHAPE_TEXT];
  for (int i = 1; i < same; i++) {
    if (cr_tensor_same_shape(x, c->in[i])) continue;
    return cr_fail(err, CR_ESHAPE, "%s must have the shape %s of %s, got %s", c->op->inputs[i].name,
                   cr_shape_text(x->ndim, x->shape, want), c->op->inputs[0].name,
                   cr_shape_text(c->in[i]->ndim, c->in[i]->shape, got));
  }
  cr_out_shape(c, 0, c->option[0] == CR_NONE ? x->ndim : 0, x->shape);
  return true;
}

typedef struct job {
  cr_call *c;
  cr_term_fn fn;
  int64_t n, per_block;
  real by;                      /* backward: what every slope is scaled by */
  bool each;                    /* backward: and by its own element of gout */
  double sum[MOST_SUMS];
} job;

static void forward_block(void *context, int64_t block, int worker) {
  job *t = context;
  int64_t begin = block * t->per_block,
      end = begin + t->per_block < t->n ? begin + t->per_block : t->n;
  real *out = cr_reals(t->c->out[0]);
  real *const none[MOST_INPUTS] = { 0 };
  double sum = 0;
  (void)worker;
  for (int64_t some; begin < end; begin += some) {
    real loss[BLOCK];
    some = end - begin < BLOCK ? end - begin : BLOCK;
    t->fn(t->c, begin, some, t->c->option[0] == CR_NONE ? out + begin : loss, none);
    if (t->c->option[0] == CR_NONE) continue;
    for (int64_t i = 0; i < some; i++) sum += (double)loss[i];
  }
  t->sum[block] = sum;
}

static int64_t split(job *t) {
  t->n = cr_tensor_numel(t->c->in[0]);
  int64_t blocks = (t->n + BLOCK - 1) / BLOCK;
  t->per_block = BLOCK * (blocks > MOST_SUMS ? (blocks + MOST_SUMS - 1) / MOST_SUMS : 1);
  return (t->n + t->per_block - 1) / t->per_block;
}

static void run(job *t, int64_t blocks, cr_block_fn fn) {
  if (t->n < 5 * BLOCK)
    for (int64_t b = 0; b < blocks; b++) fn(t, b, 0);
  else cr_pool_run(blocks, fn, t);
}

void cr_terms_forward(cr_call *c, double divisor, cr_term_fn fn) {
  job t = { .c = c, .fn = fn };
  int64_t blocks = split(&t);
  double sum = 0;
  run(&t, blocks, forward_block);
  if (c->option[0] == CR_NONE) return;
  for (int64_t b = 0; b < blocks; b++) sum += t.sum[b];
  *cr_reals(c->out[0]) = (real)(c->option[0] == CR_SUM ? sum : divisor > 0 ? sum / divisor : 0);
}

static void backward_block(void *context, int64_t block, int worker) {
  job *t = context;
  const cr_call *c = t->c;
  int64_t begin = block * t->per_block,
      end = begin + t->per_block < t->n ? begin + t->per_block : t->n;
  const real *gout = cr_reals(c->gout[0]);
  real *slope[MOST_INPUTS] = { 0 };
  (void)worker;
  for (int i = 0; i < c->n_in && i < MOST_INPUTS; i++)
    if (c->gin[i] != NULL) slope[i] = cr_reals(c->gin[i]) + begin;
  t->fn(c, begin, end - begin, NULL, slope);
  for (int i = 0; i < MOST_INPUTS; i++) {
    if (slope[i] == NULL) continue;
    for (int64_t k = 0; k < end - begin; k++) slope[i][k] *= t->each ? gout[begin + k] : t->by;
  }
}

void cr_terms_backward(cr_call *c, double divisor, cr_term_fn fn) {
  job t = { .c = c, .fn = fn, .each = c->option[0] == CR_NONE };
  int64_t blocks = split(&t);
  double mean = divisor > 0 ? 1 / divisor : 0;
  if (!t.each) t.by = (real)((double)*cr_reals(c->gout[0]) * (c->option[0] == CR_SUM ? 1 : mean));
  run(&t, blocks, backward_block);
}
