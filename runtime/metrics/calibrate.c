/* calibrate.c - the distance below which a pair is called same, and how sure that is
 *
 *   target      the threshold
 *   accuracy    with the most pairs called rightly
 *   f1          with the largest 2 TP / (2 TP + FP + FN)
 *   precision   the largest whose TP / (TP + FP) is `value` at least: most recall for it
 *   recall      the smallest whose TP / (TP + FN) is `value` at least
 *   far         the largest whose FP / different pairs is `value` at most
 *
 *   thresholds, stats = crun.metrics.calibrate(distances, same, { target = "far", value = 0.001 })
 *
 * Candidates lie halfway between neighbouring distinct distances, or 1 below and above all of them;
 * of equally good ones the smallest is taken. stats.low .. stats.high is the bootstrap interval:
 * pairs are drawn again with replacement `samples` times, and the interval holds the middle `level`
 * of the thresholds found (which are the output, in rising order). A target no threshold reaches
 * gives nan; so do pairs of one kind only.
 *
 * Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 1979. */
#include <math.h>
#include <string.h>

#include "autograd/op.h"
#include "base/pool.h"
#include "base/rng.h"
#include "kernels/row_stream.h"

enum { DISTANCES, SAME };
enum { TARGET, VALUE, SAMPLES, LEVEL, SEED };
enum { T_ACCURACY, T_F1, T_PRECISION, T_RECALL, T_FAR };
enum { THRESHOLD, LOW, HIGH, ACCURACY, PRECISION, RECALL, F1, FAR };

static const cr_input inputs[] = {
  [DISTANCES] = { "distances", "N", CR_TREAL, CR_NOGRAD },
  [SAME]      = { "same",      "N", CR_TREAL, CR_NOGRAD },       /* 0 or not */
  { 0 }
};

static const cr_output outputs[] = { { "thresholds", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [TARGET]  = { "target", T_ACCURACY, 0, 0, "", CR_CHOICE, "accuracy f1 precision recall far" },
  [VALUE]   = { "value", 0.95, 0, 1, "what precision, recall or far must reach" },
  [SAMPLES] = { "samples", 200, 0, 1e6, "times pairs are drawn again", CR_COUNT },
  [LEVEL]   = { "level", 0.95, 0, 1, "share of the samples the interval holds" },
  [SEED]    = { "seed", 1, 0, 9e15, "of the drawing", CR_COUNT },
  { 0 }
};

static const char *const stats[] = {
  [THRESHOLD] = "threshold", [LOW] = "low", [HIGH] = "high", [ACCURACY] = "accuracy",
  [PRECISION] = "precision", [RECALL] = "recall", [F1] = "f1", [FAR] = "far", NULL
};

typedef struct work {
  cr_call *c;
  int64_t n;
  double *d;                    /* in rising order */
  uint8_t *same;
  double *found;                /* [samples] */
  cr_sort_item *item, *spare;   /* of N and of samples */
  int32_t *times;               /* for each worker, [N] */
} work;

static size_t lay_out(cr_call *c, work *w, void *scratch) {
  int64_t n = c->dim['N'], samples = (int64_t)c->option[SAMPLES], most = n > samples ? n : samples;
  size_t used = 0;
  *w = (work){ .c = c, .n = n };
  w->d = cr_stream_take(scratch, &used, n, sizeof(double));
  w->same = cr_stream_take(scratch, &used, n, 1);
  w->found = cr_stream_take(scratch, &used, samples, sizeof(double));
  w->item = cr_stream_take(scratch, &used, most, sizeof(cr_sort_item));
  w->spare = cr_stream_take(scratch, &used, most, sizeof(cr_sort_item));
  w->times = cr_stream_take(scratch, &used, n * cr_pool_threads(), sizeof(int32_t));
  return used;
}

static bool check(cr_call *c, cr_error *err) {
  work w;
  int64_t samples = (int64_t)c->option[SAMPLES];
  (void)err;
  c->scratch_bytes = lay_out(c, &w, NULL);
  cr_out_shape(c, 0, 1, &samples);
  return true;
}

typedef struct counts { double tp, fp, same, different; } counts;

static double score(const counts *k, int name) {
  double fn = k->same - k->tp;
  switch (name) {
    case ACCURACY: return (k->tp + k->different - k->fp) / (k->same + k->different);
    case PRECISION: return k->tp + k->fp > 0 ? k->tp / (k->tp + k->fp) : 1;
    case RECALL: return k->tp / k->same;
    case F1: return 2 * k->tp / (2 * k->tp + k->fp + fn);
    default: return k->fp / k->different;
  }
}

/* One candidate: is it the threshold, as far as can be seen? They come in rising order. */
static void consider(const cr_call *c, const counts *k, double at, double *best, double *most) {
  int target = (int)c->option[TARGET];
  double value = c->option[VALUE];
  if (target == T_ACCURACY || target == T_F1) {
    double s = score(k, target == T_F1 ? F1 : ACCURACY);
    if (s > *most) *most = s, *best = at;
  } else if (target == T_RECALL) {
    if (isnan(*best) && score(k, RECALL) >= value) *best = at;
  } else if (target == T_PRECISION) {
    if (k->tp + k->fp > 0 && score(k, PRECISION) >= value) *best = at;
  } else if (score(k, FAR) <= value) *best = at;
}

/* The threshold for the pairs, each counted times[i] times (NULL: once). */
static double threshold(const work *w, const int32_t *times) {
  counts k = { 0 };
  double best = NAN, most = -1, before = NAN;
  for (int64_t i = 0; i < w->n; i++) {
    double many = times != NULL ? times[i] : 1;
    if (w->same[i]) k.same += many;
    else k.different += many;
  }
  if (!(k.same > 0 && k.different > 0)) return NAN;
  for (int64_t i = 0; i < w->n && !isnan(w->d[i]); i++) {
    double many = times != NULL ? times[i] : 1;
    if (many == 0) continue;
    if (isnan(before)) consider(w->c, &k, w->d[i] - 1, &best, &most);
    else if (w->d[i] != before)
      consider(w->c, &k, before + (w->d[i] - before) / 2, &best, &most);
    if (w->same[i]) k.tp += many;
    else k.fp += many;
    before = w->d[i];
  }
  if (!isnan(before)) consider(w->c, &k, before + 1, &best, &most);
  return best;
}

static void sample(void *context, int64_t block, int worker) {
  const work *w = context;
  int32_t *times = w->times + (int64_t)worker * w->n;
  cr_rng rng = cr_rng_at((uint64_t)w->c->option[SEED], cr_rng_hash("calibrate"), (uint64_t)block);
  memset(times, 0, (size_t)w->n * sizeof *times);
  for (int64_t i = 0; i < w->n; i++) times[cr_rng_below(&rng, (uint64_t)w->n)]++;
  w->found[block] = threshold(w, times);
}

/* Samples in rising order, those without a threshold last. */
static void interval(const work *w, int64_t samples) {
  cr_call *c = w->c;
  int64_t found = 0;
  for (int64_t s = 0; s < samples; s++) {
    w->item[s] = (cr_sort_item){ cr_sort_key_real((real)w->found[s], false), s };
    found += !isnan(w->found[s]);
  }
  cr_sort_items(w->item, w->spare, samples);
  for (int64_t s = 0; s < samples; s++)
    cr_reals(c->out[0])[s] = (real)w->found[w->item[s].index];
  if (found == 0) return;
  double tail = (1 - c->option[LEVEL]) / 2 * (double)(found - 1);
  c->stat[LOW] = w->found[w->item[(int64_t)floor(tail)].index];
  c->stat[HIGH] = w->found[w->item[found - 1 - (int64_t)floor(tail)].index];
}

static void forward(cr_call *c) {
  const real *d = cr_reals(c->in[DISTANCES]), *same = cr_reals(c->in[SAME]);
  int64_t samples = (int64_t)c->option[SAMPLES];
  counts k = { 0 };
  work w;
  lay_out(c, &w, c->scratch);
  for (int64_t i = 0; i < w.n; i++)
    w.item[i] = (cr_sort_item){ cr_sort_key_real(d[i], false), i };
  cr_sort_items(w.item, w.spare, w.n);
  for (int64_t i = 0; i < w.n; i++) {
    w.d[i] = (double)d[w.item[i].index];
    w.same[i] = same[w.item[i].index] != 0;
  }
  for (int s = THRESHOLD; s <= FAR; s++) c->stat[s] = NAN;
  c->stat[THRESHOLD] = threshold(&w, NULL);
  for (int64_t i = 0; i < w.n; i++) {
    bool accepted = w.d[i] < c->stat[THRESHOLD];
    if (w.same[i]) k.same++, k.tp += accepted;
    else k.different++, k.fp += accepted;
  }
  for (int s = ACCURACY; s <= FAR && !isnan(c->stat[THRESHOLD]); s++) c->stat[s] = score(&k, s);
  cr_pool_run(samples, sample, &w);
  interval(&w, samples);
}

const cr_op cr_metric_calibrate = {
  .name = "calibrate",
  .help = "the threshold on distances for a target, with its bootstrap interval",
  .formula = "threshold = argmax of accuracy or F1, or the one that reaches precision, recall, FAR",
  .paper = "Efron, \"Bootstrap methods: another look at the jackknife\", Annals of Statistics 1979",
  .inputs = inputs, .outputs = outputs, .options = options, .stats = stats, .check = check,
  .forward = forward,
};
