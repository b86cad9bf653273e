/* squeeze.c - without its dimensions of size 1
 *
 *   x:squeeze()          all of them
 *   x:squeeze(2)         dimension 2, which must have size 1 */
#include <math.h>
#include <string.h>
#include "autograd/op.h"

enum { DIMS };

static const cr_input inputs[] = { { "x", "...", CR_TANY, CR_STRIDED }, { 0 } };
static const cr_output outputs[] = { { "out", NULL, CR_TSAME }, { 0 } };

static const cr_option options[] = {
  [DIMS] = { "dims", NAN, -CR_MAX_DIMS, CR_MAX_DIMS,
             "dimensions to drop; left out: every one of size 1", CR_DIMS },
  { 0 }
};

static bool view(cr_call *c, cr_error *err) {
  cr_tensor *out = c->out[0];
  bool drop[CR_MAX_DIMS];
  int kept = 0;
  if (!cr_option_dims(c, DIMS, out->ndim, drop, err)) return false;
  for (int d = 0; d < out->ndim; d++) {
    if (drop[d] && out->shape[d] == 1) continue;
    if (drop[d] && c->list[DIMS].n > 0)
      return cr_fail(err, CR_ESHAPE, "dimension %d has size %lld, only size 1 can be squeezed",
                     d + 1, (long long)out->shape[d]);
    out->shape[kept] = out->shape[d];
    out->stride[kept++] = out->stride[d];
  }
  out->ndim = kept;
  return true;
}

static void backward(cr_call *c) {
  memcpy(cr_reals(c->gin[0]), cr_reals(c->gout[0]),
         (size_t)cr_tensor_numel(c->gin[0]) * sizeof(real));
}

const cr_op cr_op_squeeze = {
  .name = "squeeze", .help = "without dimensions of size 1",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_NOTHING,
  .view = view, .backward = backward,
};
