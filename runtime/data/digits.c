/* digits.c - handwritten digits that ship with crun: written, not stored
 *
 *   images, labels, points, lengths = crun.data.digits { writers = 100, repeats = 1, first = 1 }
 *
 *   images   uint8 [N 1 S S]   N = writers x 10 x repeats, ink 255 on 0; by writer, then by digit
 *   labels   int64 [N]         0 .. 9
 *   points   real [N T 3]      what a pen sends at even times: x and y in the image (0 .. 1, y
 *                              down), and 1 where a line begins; T = steps, zeros behind the end
 *   lengths  int64 [N]         how many of the T points there are
 *
 * A writer has one of several ways to write each digit (a 7 with or without a bar), a slant, a
 * weight of the pen. A row is a pure function of (seed, writer, digit, repeat, dials): writers 101
 * to 160 are the same whether or not 1 to 100 are written. Dials: 0 off, 1 as designed. See
 * kernels/pen.h. */
#include "autograd/op.h"
#include "base/pool.h"
#include "base/rng.h"
#include "kernels/pen.h"

enum { IMAGES, LABELS, POINTS, LENGTHS };
enum { WRITERS, REPEATS, FIRST, SEED, SIZE, STEPS, DIALS };
enum { ROWS_A_BLOCK = 16 };

#define WHOLE 9007199254740992.0            /* 2^53 */

static const cr_input inputs[] = { { 0 } };

static const cr_output outputs[] = {
  [IMAGES]  = { "images", NULL, CR_TBYTE },
  [LABELS]  = { "labels", NULL, CR_TINT },
  [POINTS]  = { "points", NULL, CR_TREAL },
  [LENGTHS] = { "lengths", NULL, CR_TINT },
  { 0 }
};

static const cr_option options[] = {
  [WRITERS] = { "writers", 100, 1, 1e7, "how many people", CR_COUNT },
  [REPEATS] = { "repeats", 1, 1, 1e6, "how often each writes each digit", CR_COUNT },
  [FIRST]   = { "first", 1, 1, 4e9, "number of the first writer", CR_COUNT },
  [SEED]    = { "seed", 1, 0, WHOLE, "another seed, other people", CR_COUNT },
  [SIZE]    = { "size", 28, 8, 512, "pixels each way", CR_COUNT },
  [STEPS]   = { "steps", 64, 2 * PEN_LINES, 4096, "most points of the pen", CR_COUNT },
  [DIALS + PEN_SHAPE]  = { "shape", 1, 0, 4, "dial: how lines bend and wander" },
  [DIALS + PEN_PLACE]  = { "place", 1, 0, 4, "dial: turn, slant, size, place" },
  [DIALS + PEN_ORDER]  = { "order", 0, 0, 4, "dial: lines begun at the other end, or swapped" },
  [DIALS + PEN_WEIGHT] = { "weight", 1, 0, 4, "dial: width and speed of the pen" },
  { 0 }
};

static int64_t count_of(const cr_call *c, int option) { return (int64_t)c->option[option]; }

static bool check(cr_call *c, cr_error *err) {
  int64_t n = count_of(c, WRITERS) * 10 * count_of(c, REPEATS), all;
  int64_t size = count_of(c, SIZE), steps = count_of(c, STEPS);
  if (!cr_shape_numel(3, (int64_t[]){ n, size * size + steps, 3 }, &all))
    return cr_fail(err, CR_EVALUE, "%lld digits are too many", (long long)n);
  cr_out_shape(c, IMAGES, 4, (int64_t[]){ n, 1, size, size });
  cr_out_shape(c, LABELS, 1, &n);
  cr_out_shape(c, POINTS, 3, (int64_t[]){ n, steps, 3 });
  cr_out_shape(c, LENGTHS, 1, &n);
  return true;
}

static void block(void *context, int64_t index, int worker) {
  (void)worker;
  cr_call *c = context;
  int64_t repeats = count_of(c, REPEATS), n = count_of(c, WRITERS) * 10 * repeats;
  int64_t begin = index * ROWS_A_BLOCK, after = begin + ROWS_A_BLOCK;
  cr_pen_sheet sheet = { count_of(c, SIZE), count_of(c, STEPS), cr_bytes(c->out[IMAGES]),
                         cr_reals(c->out[POINTS]), cr_ints(c->out[LENGTHS]) };
  for (int64_t i = begin; i < (after < n ? after : n); i++) {
    int64_t digit = i / repeats % 10;
    uint64_t writer = (uint64_t)(count_of(c, FIRST) + i / (10 * repeats));
    cr_pen_hand hand = { (uint64_t)c->option[SEED], writer, (uint64_t)(digit + 10 * (i % repeats)),
                         &c->option[DIALS] };
    cr_rng taste = cr_rng_at(hand.seed, cr_rng_hash("digit style") + (uint64_t)digit, writer);
    cr_pen_character character;
    cr_pen_digit((int)digit, cr_rng_uniform(&taste), &character);
    cr_pen_put(&sheet, i, &character, &hand);
    cr_ints(c->out[LABELS])[i] = digit;
  }
}

static void forward(cr_call *c) {
  int64_t n = count_of(c, WRITERS) * 10 * count_of(c, REPEATS);
  cr_pool_run((n + ROWS_A_BLOCK - 1) / ROWS_A_BLOCK, block, c);
}

const cr_op cr_data_digits = {
  .name = "digits", .help = "writes digits: pictures, the digit on each, and the points of the pen",
  .inputs = inputs, .outputs = outputs, .options = options,
  .check = check, .forward = forward,
};
