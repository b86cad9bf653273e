/* glyphs.c - characters of invented alphabets, written by many hands
 *
 *   images, labels, alphabets, points, lengths =
 *     crun.data.glyphs { alphabets = 5, characters = 20, writers = 20, first = 1 }
 *
 *   images     uint8 [N 1 S S]  N = alphabets x characters x writers, ink 255 on 0; the samples of
 *                               a character side by side, one by each writer
 *   labels     int64 [N]        (alphabet - 1) characters + character: 1, 2 ... from first = 1
 *   alphabets  int64 [N]        first .. first + alphabets - 1
 *   points     real [N T 3]     what a pen sends at even times: x and y in the image (0 .. 1, y
 *                               down), and 1 where a line begins; T = steps, zeros behind the end
 *   lengths    int64 [N]        how many of the T points there are
 *
 * Made as Omniglot is (Lake, Salakhutdinov, Tenenbaum, Science 2015): few samples of many classes,
 * in alphabets that share a taste. Alphabet 6 is the same whether or not 1 to 5 are written; a row
 * is a pure function of (seed, alphabet, character, writer, dials). Dials: 0 off, 1 as designed;
 * with all at 0 every sample of a character is the same. See kernels/pen.h. */
#include "autograd/op.h"
#include "base/pool.h"
#include "kernels/pen.h"

enum { IMAGES, LABELS, ALPHABETS_OUT, POINTS, LENGTHS };
enum { ALPHABETS, CHARACTERS, WRITERS, FIRST, FIRST_WRITER, SEED, SIZE, STEPS, DIALS };
enum { ROWS_A_BLOCK = 16 };

#define WHOLE 9007199254740992.0            /* 2^53 */

static const cr_input inputs[] = { { 0 } };

static const cr_output outputs[] = {
  [IMAGES]        = { "images", NULL, CR_TBYTE },
  [LABELS]        = { "labels", NULL, CR_TINT },
  [ALPHABETS_OUT] = { "alphabets", NULL, CR_TINT },
  [POINTS]        = { "points", NULL, CR_TREAL },
  [LENGTHS]       = { "lengths", NULL, CR_TINT },
  { 0 }
};

static const cr_option options[] = {
  [ALPHABETS]    = { "alphabets", 5, 1, 1e6, "how many alphabets", CR_COUNT },
  [CHARACTERS]   = { "characters", 20, 1, 1e6, "characters of each", CR_COUNT },
  [WRITERS]      = { "writers", 20, 1, 1e6, "how many people write each character", CR_COUNT },
  [FIRST]        = { "first", 1, 1, 4e9, "number of the first alphabet", CR_COUNT },
  [FIRST_WRITER] = { "first_writer", 1, 1, 4e9, "number of the first writer", CR_COUNT },
  [SEED]         = { "seed", 1, 0, WHOLE, "another seed, other alphabets and people", CR_COUNT },
  [SIZE]         = { "size", 28, 8, 512, "pixels each way", CR_COUNT },
  [STEPS]        = { "steps", 64, 2 * PEN_LINES, 4096, "most points of the pen", CR_COUNT },
  [DIALS + PEN_SHAPE]  = { "shape", 1, 0, 4, "dial: how lines bend and wander" },
  [DIALS + PEN_PLACE]  = { "place", 1, 0, 4, "dial: turn, slant, size, place" },
  [DIALS + PEN_ORDER]  = { "order", 1, 0, 4, "dial: lines begun at the other end, or swapped" },
  [DIALS + PEN_WEIGHT] = { "weight", 1, 0, 4, "dial: width and speed of the pen" },
  { 0 }
};

static int64_t count_of(const cr_call *c, int option) { return (int64_t)c->option[option]; }

/* rows, or -1 where there are too many */
static int64_t rows_of(const cr_call *c) {
  int64_t n, shape[] = { count_of(c, ALPHABETS), count_of(c, CHARACTERS), count_of(c, WRITERS) };
  return cr_shape_numel(3, shape, &n) ? n : -1;
}

static bool check(cr_call *c, cr_error *err) {
  int64_t n = rows_of(c), size = count_of(c, SIZE), steps = count_of(c, STEPS), all;
  if (n < 0 || !cr_shape_numel(3, (int64_t[]){ n, size * size + steps, 3 }, &all))
    return cr_fail(err, CR_EVALUE, "%lld alphabets of %lld characters by %lld writers are too many",
                   (long long)count_of(c, ALPHABETS), (long long)count_of(c, CHARACTERS),
                   (long long)count_of(c, WRITERS));
  cr_out_shape(c, IMAGES, 4, (int64_t[]){ n, 1, size, size });
  cr_out_shape(c, LABELS, 1, &n);
  cr_out_shape(c, ALPHABETS_OUT, 1, &n);
  cr_out_shape(c, POINTS, 3, (int64_t[]){ n, steps, 3 });
  cr_out_shape(c, LENGTHS, 1, &n);
  return true;
}

static void block(void *context, int64_t index, int worker) {
  (void)worker;
  cr_call *c = context;
  int64_t writers = count_of(c, WRITERS), characters = count_of(c, CHARACTERS), n = rows_of(c);
  int64_t begin = index * ROWS_A_BLOCK, after = begin + ROWS_A_BLOCK;
  uint64_t seed = (uint64_t)c->option[SEED];
  cr_pen_sheet sheet = { count_of(c, SIZE), count_of(c, STEPS), cr_bytes(c->out[IMAGES]),
                         cr_reals(c->out[POINTS]), cr_ints(c->out[LENGTHS]) };
  for (int64_t i = begin; i < (after < n ? after : n); i++) {
    int64_t alphabet = count_of(c, FIRST) + i / (writers * characters);
    int64_t number = i / writers % characters + 1;
    cr_pen_hand hand = { seed, (uint64_t)(count_of(c, FIRST_WRITER) + i % writers),
                         (uint64_t)alphabet << 32 | (uint64_t)number, &c->option[DIALS] };
    cr_pen_character character;
    cr_pen_glyph(seed, (uint64_t)alphabet, (uint64_t)number, &character);
    cr_pen_put(&sheet, i, &character, &hand);
    cr_ints(c->out[LABELS])[i] = (alphabet - 1) * characters + number;
    cr_ints(c->out[ALPHABETS_OUT])[i] = alphabet;
  }
}

static void forward(cr_call *c) {
  cr_pool_run((rows_of(c) + ROWS_A_BLOCK - 1) / ROWS_A_BLOCK, block, c);
}

const cr_op cr_data_glyphs = {
  .name = "glyphs",
  .help = "writes characters of invented alphabets: pictures, and the points of the pen",
  .inputs = inputs, .outputs = outputs, .options = options,
  .check = check, .forward = forward,
};
