/* row_stream.c - see row_stream.h */
#include "kernels/row_stream.h"

#include <tgmath.h>

#include "base/pool.h"
#include "kernels/turn.h"

/* In pieces: rows by columns for each worker, some 1 MB in float; fewer rows where their states are
 * large, and for few queries, so that all workers have some. Where a distance goes to both rows,
 * the piece is as wide as high, and lies there a second time, turned. */
enum { PIECE = 768, PIECE_ROWS = 384, STATE_BYTES = 8 << 20, SHARES = 16,
       FETCHED = 4096 };

/* A tile of distances: 16 MB in float at most (but 16 rows at least). Shorter tiles would spend
 * their time packing the references for the matrix product. */
enum { TILE_NUMBERS = 1 << 22, LEAST_ROWS = 16, MOST_ROWS = 256, BLOCK = 4, SMALL = 20000 };

void *cr_stream_take(void *base, size_t *used, int64_t count, size_t each) {
  void *at = base != NULL ? (unsigned char *)base + *used : NULL;
  *used += ((size_t)count * each + 63) & ~(size_t)63;
  return at;
}

static size_t lay_out(cr_stream *t, void *scratch) {
  const cr_stream_shape *s = &t->shape;
  size_t used = 0;
  int64_t wide = s->references, rows = wide > 0 ? TILE_NUMBERS / wide : LEAST_ROWS;
  int64_t workers = cr_pool_threads(), states = workers;
  t->shape.row_bytes = (s->row_bytes + 63) & ~(size_t)63;
  t->shape.spare_bytes = (s->spare_bytes + 63) & ~(size_t)63;
  rows = rows < LEAST_ROWS ? LEAST_ROWS : rows > MOST_ROWS ? MOST_ROWS : rows;
  if (s->pieces) {
    int64_t share = s->queries / SHARES;
    t->both = s->same && (size_t)s->queries * t->shape.row_bytes <= CR_STREAM_KEPT;
    wide = PIECE;
    rows = t->both ? PIECE_ROWS : STATE_BYTES / (int64_t)(t->shape.row_bytes + 1);
    rows = rows > PIECE_ROWS ? PIECE_ROWS : rows;
    rows = rows > share ? share : rows;
    rows = rows < LEAST_ROWS ? LEAST_ROWS : rows;
  }
  t->tile_rows = rows < s->queries ? rows : s->queries;
  t->x = cr_stream_take(scratch, &used, s->queries * s->width, sizeof(real));
  t->y = s->same ? t->x : cr_stream_take(scratch, &used, s->references * s->width, sizeof(real));
  t->xx = cr_stream_take(scratch, &used, s->queries, sizeof(real));
  t->yy = s->same ? t->xx : cr_stream_take(scratch, &used, s->references, sizeof(real));
  if (s->pieces) states = t->both ? s->queries : workers * t->tile_rows;
  t->d = cr_stream_take(scratch, &used, t->tile_rows * wide * (s->pieces ? workers : 1),
                        sizeof(real));
  t->rows = cr_stream_take(scratch, &used, states, t->shape.row_bytes);
  t->spare = cr_stream_take(scratch, &used, s->pieces ? workers : 0, t->shape.spare_bytes);
  return used;
}

size_t cr_stream_bytes(const cr_stream_shape *shape) {
  cr_stream t = { .shape = *shape };
  return lay_out(&t, NULL);
}

static void pack(const cr_stream_shape *s, int64_t n, const int64_t *order, const real *from,
                 real *to, real *squares) {
  int64_t D = s->width;
  for (int64_t i = 0; i < n; i++) {
    const real *x = from + (order != NULL ? order[i] : i) * D;
    squares[i] = cr_pairs_centre(D, x, NULL, to + i * D);
    if (s->metric != CR_COSINE) continue;
    double length = 0;
    for (int64_t k = 0; k < D; k++) length += (double)x[k] * (double)x[k];
    length = sqrt(length);
    for (int64_t k = 0; k < D; k++)
      to[i * D + k] = (real)((double)x[k] / (length < 1e-12 ? 1e-12 : length));
  }
}

void cr_stream_start(cr_stream *t, const cr_stream_shape *shape, const real *x, const real *y,
                     const int64_t *order, const int64_t *reference_order, void *scratch) {
  const cr_stream_shape *s = &t->shape;
  *t = (cr_stream){ .shape = *shape };
  lay_out(t, scratch);
  pack(s, s->queries, order, x, t->x, t->xx);
  if (!s->same) pack(s, s->references, reference_order, y, t->y, t->yy);
  t->pairs = (cr_pairs){ .metric = s->metric, .squared = s->squared, .same = s->same,
                         .rows = s->queries, .columns = s->references, .width = s->width,
                         .x = t->x, .y = t->y, .xx = t->xx, .yy = t->yy };
}

static void block_of_rows(void *context, int64_t block, int worker) {
  cr_stream *t = context;
  int64_t end = block * BLOCK + BLOCK < t->count ? block * BLOCK + BLOCK : t->count;
  for (int64_t r = block * BLOCK; r < end; r++) {
    real *d = t->d + r * t->shape.references;
    cr_pairs_row(&t->pairs, t->first + r, d);
    t->fn(t->context, t->first + r, d, t->rows + (size_t)worker * t->shape.row_bytes);
  }
}

void cr_stream_rows(cr_stream *t, cr_stream_fn fn, void *context) {
  t->fn = fn, t->context = context;
  for (t->first = 0; t->first < t->shape.queries; t->first += t->count) {
    int64_t left = t->shape.queries - t->first;
    t->count = left < t->tile_rows ? left : t->tile_rows;
    int64_t blocks = (t->count + BLOCK - 1) / BLOCK;
    cr_pairs_products(&t->pairs, t->first, t->count, t->d);
    if (t->count * t->shape.references >= SMALL) cr_pool_run(blocks, block_of_rows, t);
    else
      for (int64_t b = 0; b < blocks; b++) block_of_rows(t, b, 0);
  }
}

/* ---- in pieces ------------------------------------------------------------------------------- */

static int64_t count_of_blocks(const cr_stream *t) {
  return (t->shape.queries + t->tile_rows - 1) / t->tile_rows;
}

static int64_t block_rows(const cr_stream *t, int64_t block) {
  int64_t left = t->shape.queries - block * t->tile_rows;
  return left < t->tile_rows ? left : t->tile_rows;
}

static void start_block(cr_stream *t, int64_t block, unsigned char *states, int worker) {
  t->fns.start(t->context, block * t->tile_rows, block_rows(t, block), states, t->shape.row_bytes,
               t->spare + (size_t)worker * t->shape.spare_bytes);
}

static void end_block(cr_stream *t, int64_t block, unsigned char *states) {
  for (int64_t r = 0; r < block_rows(t, block); r++)
    t->fns.end(t->context, block * t->tile_rows + r, states + (size_t)r * t->shape.row_bytes);
}

/* A piece for a query, d [n], while the state of the one whose turn is next is fetched */
static void give(const cr_stream *t, int64_t query, int64_t first, int64_t n, real *d,
                 unsigned char *state) {
  size_t bytes = t->shape.row_bytes;
  for (size_t i = 0; i < bytes && bytes <= FETCHED; i += 64)
    __builtin_prefetch(state + bytes + i, 1);
  t->fns.piece(t->context, query, first, n, d, state);
}

/* A block of queries against columns first .. first+n-1 */
static void rows_of_piece(cr_stream *t, int64_t block, int64_t first, int64_t n, real *d,
                          unsigned char *states) {
  int64_t begin = block * t->tile_rows, count = block_rows(t, block);
  cr_pairs_products_piece(&t->pairs, begin, count, first, n, d);
  for (int64_t r = 0; r < count; r++) {
    cr_pairs_piece(&t->pairs, begin + r, first, n, d + r*n);
    give(t, begin + r, first, n, d + r*n, states + (size_t)r * t->shape.row_bytes);
  }
}

/* Some queries against all references, PIECE of them at a time */
static void block_of_pieces(void *context, int64_t block, int worker) {
  cr_stream *t = context;
  const cr_stream_shape *s = &t->shape;
  real *d = t->d + worker * t->tile_rows * PIECE;
  unsigned char *states = t->rows + (size_t)(worker * t->tile_rows) * s->row_bytes;
  start_block(t, block, states, worker);
  for (int64_t first = 0; first < s->references; first += PIECE) {
    int64_t n = s->references - first < PIECE ? s->references - first : PIECE;
    rows_of_piece(t, block, first, n, d, states);
  }
  end_block(t, block, states);
}

/* ---- in pieces, each for the rows of both its sides ---- */

static unsigned char *states_of(const cr_stream *t, int64_t block) {
  return t->rows + (size_t)(block * t->tile_rows) * t->shape.row_bytes;
}

static void start_both(void *context, int64_t block, int worker) {
  start_block(context, block, states_of(context, block), worker);
}

static void end_both(void *context, int64_t block, int worker) {
  (void)worker;
  end_block(context, block, states_of(context, block));
}

/* The block meets the one that makes up the number of the round with it: so no two pairs of a round
 * share a block, and after all rounds all pairs have met. */
static void meet(void *context, int64_t block, int worker) {
  cr_stream *t = context;
  int64_t blocks = count_of_blocks(t), other = (t->first - block + blocks) % blocks;
  if (other < block) return;
  int64_t begin = block * t->tile_rows, count = block_rows(t, block);
  int64_t first = other * t->tile_rows, n = block_rows(t, other);
  real *d = t->d + worker * t->tile_rows * PIECE, *turned = d + count * n;
  unsigned char *states = states_of(t, other);
  rows_of_piece(t, block, first, n, d, states_of(t, block));
  if (other == block) return;
  cr_turn(1, count, n, d, turned);
  for (int64_t r = 0; r < n; r++)
    give(t, first + r, begin, count, turned + r * count,
         states + (size_t)r * t->shape.row_bytes);
}

static void run_blocks(cr_stream *t, int64_t blocks, cr_block_fn fn) {
  if (t->shape.queries * t->shape.references >= SMALL) cr_pool_run(blocks, fn, t);
  else
    for (int64_t b = 0; b < blocks; b++) fn(t, b, 0);
}

void cr_stream_pieces(cr_stream *t, const cr_stream_fns *fns, void *context) {
  t->fns = *fns, t->context = context;
  if (t->tile_rows == 0) return;
  int64_t blocks = count_of_blocks(t);
  if (!t->both) {
    run_blocks(t, blocks, block_of_pieces);
    return;
  }
  run_blocks(t, blocks, start_both);
  for (t->first = 0; t->first < blocks; t->first++) run_blocks(t, blocks, meet);
  run_blocks(t, blocks, end_both);
}

/* ---- the k nearest --------------------------------------------------------------------------- */

/* A buffer of several k is filled with what is nearer than the k-th best so far, and cut back to k
 * when full: most of a row is one comparison each. */
static int64_t room_for(int64_t k) { return 3 * k + 64; }

size_t cr_nearest_bytes(int64_t k) {
  return 2 * (size_t)room_for(k) * sizeof(cr_sort_item);
}

int64_t cr_nearest(int64_t n, const real *d, int64_t own, int64_t k,
                   const cr_sort_item **near, void *scratch) {
  int64_t room = room_for(k), held = 0;
  cr_sort_item *item = scratch, *spare = item + room;
  uint64_t worst = 0;
  real limit = INFINITY;
  bool full = false;
  *near = scratch;
  if (k == 0) return 0;
  for (int64_t j = 0; j < n; j++) {
    if (d[j] > limit || j == own) continue;
    uint64_t key = cr_sort_key_real(d[j], false);
    if (full && key >= worst) continue;           /* equal: the earlier number is held already */
    item[held++] = (cr_sort_item){ key, j };
    if (held < room) continue;
    cr_sort_top(item, spare, held, k);
    held = k, full = true;
    worst = item[k - 1].key;
    limit = d[item[k - 1].index];
    if (limit != limit) limit = INFINITY;
  }
  int64_t found = held < k ? held : k;
  cr_sort_top(item, spare, held, found);
  return found;
}
