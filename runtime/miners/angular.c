/* angular.c - triplets whose negative sees the positive pair under a wide angle
 *
 *   (a, p, n)  atan(|a - p| / (2 |n - (a + p)/2|)) > angle            angle in degrees
 *
 * in lexicographic order. Rows are taken as they are; normalize = true puts them on the sphere
 * first. A negative in the middle of two different rows sees them under 90 degrees; where anchor
 * and positive are one point the angle is 0.
 *
 * The distances of an anchor's middles to all references are one matrix product for each anchor:
 * cost B K R D for classes of K rows, memory K R. Wang, Zhou, Wen, Liu, Lin, "Deep metric learning
 * with angular loss", ICCV 2017. */
#include <math.h>

#include "autograd/miner.h"

enum { ANGLE, NORMALIZE };

static const cr_option options[] = {
  [ANGLE] = { "angle", 20, 0, 90, "in degrees; narrower triplets are left out", CR_NUMBER, NULL,
              false },
  [NORMALIZE] = { "normalize", 0, 0, 1, "divide rows by their norm first", CR_FLAG, NULL, false },
  { 0 }
};

/* The middles of one anchor's positive pairs, and their distances to all columns. */
typedef struct middles {
  double tangent;
  real *x, *xx, *d;
} middles;

static void measure(const cr_miner *m, const cr_mine_row *r, middles *w) {
  cr_pairs pairs = m->pairs;
  int64_t D = pairs.width;
  const real *a = m->x + r->i * D;
  for (int64_t k = 0; k < r->positives; k++) {
    const real *p = m->y + r->positive[k] * D;
    real *middle = w->x + k * D;
    for (int64_t l = 0; l < D; l++) middle[l] = a[l] + (p[l] - a[l]) / 2;
    w->xx[k] = cr_pairs_centre(D, middle, NULL, middle);
  }
  pairs.x = w->x;
  pairs.xx = w->xx;
  pairs.rows = r->positives;
  pairs.same = false;
  cr_pairs_products(&pairs, 0, r->positives, w->d);
  for (int64_t k = 0; k < r->positives; k++) cr_pairs_row(&pairs, k, w->d + k * r->columns);
}

static bool row(cr_miner *m, const cr_mine_row *r, void *context, cr_error *err) {
  middles *w = context;
  if (r->positives == 0 || r->negatives == 0) return true;
  measure(m, r, w);
  for (int64_t k = 0; k < r->positives; k++) {
    const real *d = w->d + k * r->columns;
    double most = (double)r->d[r->positive[k]] / (2 * w->tangent);
    for (int64_t n = 0; n < r->columns; n++)
      if ((double)d[n] < most && r->kind[n] == CR_NEGATIVE &&
          !cr_mine_triplet(m, r->i, r->positive[k], n, err)) return false;
  }
  return true;
}

static bool check(cr_call *c, cr_error *err) {
  cr_mine_shape shape = { CR_EUCLIDEAN, false, c->option[NORMALIZE] != 0 };
  middles w = { .tangent = tan(c->option[ANGLE] * acos(-1) / 180) };
  cr_miner m;
  if (c->in[CR_MINER_DISTANCES] != NULL)
    return cr_fail(err, CR_EVALUE, "needs embeddings; distances say nothing of middles");
  bool ok = cr_miner_open(&m, c, &shape, err);
  if (ok) {
    size_t k = (size_t)m.most_positives, numbers = k * (size_t)(m.pairs.width + m.columns + 1);
    w.x = cr_alloc(numbers * sizeof *w.x, err);
  }
  ok = w.x != NULL;
  if (ok) w.xx = w.x + m.most_positives * m.pairs.width, w.d = w.xx + m.most_positives;
  ok = ok && cr_miner_pass(&m, row, &w, err);
  cr_free(w.x);
  return cr_miner_close(&m, ok, err);
}

const cr_op cr_miner_angular = {
  .name = "angular", .help = "triplets whose negative sees the positive pair under a wide angle",
  .formula = "atan(|a - p| / (2 |n - (a + p)/2|)) > angle",
  .paper = "Wang, Zhou, Wen, Liu, Lin, \"Deep metric learning with angular loss\", ICCV 2017",
  .differs = "pytorch-metric-learning adds 1e-6 to every coordinate difference",
  .inputs = cr_miner_inputs, .outputs = cr_triplet_outputs, .options = options,
  .stats = cr_triplet_stats, .check = check, .forward = cr_miner_forward,
};
