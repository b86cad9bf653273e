/* neighbours.c - the k nearest references of each query
 *
 *   distances, index = crun.metrics.neighbours(embeddings, references, { k = 10 })
 *
 * index [Q k] holds row numbers from 1, nearest first; equal distances: the lower number first; a
 * distance that is not a number comes last. Without references a query's own row is left out, and k
 * may be at most Q - 1. distance: cosine is 1 - cos, dot minus the product. Exact; holds a tile of
 * distances at a time. */
#include <math.h>

#include "autograd/op.h"
#include "kernels/row_stream.h"

enum { EMBEDDINGS, REFERENCES };
enum { DISTANCES, INDEX };
enum { K, DISTANCE };

static const cr_input inputs[] = {
  [EMBEDDINGS] = { "embeddings", "Q D", CR_TREAL, CR_NOGRAD },
  [REFERENCES] = { "references", "R D", CR_TREAL, CR_OPTIONAL | CR_NOGRAD },
  { 0 }
};

static const cr_output outputs[] = {
  [DISTANCES] = { "distances", NULL, CR_TREAL }, [INDEX] = { "index", NULL, CR_TINT }, { 0 }
};

static const cr_option options[] = {
  [K] = { "k", NAN, 0, 9e15, "how many", CR_COUNT, NULL, true },
  [DISTANCE] = { "distance", 0, 0, 0, "", CR_CHOICE, CR_METRIC_NAMES, false },
  { 0 }
};

static cr_stream_shape shape_of(const cr_call *c) {
  bool same = c->in[REFERENCES] == NULL;
  cr_metric metric = (cr_metric)c->option[DISTANCE];
  return (cr_stream_shape){
    .queries = c->dim['Q'], .references = same ? c->dim['Q'] : c->dim['R'], .width = c->dim['D'],
    .same = same, .metric = metric, .squared = metric == CR_EUCLIDEAN,
    .row_bytes = cr_nearest_bytes((int64_t)c->option[K])
  };
}

static bool check(cr_call *c, cr_error *err) {
  cr_stream_shape shape = shape_of(c);
  int64_t k = (int64_t)c->option[K], most = shape.references - shape.same;
  most = most < 0 ? 0 : most;
  if (k > most)
    return cr_fail(err, CR_EVALUE, "k = %lld is more than the %lld rows there are to find",
                   (long long)k, (long long)most);
  c->scratch_bytes = cr_stream_bytes(&shape);
  int64_t sizes[2] = { shape.queries, k };
  cr_out_shape(c, DISTANCES, 2, sizes);
  cr_out_shape(c, INDEX, 2, sizes);
  return true;
}

static void find(void *context, int64_t query, real *d, void *scratch) {
  const cr_call *c = context;
  const cr_sort_item *near;
  int64_t k = c->out[INDEX]->shape[1];
  bool same = c->in[REFERENCES] == NULL;
  cr_nearest(same ? c->dim['Q'] : c->dim['R'], d, same ? query : -1, k, &near, scratch);
  for (int64_t i = 0; i < k; i++) {
    real found = d[near[i].index];
    cr_reals(c->out[DISTANCES])[query * k + i] =
      c->option[DISTANCE] == CR_EUCLIDEAN ? (real)sqrt((double)found) : found;
    cr_ints(c->out[INDEX])[query * k + i] = near[i].index + 1;
  }
}

static void forward(cr_call *c) {
  cr_stream_shape shape = shape_of(c);
  cr_stream stream;
  cr_stream_start(&stream, &shape, cr_reals(c->in[EMBEDDINGS]),
                  shape.same ? NULL : cr_reals(c->in[REFERENCES]), NULL, NULL, c->scratch);
  cr_stream_rows(&stream, find, c);
}

const cr_op cr_metric_neighbours = {
  .name = "neighbours", .help = "the k nearest references of each query",
  .inputs = inputs, .outputs = outputs, .options = options, .check = check, .forward = forward,
};
