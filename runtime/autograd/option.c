/* option.c - the option helpers of op.h */
#include <math.h>

#include "autograd/op.h"

bool cr_option_dim(cr_call *c, int option, int ndim, int *dim, cr_error *err) {
  double value = c->option[option];
  const char *name = c->op->options[option].name;
  if (isnan(value)) return cr_fail(err, CR_EVALUE, "%s is missing", name);
  int d = (int)value < 0 ? (int)value + ndim : (int)value;
  if (d < 0 || d >= ndim) {
    int shown = (int)value < 0 ? (int)value : (int)value + 1;
    return cr_fail(err, CR_EVALUE, "%s = %d is not a dimension of a tensor of %d", name, shown, ndim);
  }
  *dim = d;
  return true;
}

bool cr_option_dims(cr_call *c, int option, int ndim, bool mask[CR_MAX_DIMS], cr_error *err) {
  const cr_list *list = &c->list[option];
  const char *name = c->op->options[option].name;
  for (int d = 0; d < CR_MAX_DIMS; d++) mask[d] = list->n == 0 && d < ndim;
  for (int i = 0; i < list->n; i++) {
    int64_t value = list->at[i], d = value < 0 ? value + ndim : value;
    long long shown = value < 0 ? value : value + 1;
    if (d < 0 || d >= ndim)
      return cr_fail(err, CR_EVALUE, "%s = %lld is not a dimension of a tensor of %d", name, shown, ndim);
    if (mask[d]) return cr_fail(err, CR_EVALUE, "%s names dimension %lld twice", name, shown);
    mask[d] = true;
  }
  return true;
}

bool cr_option_counts(cr_call *c, int option, int n, int64_t fallback, int64_t *out, cr_error *err) {
  const cr_list *list = &c->list[option];
  if (list->n > 1 && list->n != n)
    return cr_fail(err, CR_EVALUE, "%s takes 1 or %d numbers, got %d", c->op->options[option].name, n,
                   list->n);
  for (int i = 0; i < n; i++) out[i] = list->n == 0 ? fallback : list->at[list->n == 1 ? 0 : i];
  return true;
}
