/* kmeans.c - k-means clusters of the rows of a matrix
 *
 *   centres, assignment, inertia = crun.kmeans(x, { clusters = 10, iterations = 100, seed = 1 })
 *
 *   x [N D]   ->   centres [K D], assignment [N] in 1 .. K, inertia, a scalar
 *   inertia = sum_i |x_i - centres[assignment_i]|^2
 *
 * k-means++ seeding, then Lloyd's iteration until no row changes its cluster, `iterations` at most
 * (0: the seeding alone). Every row belongs to the nearest of the centres given back. A cluster
 * that runs out of rows takes the row furthest from its own centre; only where fewer than K rows
 * differ may a cluster stay without one. A run is a pure function of (x, clusters, iterations,
 * seed). x must be finite and K at most N. There is no gradient. Cost: N K D for the seeding and as
 * much for each iteration, the latter at the speed of a matrix product; memory: a copy of x.
 *
 * Arthur, Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007. */
#include <math.h>

#include "autograd/op.h"
#include "kernels/kmeans.h"

enum { CLUSTERS, ITERATIONS, SEED };
enum { CENTRES, ASSIGNMENT, INERTIA };

static const cr_input inputs[] = { { "x", "N D", CR_TREAL, CR_NOGRAD }, { 0 } };

static const cr_output outputs[] = {
  [CENTRES]    = { "centres",    NULL, CR_TREAL },
  [ASSIGNMENT] = { "assignment", "N",  CR_TINT },
  [INERTIA]    = { "inertia",    "",   CR_TREAL },
  { 0 }
};

static const cr_option options[] = {
  [CLUSTERS]   = { "clusters", NAN, 1, 1e9, "number of clusters", CR_COUNT, NULL, true },
  [ITERATIONS] = { "iterations", 100, 0, 1e9, "at most, after the seeding", CR_COUNT },
  [SEED]       = { "seed", 1, 0, 9e15, "of the draws of k-means++", CR_COUNT },
  { 0 }
};

static cr_kmeans shape_of(const cr_call *c) {
  return (cr_kmeans){
    .rows = c->dim['N'], .width = c->dim['D'], .clusters = (int64_t)c->option[CLUSTERS],
    .iterations = (int64_t)c->option[ITERATIONS], .seed = (uint64_t)c->option[SEED],
  };
}

static bool check(cr_call *c, cr_error *err) {
  cr_kmeans k = shape_of(c);
  if (k.clusters > k.rows)
    return cr_fail(err, CR_ESHAPE, "clusters must be at most the number of rows, %lld, got %lld",
                   (long long)k.rows, (long long)k.clusters);
  const real *x = cr_reals(c->in[0]);
  for (int64_t i = 0; i < k.rows * k.width; i++)
    if (!isfinite(x[i]))
      return cr_fail(err, CR_EVALUE, "x must be finite, row %lld is not",
                     (long long)(i / k.width + 1));
  if (!cr_kmeans_bytes(&k, &c->scratch_bytes))
    return cr_fail(err, CR_EMEMORY, "x is too large");
  cr_out_shape(c, CENTRES, 2, (int64_t[]){ k.clusters, k.width });
  return true;
}

static void forward(cr_call *c) {
  cr_kmeans k = shape_of(c);
  int64_t *assignment = cr_ints(c->out[ASSIGNMENT]);
  *cr_reals(c->out[INERTIA]) = (real)cr_kmeans_run(&k, cr_reals(c->in[0]),
                                                   cr_reals(c->out[CENTRES]), assignment,
                                                   c->scratch);
  for (int64_t i = 0; i < k.rows; i++) assignment[i]++;
}

const cr_op cr_op_kmeans = {
  .name = "kmeans", .help = "k-means clusters of the rows of a matrix",
  .formula = "minimise sum_i |x_i - centres[assignment_i]|^2 by Lloyd's iteration from k-means++",
  .paper = "Arthur, Vassilvitskii, \"k-means++: the advantages of careful seeding\", SODA 2007",
  .differs = "one run from one seeding (scikit-learn draws several candidates for each centre)",
  .inputs = inputs, .outputs = outputs, .options = options, .check = check, .forward = forward,
};
