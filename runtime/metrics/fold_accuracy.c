/* fold_accuracy.c - accuracy of telling pairs apart, the threshold never chosen on the pairs scored
 *
 * The protocol of Labeled Faces in the Wild: pairs are cut into folds; for each fold the threshold
 * with the best accuracy on all other folds is taken, and its accuracy on the fold counts.
 *
 *   accuracy, threshold, stats = crun.metrics.fold_accuracy(distances, same)
 *
 * A pair is called same when its distance is below the threshold; of equally good thresholds the
 * first, in rising order, is taken. Candidates are the midpoints between neighbouring distinct
 * distances of the other folds, with one below all (least - 1) and one above (most + 1); or, with
 * grid_count, a grid: grid_start + i grid_step. fold [N] says which fold a pair is in (any
 * numbers); without it `folds` pieces in the order of the pairs, sizes differing by at most one.
 *
 * stats: accuracy (the mean), std (over folds, divided by their number), standard_error (sample
 * deviation / sqrt(folds), as the LFW pages report). A distance that is not a number is never same.
 *
 * Huang, Ramesh, Berg, Learned-Miller, "Labeled faces in the wild", 2007, section III-A. */
#include <math.h>

#include "autograd/op.h"
#include "kernels/label_order.h"
#include "kernels/row_stream.h"

enum { DISTANCES, SAME, FOLD };
enum { ACCURACY, THRESHOLD };
enum { FOLDS, GRID_START, GRID_STEP, GRID_COUNT };
enum { S_ACCURACY, S_STD, S_ERROR, S_FOLDS };

static const cr_input inputs[] = {
  [DISTANCES] = { "distances", "N", CR_TREAL, CR_NOGRAD },
  [SAME]      = { "same",      "N", CR_TREAL, CR_NOGRAD },       /* 0 or not */
  [FOLD]      = { "fold",      "N", CR_TINT,  CR_OPTIONAL | CR_NOGRAD },
  { 0 }
};

static const cr_output outputs[] = {
  [ACCURACY] = { "accuracy", NULL, CR_TREAL }, [THRESHOLD] = { "threshold", NULL, CR_TREAL }, { 0 }
};

static const cr_option options[] = {
  [FOLDS]      = { "folds", 10, 2, 1e9, "pieces, when fold is not given", CR_COUNT },
  [GRID_START] = { "grid_start", 0, -INFINITY, INFINITY, "the first threshold of a grid" },
  [GRID_STEP]  = { "grid_step", 0.01, 0, INFINITY, "from one to the next" },
  [GRID_COUNT] = { "grid_count", 0, 0, 1e9, "how many; 0: midpoints instead of a grid", CR_COUNT },
  { 0 }
};

static const char *const stats[] = {
  [S_ACCURACY] = "accuracy", [S_STD] = "std", [S_ERROR] = "standard_error", [S_FOLDS] = "folds",
  NULL
};

typedef struct work {
  int64_t *fold, *order, *spare;        /* fold of each pair, 0 .. folds-1 */
  cr_sort_item *item, *more;            /* pairs by distance */
  double *accuracy;                     /* of each fold */
} work;

static size_t lay_out(int64_t n, work *w, void *scratch) {
  size_t used = 0;
  w->fold = cr_stream_take(scratch, &used, n, sizeof(int64_t));
  w->order = cr_stream_take(scratch, &used, n, sizeof(int64_t));
  w->spare = cr_stream_take(scratch, &used, n, sizeof(int64_t));
  w->item = cr_stream_take(scratch, &used, n, sizeof(cr_sort_item));
  w->more = cr_stream_take(scratch, &used, n, sizeof(cr_sort_item));
  w->accuracy = cr_stream_take(scratch, &used, n, sizeof(double));
  return used;
}

/* The number of different folds, and which one each pair is in. */
static int64_t number_folds(const cr_call *c, const int64_t *order, int64_t *fold) {
  int64_t n = c->dim['N'], folds = (int64_t)c->option[FOLDS], found = 0;
  if (c->in[FOLD] == NULL) {
    for (int64_t k = 0; k < folds && fold != NULL; k++)
      for (int64_t i = k * n / folds; i < (k + 1) * n / folds; i++) fold[i] = k;
    return folds;
  }
  const int64_t *given = cr_ints(c->in[FOLD]);
  for (int64_t i = 0; i < n; i++) {
    found += i == 0 || given[order[i]] != given[order[i - 1]];
    if (fold != NULL) fold[order[i]] = found - 1;
  }
  return found;
}

static bool check(cr_call *c, cr_error *err) {
  int64_t n = c->dim['N'], folds;
  work w;
  int64_t *order = cr_alloc(2 * (size_t)n * sizeof *order, err);
  if (order == NULL) return false;
  if (c->in[FOLD] != NULL) cr_label_order(n, cr_ints(c->in[FOLD]), order, order + n);
  folds = number_folds(c, order, NULL);
  cr_free(order);
  if (folds < 2 || folds > n)
    return cr_fail(err, CR_EVALUE, "needs 2 folds or more with a pair in each, got %lld of %lld "
                   "pairs", (long long)folds, (long long)n);
  c->scratch_bytes = lay_out(n, &w, NULL);
  cr_out_shape(c, ACCURACY, 1, &folds);
  cr_out_shape(c, THRESHOLD, 1, &folds);
  return true;
}

typedef struct walk {
  const cr_call *c;
  const work *w;
  int64_t k;                    /* the fold left out */
} walk;

/* How many pairs of the other folds a threshold calls rightly, candidates rising: `right` starts at
 * the different ones, each same pair passed adds one, each different pair takes one away. */
static double best_midpoint(const walk *t, int64_t right) {
  const real *d = cr_reals(t->c->in[DISTANCES]), *same = cr_reals(t->c->in[SAME]);
  int64_t n = t->c->dim['N'], most = right;
  double before = NAN, best = NAN;
  for (int64_t s = 0; s < n; s++) {
    int64_t i = t->w->item[s].index;
    if (t->w->fold[i] == t->k || isnan(d[i])) continue;
    double at = (double)d[i];
    if (isnan(before)) best = at - 1;
    else if (at != before && right > most) most = right, best = before + (at - before) / 2;
    right += same[i] != 0 ? 1 : -1;
    before = at;
  }
  return right > most ? before + 1 : isnan(best) ? 0 : best;
}

static double best_of_grid(const walk *t, int64_t right) {
  const real *d = cr_reals(t->c->in[DISTANCES]), *same = cr_reals(t->c->in[SAME]);
  int64_t n = t->c->dim['N'], count = (int64_t)t->c->option[GRID_COUNT], most = -1, s = 0;
  double best = 0;
  for (int64_t g = 0; g < count; g++) {
    double at = t->c->option[GRID_START] + (double)g * t->c->option[GRID_STEP];
    for (; s < n && (double)d[t->w->item[s].index] < at; s++) {
      int64_t i = t->w->item[s].index;
      if (t->w->fold[i] != t->k) right += same[i] != 0 ? 1 : -1;
    }
    if (right > most) most = right, best = at;
  }
  return best;
}

static void forward(cr_call *c) {
  int64_t n = c->dim['N'], folds = c->out[ACCURACY]->shape[0];
  const real *d = cr_reals(c->in[DISTANCES]), *same = cr_reals(c->in[SAME]);
  double mean = 0, spread = 0;
  work w;
  lay_out(n, &w, c->scratch);
  if (c->in[FOLD] != NULL) cr_label_order(n, cr_ints(c->in[FOLD]), w.order, w.spare);
  number_folds(c, w.order, w.fold);
  for (int64_t i = 0; i < n; i++) w.item[i] = (cr_sort_item){ cr_sort_key_real(d[i], false), i };
  cr_sort_items(w.item, w.more, n);
  for (int64_t k = 0; k < folds; k++) {
    walk t = { .c = c, .w = &w, .k = k };
    int64_t different = 0, size = 0, right = 0;
    for (int64_t i = 0; i < n; i++) different += w.fold[i] != k && same[i] == 0;
    double at = c->option[GRID_COUNT] > 0 ? best_of_grid(&t, different)
      : best_midpoint(&t, different);
    for (int64_t i = 0; i < n; i++)
      if (w.fold[i] == k) size++, right += ((double)d[i] < at) == (same[i] != 0);
    cr_reals(c->out[THRESHOLD])[k] = (real)at;
    w.accuracy[k] = (double)right / (double)size;
    cr_reals(c->out[ACCURACY])[k] = (real)w.accuracy[k];
    mean += w.accuracy[k] / (double)folds;
  }
  for (int64_t k = 0; k < folds; k++) spread += pow(w.accuracy[k] - mean, 2);
  c->stat[S_ACCURACY] = mean;
  c->stat[S_STD] = sqrt(spread / (double)folds);
  c->stat[S_ERROR] = sqrt(spread / (double)(folds - 1) / (double)folds);
  c->stat[S_FOLDS] = (double)folds;
}

const cr_op cr_metric_fold_accuracy = {
  .name = "fold_accuracy",
  .help = "accuracy on pairs, the threshold chosen on the other folds: the LFW protocol",
  .formula = "accuracy = mean over folds of the accuracy at the threshold best on all other folds",
  .paper = "Huang, Ramesh, Berg, Learned-Miller, \"Labeled faces in the wild\", 2007",
  .inputs = inputs, .outputs = outputs, .options = options, .stats = stats, .check = check,
  .forward = forward,
};
