/* knn.c - the label most of the nearest references carry
 *
 *   predicted, stats = crun.metrics.knn(embeddings, references, reference_labels, labels)
 *
 *   votes(y) = sum over the k nearest with label y of exp(-(d - d_1) / temperature)
 *
 * or of 1 with weights = "uniform"; d_1 is the least distance. Under cosine that is exp(cos /
 * temperature) but for a factor. Of labels with equally many votes the one whose nearest reference
 * is nearest is taken. Without references a row is not its own neighbour. stats.accuracy is the
 * share of predictions that equal `labels`, nan without those. Fewer than k references: all of
 * them.
 *
 * Wu, Xiong, Yu, Lin, "Unsupervised feature learning via non-parametric instance discrimination",
 * CVPR 2018, section 3.4: k = 200, temperature 0.07 there, 0.1 in most later work and here. */
#include <math.h>

#include "autograd/op.h"
#include "kernels/row_stream.h"

enum { EMBEDDINGS, REFERENCES, REFERENCE_LABELS, LABELS };
enum { K, TEMPERATURE, WEIGHTS, DISTANCE };
enum { EXPONENTIAL, UNIFORM };
enum { ACCURACY };

static const cr_input inputs[] = {
  [EMBEDDINGS]       = { "embeddings",       "Q D", CR_TREAL, CR_NOGRAD },
  [REFERENCES]       = { "references",       "R D", CR_TREAL, CR_OPTIONAL | CR_NOGRAD },
  [REFERENCE_LABELS] = { "reference_labels", "R",   CR_TINT,  CR_OPTIONAL | CR_NOGRAD },
  [LABELS]           = { "labels",           "Q",   CR_TINT,  CR_OPTIONAL | CR_NOGRAD },
  { 0 }
};

static const cr_output outputs[] = { { "predicted", "Q", CR_TINT }, { 0 } };

static const cr_option options[] = {
  [K]           = { "k", 200, 1, 9e15, "neighbours that vote", CR_COUNT },
  [TEMPERATURE] = { "temperature", 0.1, 1e-12, INFINITY, "of exponential weights" },
  [WEIGHTS]     = { "weights", EXPONENTIAL, 0, 0, "", CR_CHOICE, "exponential uniform" },
  [DISTANCE]    = { "distance", CR_COSINE, 0, 0, "", CR_CHOICE, CR_METRIC_NAMES },
  { 0 }
};

static const char *const stats[] = { [ACCURACY] = "accuracy", NULL };

static bool is_same(const cr_call *c) { return c->in[REFERENCES] == NULL; }

static int64_t neighbours(const cr_call *c) {
  int64_t most = is_same(c) ? c->dim['Q'] - 1 : c->dim['R'], k = (int64_t)c->option[K];
  return k < most ? k : most < 0 ? 0 : most;
}

static cr_stream_shape shape_of(const cr_call *c) {
  int64_t k = neighbours(c);
  return (cr_stream_shape){
    .queries = c->dim['Q'], .references = is_same(c) ? c->dim['Q'] : c->dim['R'],
    .width = c->dim['D'], .same = is_same(c), .metric = (cr_metric)c->option[DISTANCE],
    .row_bytes = cr_nearest_bytes(k) + 2 * (size_t)k * sizeof(cr_sort_item) +
                 (size_t)k * sizeof(double)
  };
}

static bool check(cr_call *c, cr_error *err) {
  if (is_same(c) != (c->in[REFERENCE_LABELS] == NULL))
    return cr_fail(err, CR_EVALUE, "references and reference_labels go together");
  if (is_same(c) && c->in[LABELS] == NULL)
    return cr_fail(err, CR_EVALUE, "needs references with reference_labels, or labels");
  if (c->dim['Q'] > 0 && neighbours(c) == 0)
    return cr_fail(err, CR_EVALUE, "there is no reference to vote");
  cr_stream_shape shape = shape_of(c);
  c->scratch_bytes = cr_stream_bytes(&shape);
  return true;
}

static void vote(void *context, int64_t query, real *d, void *scratch) {
  const cr_call *c = context;
  const int64_t *label = cr_ints(c->in[is_same(c) ? LABELS : REFERENCE_LABELS]);
  const cr_sort_item *near;
  int64_t k = neighbours(c);
  cr_nearest(is_same(c) ? c->dim['Q'] : c->dim['R'], d, is_same(c) ? query : -1, k, &near,
             scratch);
  cr_sort_item *item = (cr_sort_item *)(void *)((unsigned char *)scratch + cr_nearest_bytes(k));
  double *weight = (double *)(void *)(item + 2 * k), most = -1, votes = 0;
  int64_t first = 0, best = 0, best_first = 0;
  for (int64_t s = 0; s < k; s++) {
    double gap = (double)d[near[s].index] - (double)d[near[0].index];
    bool uniform = c->option[WEIGHTS] == UNIFORM;
    weight[s] = uniform || !(gap > 0) ? 1 : exp(-gap / c->option[TEMPERATURE]);
    item[s] = (cr_sort_item){ cr_sort_key_int(label[near[s].index], false), s };
  }
  cr_sort_items(item, item + k, k);             /* stable: the nearest of a label comes first */
  for (int64_t s = 0; s < k; s++) {
    if (s == 0 || item[s].key != item[s - 1].key) votes = 0, first = item[s].index;
    votes += weight[item[s].index];
    bool last = s + 1 == k || item[s + 1].key != item[s].key;
    if (last && (votes > most || (votes == most && first < best_first)))
      most = votes, best = label[near[item[s].index].index], best_first = first;
  }
  cr_ints(c->out[0])[query] = best;
}

static void forward(cr_call *c) {
  cr_stream_shape shape = shape_of(c);
  cr_stream stream;
  cr_stream_start(&stream, &shape, cr_reals(c->in[EMBEDDINGS]),
                  shape.same ? NULL : cr_reals(c->in[REFERENCES]), NULL, NULL, c->scratch);
  cr_stream_rows(&stream, vote, c);
  double right = 0;
  const int64_t *label = c->in[LABELS] != NULL ? cr_ints(c->in[LABELS]) : NULL;
  for (int64_t i = 0; label != NULL && i < shape.queries; i++)
    right += cr_ints(c->out[0])[i] == label[i];
  c->stat[ACCURACY] = label != NULL && shape.queries > 0 ? right / (double)shape.queries : NAN;
}

const cr_op cr_metric_knn = {
  .name = "knn", .help = "classify by the weighted votes of the k nearest references",
  .formula = "votes(y) = sum over the k nearest with label y of exp(-(d - d_1) / temperature)",
  .paper = "Wu, Xiong, Yu, Lin, \"Unsupervised feature learning via non-parametric instance "
           "discrimination\", CVPR 2018",
  .inputs = inputs, .outputs = outputs, .options = options, .stats = stats, .check = check,
  .forward = forward,
};
