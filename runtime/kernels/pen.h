/* pen.h - characters as strokes of a pen, and how different hands write them
 *
 * A character is a few lines in the square 0 .. 1, x to the right, y down, drawn in order. A glyph
 * is one of an invented alphabet; a digit is one of the ways in which people write it. A hand
 * changes the character smoothly: cr_pen_write. What is written becomes ink (an image) or the
 * points a pen sends at even times (a sequence whose length depends on character and hand).
 *
 * Everything is double in both builds of the engine: the data are the same whatever the precision
 * of the training. */
#ifndef CR_KERNELS_PEN_H
#define CR_KERNELS_PEN_H

#include <stdbool.h>
#include <stdint.h>
#include "base/real.h"

enum { PEN_LINES = 6, PEN_POINTS = 80 };

typedef struct cr_pen_line { int points; double x[PEN_POINTS], y[PEN_POINTS]; } cr_pen_line;
typedef struct cr_pen_character { int lines; cr_pen_line line[PEN_LINES]; } cr_pen_character;

/* Character 1, 2 ... of alphabet 1, 2 ...: a pure function of the three numbers. */
void cr_pen_glyph(uint64_t seed, uint64_t alphabet, uint64_t character, cr_pen_character *out);
/* The digit 0 .. 9; style 0 .. 1 picks one of the ways to write it. */
void cr_pen_digit(int digit, double style, cr_pen_character *out);

/* How far a hand departs from the model; 0 not at all, 1 as designed. */
enum { PEN_SHAPE, PEN_PLACE, PEN_ORDER, PEN_WEIGHT, PEN_DIALS };

typedef struct cr_pen_hand {
  uint64_t seed, writer, sample;  /* a writer has habits: slant, aspect, speed, weight */
  const double *dial;             /* [PEN_DIALS] */
} cr_pen_hand;

typedef struct cr_pen_page {
  double width;                   /* of the pen, a share of the side of the image */
  double step;                    /* way between two points the pen sends */
} cr_pen_page;

/* Writes the character in place, by that hand. */
cr_pen_page cr_pen_write(cr_pen_character *c, const cr_pen_hand *hand);
/* size x size grey bytes: ink 255 on 0. */
void cr_pen_ink(const cr_pen_character *c, const cr_pen_page *page, int64_t size, uint8_t *image);
/* Points [most 3]: x, y, and 1 where a line begins, 0 within it; the rest is 0. Returns how many;
 * where `most` would not do, they stand further apart. most >= 2 PEN_LINES. */
int64_t cr_pen_trace(const cr_pen_character *c, const cr_pen_page *page, int64_t most,
                     real *points);

/* Where a set of samples is written, row by row. */
typedef struct cr_pen_sheet {
  int64_t size, steps;
  uint8_t *images;                /* [N 1 size size] */
  real *points;                   /* [N steps 3] */
  int64_t *lengths;               /* [N] */
} cr_pen_sheet;
void cr_pen_put(const cr_pen_sheet *sheet, int64_t row, cr_pen_character *c,
                const cr_pen_hand *hand);

#endif
