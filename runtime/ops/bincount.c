/* bincount.c - how often each number 1, 2, 3, ... occurs
 *
 *   crun.int{1, 2, 2, 4}:bincount()  ->  1 2 0 1         at least `minlength` counts */
#include "autograd/op.h"

enum { MINLENGTH };

static const cr_input inputs[] = { { "x", "...", CR_TINT, CR_NOGRAD }, { 0 } };
static const cr_output outputs[] = { { "counts", NULL, CR_TINT }, { 0 } };

static const cr_option options[] = {
  [MINLENGTH] = { "minlength", 0, 0, 9e15, "length of the result at least", CR_COUNT },
  { 0 }
};

static bool check(cr_call *c, cr_error *err) {
  const int64_t *x = cr_ints(c->in[0]);
  int64_t length = (int64_t)c->option[MINLENGTH];
  for (int64_t i = 0, n = cr_tensor_numel(c->in[0]); i < n; i++) {
    if (x[i] < 1)
      return cr_fail(err, CR_EVALUE, "numbers must be 1 or more, got %lld", (long long)x[i]);
    if (x[i] > length) length = x[i];
  }
  cr_out_shape(c, 0, 1, &length);
  return true;
}

static void forward(cr_call *c) {
  const int64_t *x = cr_ints(c->in[0]);
  cr_tensor_fill(c->out[0], 0);
  for (int64_t i = 0, n = cr_tensor_numel(c->in[0]); i < n; i++) cr_ints(c->out[0])[x[i] - 1]++;
}

const cr_op cr_op_bincount = {
  .name = "bincount", .help = "how often each number 1, 2, 3, ... occurs",
  .inputs = inputs, .outputs = outputs, .options = options, .check = check, .forward = forward,
};
