/* pad.c - a border round a tensor, or (negative amounts) a tensor without its border
 *
 *   [B C H W]:pad({left, right, top, bottom}, "reflect")         pairs, the last dimension first
 *
 *   constant    c c | a b c d | c c         value, default 0
 *   reflect     c b | a b c d | c b         the edge itself is not repeated; amount < size
 *   replicate   a a | a b c d | d d
 *   circular    c d | a b c d | a b         amount <= size */
#include <math.h>
#include "autograd/op.h"
#include "kernels/index.h"

enum { AMOUNTS, MODE, VALUE };
enum { CONSTANT, REFLECT, REPLICATE, CIRCULAR };

static const cr_input inputs[] = { { "x", "...", CR_TANY, 0 }, { 0 } };
static const cr_output outputs[] = { { "out", NULL, CR_TSAME }, { 0 } };

static const cr_option options[] = {
  [AMOUNTS] = { "amounts", NAN, -9e15, 9e15, "before and after, the last dimension first",
                CR_COUNTS,
                NULL, true },
  [MODE]    = { "mode", CONSTANT, 0, 0, "what the border holds", CR_CHOICE,
                "constant reflect replicate circular" },
  [VALUE]   = { "value", 0, -INFINITY, INFINITY, "of a constant border", CR_NUMBER },
  { 0 }
};

static void *data(const cr_tensor *t) {
  return t->storage->data + (size_t)t->offset * cr_dtype_size(t->dtype);
}

typedef struct rule { int mode; int64_t before[CR_MAX_DIMS]; } rule;

static int64_t source(const void *context, int d, int64_t i, int64_t n) {
  const rule *r = context;
  int64_t j = i - r->before[d];
  if (j >= 0 && j < n) return j;
  switch (r->mode) {
    case REFLECT: return j < 0 ? -j : 2 * (n - 1) - j;
    case REPLICATE: return j < 0 ? 0 : n - 1;
    case CIRCULAR: return j < 0 ? j + n : j - n;
    default: return -1;
  }
}

static rule rule_of(const cr_call *c, int ndim) {
  rule r = { .mode = (int)c->option[MODE] };
  for (int k = 0; k < c->list[AMOUNTS].n; k += 2) r.before[ndim - 1 - k/2] = c->list[AMOUNTS].at[k];
  return r;
}

static bool check(cr_call *c, cr_error *err) {
  const cr_tensor *x = c->in[0];
  const cr_list *amounts = &c->list[AMOUNTS];
  int mode = (int)c->option[MODE];
  int64_t out[CR_MAX_DIMS], numel;
  if (amounts->n % 2 != 0 || amounts->n > 2 * x->ndim)
    return cr_fail(err, CR_EVALUE, "amounts must be up to %d pairs (before, after), got %d numbers",
                   x->ndim, amounts->n);
  for (int d = 0; d < x->ndim; d++) out[d] = x->shape[d];
  for (int k = 0; k < amounts->n; k++) {
    int d = x->ndim - 1 - k/2;
    int64_t most = mode == REFLECT ? x->shape[d] - 1 : mode == REPLICATE && x->shape[d] ? INT64_MAX
                 : x->shape[d];
    if (mode != CONSTANT && amounts->at[k] > most)
      return cr_fail(err, CR_EVALUE, "amount %lld is too much for dimension %d of size %lld",
                     (long long)amounts->at[k], d + 1, (long long)x->shape[d]);
    if (__builtin_add_overflow(out[d], amounts->at[k], &out[d])) out[d] = -1;
  }
  if (!cr_shape_numel(x->ndim, out, &numel))
    return cr_fail(err, CR_ESHAPE, "the result would have a negative size or too many elements");
  cr_out_shape(c, 0, x->ndim, out);
  c->scratch_bytes = cr_index_rule_bytes(x->ndim, x->shape, out, false);
  c->backward_scratch_bytes = cr_index_rule_bytes(x->ndim, x->shape, out, true);
  return true;
}

static void forward(cr_call *c) {
  const cr_tensor *x = c->in[0], *out = c->out[0];
  rule r = rule_of(c, x->ndim);
  double value = c->option[VALUE];
  union { real as_real; int64_t as_int; uint8_t as_byte; } fill;
  if (x->dtype == CR_REAL) fill.as_real = (real)value;
  else if (x->dtype == CR_INT) fill.as_int = (int64_t)value;
  else fill.as_byte = (uint8_t)value;
  cr_index_rule(x->ndim, x->shape, out->shape, source, &r, c->scratch, cr_dtype_size(x->dtype),
                data(x), &fill, data(out));
}

static void backward(cr_call *c) {
  const cr_tensor *g = c->gout[0];
  rule r = rule_of(c, g->ndim);
  cr_index_rule_sum(g->ndim, c->gin[0]->shape, g->shape, source, &r, c->scratch, cr_reals(g),
                    cr_reals(c->gin[0]));
}

const cr_op cr_op_pad = {
  .name = "pad", .help = "a border round a tensor, or a tensor without its border",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = backward,
};
