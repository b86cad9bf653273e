/* miner.h - what every miner has in common
 *
 * A miner looks at the distances of each row to all others (or to references) and keeps some pairs
 * or triplets of row numbers. It gives one function that sees one row at a time; checking, the
 * distances tile by tile, who is positive and who negative, and the growing result are here:
 *
 *   static bool row(cr_miner *m, const cr_mine_row *r, void *context, cr_error *err);
 *   static bool check(cr_call *c, cr_error *err) { ... return cr_mine(c, DISTANCE, row, &s, err); }
 *   .inputs = cr_miner_inputs, .outputs = cr_pair_outputs, .stats = cr_pair_stats,
 *   .check = check, .forward = cr_miner_forward
 *
 * How much is found decides the shapes of the outputs, so the work is done in check(), once, and
 * the outputs are filled there; forward has nothing left to do.
 *
 * Inputs, the same for all: embeddings [B D], labels [B], references? [R D], reference_labels? [R],
 * relation? [B R] of bytes in place of labels (0 the pair is ignored, 1 positive, 2 negative),
 * distances? [B R] in place of those of the embeddings. Without references R is B, and no row is
 * held against itself. The last options of a miner are CR_MINER_OPTIONS.
 *
 *   distance    euclidean, manhattan, cosine (1 - cos), dot (minus the inner product), snr: the
 *               variance over the coordinates of x - y by that of x (not symmetric)
 *   squared     d^2 in place of d, for euclidean and manhattan
 *   normalize   rows by max(|x|, 1e-12) first
 *
 * Rows are visited in order and columns counted upwards, so results come in lexicographic order.
 * Outputs are int64 row numbers from 1; nothing found is an empty tensor. Memory: a tile of rows by
 * R, the packed rows, 8 or 12 bytes for each thing found until it stands in the outputs.
 * Embeddings that are not finite are an error. */
#ifndef CR_AUTOGRAD_MINER_H
#define CR_AUTOGRAD_MINER_H

#include "autograd/op.h"
#include "kernels/pair_dist.h"

enum { CR_MINER_EMBEDDINGS, CR_MINER_LABELS, CR_MINER_REFERENCES, CR_MINER_REFERENCE_LABELS,
       CR_MINER_RELATION, CR_MINER_DISTANCES };
extern const cr_input cr_miner_inputs[];
extern const cr_output cr_pair_outputs[], cr_triplet_outputs[];
extern const char *const cr_pair_stats[], *const cr_triplet_stats[];

enum { CR_MINER_SNR = CR_MINKOWSKI };         /* takes its place in the list of names */
#define CR_MINER_OPTIONS(metric)                                                             \
  { "distance", metric, 0, 0, "", CR_CHOICE, CR_METRIC_NAMES " snr", false },                \
  { "squared", 0, 0, 1, "squared distances", CR_FLAG, NULL, false },                         \
  { "normalize", 0, 0, 1, "divide rows by their norm first", CR_FLAG, NULL, false }

enum { CR_NEITHER, CR_POSITIVE, CR_NEGATIVE };

typedef struct cr_mine_row {
  int64_t i, columns;
  const real *d;                        /* [columns]; NULL where no distances were asked for */
  const uint8_t *kind;                  /* [columns]: CR_NEITHER, ... */
  const int64_t *positive;              /* the positives, rising */
  int64_t positives, negatives;
} cr_mine_row;

typedef struct cr_miner cr_miner;
typedef bool (*cr_mine_fn)(cr_miner *m, const cr_mine_row *row, void *context, cr_error *err);

/* Things found, `width` numbers each, in a chain of blocks. */
typedef struct cr_found {
  struct cr_found_block *first, *last;
  int64_t n;
  int width;
} cr_found;

typedef struct cr_mine_shape { int metric; bool squared, normalize; } cr_mine_shape;

struct cr_miner {
  cr_call *c;
  cr_pairs pairs;
  bool measured, snr;
  int64_t rows, columns, tile_rows;
  int64_t positive_pairs, negative_pairs, most_positives;       /* of all candidates */
  const int64_t *label, *reference_label;
  const uint8_t *relation;
  const real *distances;
  real *x, *y, *xx, *yy, *mean, *variance, *d;
  int64_t *order, *spare, *positive;
  uint8_t *kind;
  void *memory;
  int64_t kept_first;                   /* the tile whose distances d holds, or -1 */
  cr_found found[2];                    /* positive and negative pairs, or triplets and nothing */
  int64_t anchors, last_anchor;
};

/* The three of CR_MINER_OPTIONS, the first of them option number `first`. */
bool cr_mine_options(const cr_call *c, int first, cr_mine_shape *shape, cr_error *err);
/* shape NULL: no distances are wanted */
bool cr_miner_open(cr_miner *m, cr_call *c, const cr_mine_shape *shape, cr_error *err);
bool cr_miner_pass(cr_miner *m, cr_mine_fn fn, void *context, cr_error *err);
/* ok: fills the outputs. Frees everything in any case; returns whether all went well. */
bool cr_miner_close(cr_miner *m, bool ok, cr_error *err);
/* open, one pass, close */
bool cr_mine(cr_call *c, int first_option, cr_mine_fn fn, void *context, cr_error *err);
bool cr_mine_labels(cr_call *c, cr_mine_fn fn, void *context, cr_error *err);
void cr_miner_forward(cr_call *c);

/* Of a row, at the speed of memory: the nearest negative and the farthest positive (the first of
 * equals; -1: none), and the first column from `from` on with d <= limit (columns: none). */
int64_t cr_mine_nearest(const cr_mine_row *row);
int64_t cr_mine_farthest(const cr_mine_row *row);
int64_t cr_mine_within(const cr_mine_row *row, int64_t from, real limit);

/* Row numbers from 0. */
bool cr_mine_pair(cr_miner *m, int kind, int64_t a, int64_t other, cr_error *err);
bool cr_mine_triplet(cr_miner *m, int64_t a, int64_t p, int64_t n, cr_error *err);

#endif
