/* fnmr_at_fmr.c - share of same pairs that are refused at a given rate of wrongly accepted ones
 *
 *   threshold_t   the fmr_t quantile of the distances of different pairs (linear between order
 *                 statistics, as numpy's)
 *   FNMR_t        #{ same pairs with distance >= threshold_t } / same pairs
 *
 *   fnmr, threshold = crun.metrics.fnmr_at_fmr(distances, same, fmr)      fmr: 0.1, 0.01, 0.001
 *
 * metrics.verification's tar_at_far is the same trade without interpolation. Without pairs of one
 * of the kinds: nan. Distances that are not numbers count as farthest. */
#include <math.h>

#include "autograd/op.h"
#include "kernels/sort.h"

enum { DISTANCES, SAME, RATES };
enum { FNMR, THRESHOLD };

static const cr_input inputs[] = {
  [DISTANCES] = { "distances", "N", CR_TREAL, CR_NOGRAD },
  [SAME]      = { "same",      "N", CR_TREAL, CR_NOGRAD },       /* 0 or not */
  [RATES]     = { "fmr",       "T", CR_TREAL, CR_OPTIONAL | CR_NOGRAD },
  { 0 }
};

static const cr_output outputs[] = {
  [FNMR] = { "fnmr", NULL, CR_TREAL }, [THRESHOLD] = { "threshold", NULL, CR_TREAL }, { 0 }
};

static bool check(cr_call *c, cr_error *err) {
  int64_t rates = c->in[RATES] != NULL ? c->dim['T'] : 3;
  for (int64_t t = 0; c->in[RATES] != NULL && t < rates; t++) {
    double rate = (double)cr_reals(c->in[RATES])[t];
    if (!(rate >= 0 && rate <= 1))
      return cr_fail(err, CR_EVALUE, "fmr must be in 0 .. 1, got %g", rate);
  }
  c->scratch_bytes = 2 * (size_t)c->dim['N'] * sizeof(cr_sort_item);
  cr_out_shape(c, FNMR, 1, &rates);
  cr_out_shape(c, THRESHOLD, 1, &rates);
  return true;
}

static void forward(cr_call *c) {
  int64_t n = c->dim['N'], different = 0, rates = c->out[FNMR]->shape[0];
  const real *d = cr_reals(c->in[DISTANCES]), *same = cr_reals(c->in[SAME]);
  cr_sort_item *item = c->scratch;
  for (int64_t i = 0; i < n; i++)
    if (same[i] == 0) item[different++] = (cr_sort_item){ cr_sort_key_real(d[i], false), i };
  cr_sort_items(item, item + n, different);
  for (int64_t t = 0; t < rates; t++) {
    double rate = pow(10, -1 - (double)t);
    if (c->in[RATES] != NULL) rate = (double)cr_reals(c->in[RATES])[t];
    double place = rate * (double)(different - 1), missed = 0, at = NAN;
    if (different > 0) {
      int64_t low = (int64_t)place, high = low + 1 < different ? low + 1 : low;
      double below = (double)d[item[low].index], above = (double)d[item[high].index];
      at = below + (place - (double)low) * (above - below);
    }
    for (int64_t i = 0; i < n; i++) missed += same[i] != 0 && !((double)d[i] < at);
    bool both = different > 0 && different < n;
    cr_reals(c->out[THRESHOLD])[t] = (real)at;
    cr_reals(c->out[FNMR])[t] = (real)(both ? missed / (double)(n - different) : NAN);
  }
}

const cr_op cr_metric_fnmr_at_fmr = {
  .name = "fnmr_at_fmr", .help = "same pairs refused at given rates of different pairs accepted",
  .formula = "FNMR_t = P(d >= quantile(d of different pairs, fmr_t) | same)",
  .differs = "OML gives the rates in percent in older versions",
  .inputs = inputs, .outputs = outputs, .check = check, .forward = forward,
};
