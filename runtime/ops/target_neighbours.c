/* target_neighbours.c - the k nearest rows of the same label, for each row
 *
 * x [B D], labels [B] -> int [B k], row numbers from 1, the nearest first. By Euclidean distance;
 * with equal distances the row that comes first. A class of fewer than k + 1 rows leaves 0 in the
 * places that are not filled, and so does a row that is not finite. Time B^2 D + B K k for classes
 * of K rows; memory a tile of rows by B. Made for the loss lmnn. */
#include <string.h>

#include "autograd/op.h"
#include "kernels/tile_loss.h"

enum { X, LABELS };
enum { K, NORMALIZE };

static const cr_input inputs[] = {
  [X]      = { "x",      "B D", CR_TREAL, CR_NOGRAD },
  [LABELS] = { "labels", "B",   CR_TINT,  CR_NOGRAD },
  { 0 }
};
static const cr_output outputs[] = { { "neighbours", NULL, CR_TINT }, { 0 } };
static const cr_option options[] = {
  [K]         = { "k", 3, 1, 1e6, "how many for each row", CR_COUNT, NULL, false },
  [NORMALIZE] = { "normalize", 0, 0, 1, "divide rows by their norm first", CR_FLAG, NULL, false },
  { 0 }
};

static cr_tile_shape shape_of(const cr_call *c) {
  int64_t k = (int64_t)c->option[K];
  return (cr_tile_shape){ .rows = c->dim['B'], .width = c->dim['D'], .metric = CR_EUCLIDEAN,
                          .squared = true, .normalize = c->option[NORMALIZE] != 0,
                          .row_scratch_bytes = (size_t)k * sizeof(real) };
}

static bool check(cr_call *c, cr_error *err) {
  cr_tile_shape shape = shape_of(c);
  size_t saved;
  cr_out_shape(c, 0, 2, (int64_t[]){ c->dim['B'], (int64_t)c->option[K] });
  return cr_tile_sizes(&shape, &saved, &c->scratch_bytes, err);
}

typedef struct settings { int64_t k, *out; } settings;

/* Insertion into a sorted list of k. Rows of a class stand in order: the first of equals wins. */
static void nearest_row(const cr_row *row, void *context) {
  const settings *s = context;
  const int64_t *order = row->tile->order;
  int64_t *best = s->out + order[row->i] * s->k, found = 0;
  real *d = row->scratch;
  for (int64_t j = row->begin; j < row->end; j++) {
    if (j == row->self || (found == s->k && !(row->d[j] < d[s->k - 1]))) continue;
    int64_t at = found < s->k ? found++ : s->k - 1;
    for (; at > 0 && row->d[j] < d[at - 1]; at--) d[at] = d[at - 1], best[at] = best[at - 1];
    d[at] = row->d[j];
    best[at] = order[j] + 1;
  }
}

static void forward(cr_call *c) {
  cr_tile_shape shape = shape_of(c);
  settings s = { (int64_t)c->option[K], cr_ints(c->out[0]) };
  double sum[CR_ROW_SUMS];
  cr_tile t;
  memset(s.out, 0, (size_t)(shape.rows * s.k) * sizeof *s.out);
  cr_tile_start(&t, &shape, cr_reals(c->in[X]), cr_ints(c->in[LABELS]), NULL, NULL, c->scratch);
  cr_tile_pass(&t, nearest_row, &s, false, sum);
}

const cr_op cr_op_target_neighbours = {
  .name = "target_neighbours", .help = "row numbers of the k nearest rows of the same label",
  .inputs = inputs, .outputs = outputs, .options = options, .check = check, .forward = forward,
};
