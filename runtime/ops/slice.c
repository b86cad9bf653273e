/* slice.c - a range of places of each dimension; a view
 *
 *   x:slice(2, 5)                     rows 2 to 5, as in Lua both ends count
 *   x:slice({2, 1}, {5, -1})          rows 2 to 5, all columns
 *   x:slice({1, 2}, {-1, -1}, {2, 3}) every 2nd row, every 3rd column from the 2nd on
 *
 * Lists name the first dimensions; the others stay whole. Negative numbers count from the end (-1
 * is the last place). A range may be empty: stop = start - 1. A range that leaves the tensor is an
 * error. */
#include <math.h>
#include "autograd/op.h"

enum { START, STOP, STEP };

static const cr_input inputs[] = { { "x", "...", CR_TANY, CR_STRIDED }, { 0 } };
static const cr_output outputs[] = { { "out", NULL, CR_TSAME }, { 0 } };

static const cr_option options[] = {
  [START] = { "start", NAN, -9e15, 9e15, "first place of each dimension, default 1", CR_COUNTS },
  [STOP]  = { "stop", NAN, -9e15, 9e15, "last place of each dimension, default -1", CR_COUNTS },
  [STEP]  = { "step", NAN, 1, 9e15, "every how many-th place, default 1", CR_COUNTS },
  { 0 }
};

static int64_t listed(const cr_list *list, int d, int64_t fallback) {
  return d < list->n ? list->at[d] : fallback;
}

static bool place(cr_call *c, cr_tensor *out, cr_error *err) {
  for (int k = START; k <= STEP; k++) {
    if (c->list[k].n > out->ndim)
      return cr_fail(err, CR_EVALUE, "%s lists %d dimensions of a tensor that has %d",
                     options[k].name, c->list[k].n, out->ndim);
  }
  for (int d = 0; d < out->ndim; d++) {
    int64_t size = out->shape[d], start = listed(&c->list[START], d, 1),
            stop = listed(&c->list[STOP], d, -1);
    int64_t step = listed(&c->list[STEP], d, 1), first = start < 0 ? start + size + 1 : start;
    int64_t last = stop < 0 ? stop + size + 1 : stop;
    if (first < 1 || last > size || last < first - 1)
      return cr_fail(err, CR_EVALUE, "range %lld..%lld of dimension %d does not lie in 1..%lld",
                     (long long)start, (long long)stop, d + 1, (long long)size);
    out->offset += (first - 1) * out->stride[d];
    out->shape[d] = (last - first + step) / step;
    out->stride[d] *= step;
  }
  return true;
}

static bool view(cr_call *c, cr_error *err) { return place(c, c->out[0], err); }

static void backward(cr_call *c) {
  cr_tensor part = *c->gin[0];
  cr_tensor_fill(&part, 0);
  place(c, &part, NULL);
  cr_tensor_copy(&part, c->gout[0]);
}

const cr_op cr_op_slice = {
  .name = "slice", .help = "a range of places of each dimension",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_NOTHING,
  .view = view, .backward = backward,
};
