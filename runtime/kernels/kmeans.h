/* kmeans.h - k-means++ and Lloyd's iteration
 *
 *   minimise sum_i |x_i - centre[assignment_i]|^2
 *
 * The first centre is a row drawn evenly, each further one a row drawn in proportion to its squared
 * distance from the nearest centre so far. Then, until no row changes its cluster or `iterations`
 * are done: every row goes to its nearest centre (of equal ones to the first), every centre to the
 * mean of its rows. A cluster that has lost its rows takes the row that lies furthest from its own
 * centre (none when all distances are 0: it keeps its centre, and no row). In the end every row
 * belongs to the nearest of the centres that are given back.
 *
 * Distances for the assignment come from one matrix product, |c|^2 - 2 <x, c>, over tiles of rows
 * and centres, of rows centred first so that an offset they share costs no digits. A run is a pure
 * function of (x, clusters, iterations, seed): the same bits for any number of threads.
 *
 * Arthur, Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007. */
#ifndef CR_KERNELS_KMEANS_H
#define CR_KERNELS_KMEANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/real.h"

typedef struct cr_kmeans {
  int64_t rows, width, clusters;      /* 1 <= clusters <= rows */
  int64_t iterations;                 /* at most */
  uint64_t seed;
} cr_kmeans;

/* Bytes of scratch; false when they overflow. */
bool cr_kmeans_bytes(const cr_kmeans *k, size_t *bytes);
/* x [rows, width] must be finite; centre [clusters, width]; assignment [rows] in 0 .. clusters-1.
 * Returns the sum of squared distances. */
double cr_kmeans_run(const cr_kmeans *k, const real *x, real *centre, int64_t *assignment,
                     void *scratch);

#endif
