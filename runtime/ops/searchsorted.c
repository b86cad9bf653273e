/* searchsorted.c - where numbers belong in a sorted row
 *
 *   sorted [N] rising, values [...]  ->  index [...], numbers 1 .. N+1
 *
 * Putting values[i] before sorted[index[i]] keeps the order.
 *
 * side = left: before the numbers equal to it, right: after them. NaN belongs at the end. */
#include <math.h>
#include "autograd/op.h"

enum { SORTED, VALUES };
enum { SIDE };
enum { LEFT, RIGHT };

static const cr_input inputs[] = {
  [SORTED] = { "sorted", "N", CR_TREAL, CR_NOGRAD },
  [VALUES] = { "values", "...", CR_TREAL, CR_NOGRAD },
  { 0 }
};
static const cr_output outputs[] = { { "index", "=1", CR_TINT }, { 0 } };

static const cr_option options[] = {
  [SIDE] = { "side", LEFT, 0, 0, "of equal numbers", CR_CHOICE, "left right" },
  { 0 }
};

static bool check(cr_call *c, cr_error *err) {
  const real *sorted = cr_reals(c->in[SORTED]);
  for (int64_t i = 1; i < c->dim['N']; i++)
    if (sorted[i] < sorted[i-1])
      return cr_fail(err, CR_EVALUE,
                     "sorted must be rising, but number %lld is less than the one before",
                     (long long)(i + 1));
  return true;
}

static void forward(cr_call *c) {
  const real *sorted = cr_reals(c->in[SORTED]), *value = cr_reals(c->in[VALUES]);
  int64_t *index = cr_ints(c->out[0]), n = cr_tensor_numel(c->in[VALUES]);
  bool right = (int)c->option[SIDE] == RIGHT;
  for (int64_t i = 0; i < n; i++) {
    real v = value[i];
    int64_t low = 0, high = c->dim['N'];
    while (low < high) {
      int64_t middle = low + (high - low) / 2;
      if (isnan(v) || sorted[middle] < v || (right && sorted[middle] == v)) low = middle + 1;
      else high = middle;
    }
    index[i] = low + 1;
  }
}

const cr_op cr_op_searchsorted = {
  .name = "searchsorted", .help = "where numbers belong in a sorted row",
  .inputs = inputs, .outputs = outputs, .options = options, .check = check, .forward = forward,
};
