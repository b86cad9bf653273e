/* unique.c - every different number once, sorted; which one each element is; how many of each there
 * are
 *
 *   values, inverse, counts = labels:unique()        x[i] == values[inverse[i]]
 *
 * x is read in row-major order; inverse has its shape and counts from 1. All NaN count as one
 * number, the last. */
#include "autograd/op.h"
#include "kernels/sort.h"

enum { VALUES, INVERSE, COUNTS };

static const cr_input inputs[] = { { "x", "...", CR_TANY, CR_NOGRAD }, { 0 } };
static const cr_output outputs[] = {
  [VALUES]  = { "values", NULL, CR_TSAME },
  [INVERSE] = { "inverse", "=0", CR_TINT },
  [COUNTS]  = { "counts", NULL, CR_TINT },
  { 0 }
};

static int64_t sorted_items(const cr_tensor *x, cr_sort_item *item) {
  int64_t n = cr_tensor_numel(x), different = n > 0;
  for (int64_t i = 0; i < n; i++) {
    item[i].key = x->dtype == CR_REAL ? cr_sort_key_real(cr_reals(x)[i], false)
                                      : cr_sort_key_int(cr_ints(x)[i], false);
    item[i].index = i;
  }
  cr_sort_items(item, item + n, n);
  for (int64_t i = 1; i < n; i++) different += item[i].key != item[i-1].key;
  return different;
}

/* The sizes of the results depend on the numbers, so they are sorted here already, once to count
 * and once to write. */
static bool check(cr_call *c, cr_error *err) {
  const cr_tensor *x = c->in[0];
  if (x->dtype == CR_BYTE) return cr_fail(err, CR_ETYPE, "x must be real or int64, got uint8");
  c->scratch_bytes = 2 * (size_t)cr_tensor_numel(x) * sizeof(cr_sort_item);
  cr_sort_item *item = cr_alloc(c->scratch_bytes, err);
  if (!item) return false;
  int64_t different = sorted_items(x, item);
  cr_free(item);
  cr_out_shape(c, VALUES, 1, &different);
  cr_out_shape(c, COUNTS, 1, &different);
  return true;
}

static void forward(cr_call *c) {
  const cr_tensor *x = c->in[0];
  const cr_sort_item *item = c->scratch;
  int64_t *inverse = cr_ints(c->out[INVERSE]), *count = cr_ints(c->out[COUNTS]), which = -1;
  sorted_items(x, c->scratch);
  for (int64_t i = 0, n = cr_tensor_numel(x); i < n; i++) {
    if (i == 0 || item[i].key != item[i-1].key) {
      count[++which] = 0;
      if (x->dtype == CR_REAL) cr_reals(c->out[VALUES])[which] = cr_reals(x)[item[i].index];
      else cr_ints(c->out[VALUES])[which] = cr_ints(x)[item[i].index];
    }
    count[which]++;
    inverse[item[i].index] = which + 1;
  }
}

const cr_op cr_op_unique = {
  .name = "unique", .help = "every different number once, sorted",
  .inputs = inputs, .outputs = outputs, .check = check, .forward = forward,
};
