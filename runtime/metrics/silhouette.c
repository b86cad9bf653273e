/* silhouette.c - how much nearer a row is to its own cluster than to the next
 *
 *   a_i   mean distance to the others of its cluster       s_i = (b_i - a_i) / max(a_i, b_i)
 *   b_i   least mean distance to the rows of another       score = mean of all s_i
 *
 *   samples, stats = crun.metrics.silhouette(embeddings, labels)
 *
 * A cluster of one has s = 0; so has a row with a = b = 0. With fewer than two clusters there is no
 * b: all nan. Rousseeuw, "Silhouettes: a graphical aid", J. Comp. Appl. Math. 1987. As in
 * scikit-learn, but never more than a tile of distances in memory: rows are sorted by label, so a
 * cluster is one slice of a row of distances. B^2 D time. */
#include <math.h>

#include "autograd/op.h"
#include "kernels/label_order.h"
#include "kernels/row_stream.h"

enum { EMBEDDINGS, LABELS };
enum { DISTANCE };
enum { SCORE, N_CLUSTERS };

static const cr_input inputs[] = {
  [EMBEDDINGS] = { "embeddings", "N D", CR_TREAL, CR_NOGRAD },
  [LABELS]     = { "labels",     "N",   CR_TINT,  CR_NOGRAD },
  { 0 }
};

static const cr_output outputs[] = { { "samples", "N", CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [DISTANCE] = { "distance", 0, 0, 0, "", CR_CHOICE, "euclidean manhattan cosine", false },
  { 0 }
};

static const char *const stats[] = { [SCORE] = "score", [N_CLUSTERS] = "clusters", NULL };

typedef struct work {
  cr_call *c;
  int64_t n, clusters;
  int64_t *order, *spare, *border;      /* border[k] .. border[k+1]: the rows of cluster k */
  void *stream;
} work;

static cr_stream_shape shape_of(const cr_call *c) {
  int64_t n = c->dim['N'];
  return (cr_stream_shape){ .queries = n, .references = n, .width = c->dim['D'], .same = true,
                            .metric = (cr_metric)c->option[DISTANCE] };
}

static size_t lay_out(cr_call *c, work *w, void *scratch) {
  cr_stream_shape shape = shape_of(c);
  size_t used = 0;
  *w = (work){ .c = c, .n = shape.queries };
  w->order = cr_stream_take(scratch, &used, w->n, sizeof(int64_t));
  w->spare = cr_stream_take(scratch, &used, w->n, sizeof(int64_t));
  w->border = cr_stream_take(scratch, &used, w->n + 1, sizeof(int64_t));
  w->stream = scratch != NULL ? (unsigned char *)scratch + used : NULL;
  return used + cr_stream_bytes(&shape);
}

static bool check(cr_call *c, cr_error *err) {
  work w;
  (void)err;
  c->scratch_bytes = lay_out(c, &w, NULL);
  return true;
}

static void score(void *context, int64_t i, real *d, void *scratch) {
  const work *w = context;
  double a = 0, b = INFINITY;
  int64_t own = 0;
  (void)scratch;
  d[i] = 0;
  for (int64_t k = 0; k < w->clusters; k++) {
    int64_t begin = w->border[k], size = w->border[k + 1] - begin;
    double sum = cr_pairs_sum(size, d + begin);
    if (i >= begin && i < begin + size) own = size, a = size > 1 ? sum / (double)(size - 1) : 0;
    else if (!(sum / (double)size >= b)) b = sum / (double)size;
  }
  double most = a > b ? a : b, s = own <= 1 || most == 0 ? 0 : (b - a) / most;
  cr_reals(w->c->out[0])[w->order[i]] = (real)(w->clusters < 2 ? NAN : s);
}

static void forward(cr_call *c) {
  const int64_t *label = cr_ints(c->in[LABELS]);
  cr_stream_shape shape = shape_of(c);
  cr_stream stream;
  work w;
  lay_out(c, &w, c->scratch);
  cr_label_order(w.n, label, w.order, w.spare);
  for (int64_t i = 0; i < w.n; i++)
    if (i == 0 || label[w.order[i]] != label[w.order[i - 1]]) w.border[w.clusters++] = i;
  w.border[w.clusters] = w.n;
  cr_stream_start(&stream, &shape, cr_reals(c->in[EMBEDDINGS]), NULL, w.order, NULL, w.stream);
  cr_stream_rows(&stream, score, &w);
  c->stat[N_CLUSTERS] = (double)w.clusters;
  c->stat[SCORE] = w.n > 0 ? cr_pairs_sum(w.n, cr_reals(c->out[0])) / (double)w.n : NAN;
}

const cr_op cr_metric_silhouette = {
  .name = "silhouette", .help = "how much nearer rows are to their own cluster than to the next",
  .formula = "s_i = (b_i - a_i) / max(a_i, b_i)",
  .paper = "Rousseeuw, \"Silhouettes: a graphical aid to the interpretation and validation of "
           "cluster analysis\", J. Comp. Appl. Math. 1987",
  .inputs = inputs, .outputs = outputs, .options = options, .stats = stats, .check = check,
  .forward = forward,
};
