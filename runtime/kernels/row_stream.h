/* row_stream.h - the distances of each query to all references, row by row, a tile at a time
 *
 * What scores embeddings wants rows of the distance matrix, and never the matrix:
 *
 *     cr_stream_shape shape = { .queries = Q, .references = N, .width = D, ... };
 *     check:     cr_stream_bytes(&shape)
 *     forward:   cr_stream_start(&stream, &shape, x, y, NULL, NULL, scratch);
 *                cr_stream_rows(&stream, fn, context);
 *
 * fn is called once for each query, from any thread, with the row of its distances (which it may
 * overwrite) and a block of row_bytes for its own use. What needs no row as a whole takes it in
 * pieces that never leave the second-level cache (pieces = true, cr_stream_pieces): there the block
 * is the query's own from start to end. When the references are the queries, and the blocks of all
 * of them fit in CR_STREAM_KEPT bytes, each distance is computed once and goes to both its rows.
 * Distances are those of pair_dist.h: exact where they are small. Rows are not centred: that would
 * break exact ties. */
#ifndef CR_KERNELS_ROW_STREAM_H
#define CR_KERNELS_ROW_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "kernels/pair_dist.h"
#include "kernels/sort.h"

enum { CR_STREAM_KEPT = 160 << 20 };

typedef struct cr_stream_shape {
  int64_t queries, references, width;
  bool same;                    /* the references are the queries: give no y */
  cr_metric metric;             /* cosine normalises */
  bool squared;
  bool pieces;                  /* for cr_stream_pieces */
  size_t row_bytes;
  size_t spare_bytes;           /* pieces: for start, while it lasts */
} cr_stream_shape;

/* What is done with pieces of rows. One thread at a time has a query's block. */
typedef struct cr_stream_fns {
  /* queries first .. first+count-1, the block of the r-th at states + r * step */
  void (*start)(void *context, int64_t first, int64_t count, unsigned char *states, size_t step,
                void *spare);
  /* columns first .. first+n-1 of a query, pieces in any order */
  void (*piece)(void *context, int64_t query, int64_t first, int64_t n, real *d, void *state);
  void (*end)(void *context, int64_t query, void *state);
} cr_stream_fns;

typedef struct cr_stream {
  cr_stream_shape shape;
  cr_pairs pairs;
  int64_t tile_rows, first, count;
  bool both;                    /* a distance goes to both its rows */
  real *x, *y, *xx, *yy, *d;
  unsigned char *rows, *spare;
  void (*fn)(void *context, int64_t query, real *d, void *scratch);
  cr_stream_fns fns;
  void *context;
} cr_stream;

typedef void (*cr_stream_fn)(void *context, int64_t query, real *d, void *scratch);

size_t cr_stream_bytes(const cr_stream_shape *shape);
/* Query i is row order[i] of x (order NULL: row i), reference j row reference_order[j] of y. */
void cr_stream_start(cr_stream *t, const cr_stream_shape *shape, const real *x, const real *y,
                     const int64_t *order, const int64_t *reference_order, void *scratch);
void cr_stream_rows(cr_stream *t, cr_stream_fn fn, void *context);
void cr_stream_pieces(cr_stream *t, const cr_stream_fns *fns, void *context);

/* Laying out scratch: the next `count` numbers of `each` bytes, on a cache line of their own. base
 * may be NULL, to measure. */
void *cr_stream_take(void *base, size_t *used, int64_t count, size_t each);

/* ---- the k nearest of a row ---- */

size_t cr_nearest_bytes(int64_t k);
/* The k smallest of d[0 .. n-1], nearest first, equal distances by the lower number, without number
 * `own` (-1: none). Returns how many there are; (*near)[i].index is the number, *near points into
 * scratch. */
int64_t cr_nearest(int64_t n, const real *d, int64_t own, int64_t k, const cr_sort_item **near,
                   void *scratch);

#endif
