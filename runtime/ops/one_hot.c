/* one_hot.c - class numbers as rows with a single 1
 *
 *   crun.int{2, 1}:one_hot(3)  ->  0 1 0 / 1 0 0         class numbers from 1 to `classes` */
#include <math.h>
#include "autograd/op.h"
#include "kernels/index.h"

enum { CLASSES };

static const cr_input inputs[] = { { "x", "...", CR_TINT, CR_NOGRAD }, { 0 } };
static const cr_output outputs[] = { { "out", NULL, CR_TINT }, { 0 } };

static const cr_option options[] = {
  [CLASSES] = { "classes", NAN, 1, 9e15, "width; left out: the largest class number", CR_COUNT },
  { 0 }
};

static bool check(cr_call *c, cr_error *err) {
  const cr_tensor *x = c->in[0];
  int64_t n = cr_tensor_numel(x), shape[CR_MAX_DIMS], classes = 1;
  for (int64_t i = 0; i < n; i++)
    if (cr_ints(x)[i] > classes) classes = cr_ints(x)[i];
  if (!isnan(c->option[CLASSES])) classes = (int64_t)c->option[CLASSES];
  int64_t wrong = cr_index_outside(n, cr_ints(x), classes);
  if (wrong >= 0)
    return cr_fail(err, CR_EVALUE, "class %lld is out of range 1..%lld",
                   (long long)cr_ints(x)[wrong], (long long)classes);
  if (x->ndim == CR_MAX_DIMS)
    return cr_fail(err, CR_ESHAPE, "x may have at most %d dimensions", CR_MAX_DIMS - 1);
  for (int d = 0; d < x->ndim; d++) shape[d] = x->shape[d];
  shape[x->ndim] = classes;
  cr_out_shape(c, 0, x->ndim + 1, shape);
  return true;
}

static void forward(cr_call *c) {
  const cr_tensor *x = c->in[0], *out = c->out[0];
  int64_t classes = out->shape[x->ndim];
  cr_tensor_fill(c->out[0], 0);
  for (int64_t i = 0, n = cr_tensor_numel(x); i < n; i++)
    cr_ints(out)[i * classes + cr_ints(x)[i] - 1] = 1;
}

const cr_op cr_op_one_hot = {
  .name = "one_hot", .help = "class numbers as rows with a single 1",
  .inputs = inputs, .outputs = outputs, .options = options, .check = check, .forward = forward,
};
