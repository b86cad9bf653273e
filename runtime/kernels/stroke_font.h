/* stroke_font.h - a typeface of strokes, the house's own
 *
 * Glyphs are middle lines on a grid where capitals are 14 high, small letters 10, and descenders
 * reach -4.2; 20 units are one em. Drawn with round ends they are sharp at any size and angle.
 * ASCII 32 .. 126 and a few signs used in plots. */
#ifndef CR_KERNELS_STROKE_FONT_H
#define CR_KERNELS_STROKE_FONT_H

#include <stdint.h>

enum { CR_FONT_EM = 20, CR_FONT_CAPITAL = 14 };

typedef struct cr_glyph {
  uint32_t code;          /* Unicode */
  double advance;         /* to the next glyph */
  const char *path;       /* see stroke_font.c */
} cr_glyph;

/* The glyph of a code point; a hollow box for one that is not there. */
const cr_glyph *cr_font_glyph(uint32_t code);
/* The next code point of UTF-8 text; moves *text on. A bad byte gives U+FFFD. 0 at the end. */
uint32_t cr_font_next(const char **text);
/* Calls line(context, x0, y0, x1, y1) for every straight piece of the glyph; y grows upwards. */
typedef void (*cr_font_line)(void *context, double x0, double y0, double x1, double y1);
void cr_font_trace(const cr_glyph *glyph, cr_font_line line, void *context);

#endif
