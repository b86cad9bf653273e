/* draw_text.c - a line of text: crun.data.draw_text(canvas, { text = "recall", x = 10, y = 20 })
 *
 *   canvas uint8 [C H W], C = 1 or 3, changed in place; nil: nothing is drawn, only measured
 *
 * One line of UTF-8 text in the house's stroke typeface (kernels/stroke_font.h), antialiased. (x,
 * y) is the left end, the middle or the right end of the text (align), on its base line, at the
 * middle of its capitals, or at their top (valign). size is the em in pixels: capitals are 0.7 of
 * it high. Statistics: width, the length of the line in pixels. */
#include <math.h>

#include "autograd/op.h"
#include "kernels/canvas.h"
#include "kernels/stroke_font.h"

enum { CANVAS };
enum { TEXT, X, Y, SIZE, WEIGHT, COLOR, ALPHA, ALIGN, VALIGN, ANGLE };
enum { WIDTH };
enum { LEFT, CENTER, RIGHT };
enum { BASELINE, MIDDLE, TOP };

/* units put between letters: loose enough for small sizes */
static const double TRACKING = 0.4;

static const cr_input inputs[] = {
  [CANVAS] = { "canvas", "C H W", CR_TBYTE, CR_INPLACE | CR_OPTIONAL | CR_NOGRAD },
  { 0 }
};
static const cr_output outputs[] = { { 0 } };
static const char *const stats[] = { "width", NULL };

static const cr_option options[] = {
  [TEXT]   = { .name = "text", .value = NAN, .help = "what to write", .kind = CR_TEXT,
      .required = true },
  [X]      = { "x", 0, -1e6, 1e6, "pixels from the left" },
  [Y]      = { "y", 0, -1e6, 1e6, "pixels from the top" },
  [SIZE]   = { "size", 20, 1, 1000, "of an em, in pixels" },
  [WEIGHT] = { "weight", 1, 0.1, 5, "of the strokes: 1 is regular, 1.5 bold" },
  [COLOR]  = { "color", NAN, 0, 255, "red, green, blue, 0 .. 255 each (black)", CR_COUNTS },
  [ALPHA]  = { "alpha", 1, 0, 1, "1 covers, 0 leaves no trace" },
  [ALIGN]  = { "align", LEFT, 0, 2, "what of the text stands at x", CR_CHOICE,
      "left center right" },
  [VALIGN] = { "valign", BASELINE, 0, 2, "what of the text stands at y", CR_CHOICE,
      "baseline middle top" },
  [ANGLE]  = { "angle", 0, -360, 360, "degrees counter-clockwise" },
  { 0 }
};

static bool check(cr_call *c, cr_error *err) {
  if (c->list[COLOR].n != 0 && c->list[COLOR].n != 3)
    return cr_fail(err, CR_EVALUE, "color takes 3 numbers, got %d", c->list[COLOR].n);
  if (c->in[CANVAS] == NULL) return true;
  if (c->dim['C'] != 1 && c->dim['C'] != 3)
    return cr_fail(err, CR_ESHAPE, "canvas must have 1 or 3 planes, got %lld",
                   (long long)c->dim['C']);
  c->scratch_bytes = (size_t)(c->dim['H'] * c->dim['W']);
  return true;
}

typedef struct hand {
  cr_canvas *canvas;
  double x, y, cosine, sine;      /* where the pen stands and which way it writes */
  double unit, offset;            /* pixels a unit; units from the start of the line */
  double width;                   /* of the stroke, in pixels */
} hand;

static void draw_piece(void *context, double x0, double y0, double x1, double y1) {
  const hand *h = context;
  double a = (h->offset + x0) * h->unit, b = y0 * h->unit;
  double c = (h->offset + x1) * h->unit, d = y1 * h->unit;
  cr_canvas_stroke(h->canvas,
                   h->x + a * h->cosine - b * h->sine, h->y - a * h->sine - b * h->cosine,
                   h->x + c * h->cosine - d * h->sine, h->y - c * h->sine - d * h->cosine,
                   h->width);
}

static void forward(cr_call *c) {
  const char *text = c->text[TEXT];
  double unit = c->option[SIZE] / CR_FONT_EM, advance = 0;
  for (const char *p = text; ; ) {
    uint32_t code = cr_font_next(&p);
    if (code == 0) break;
    advance += cr_font_glyph(code)->advance + TRACKING;
  }
  c->stat[WIDTH] = advance * unit;
  if (c->in[CANVAS] == NULL || advance == 0) return;

  const cr_list *color = &c->list[COLOR];
  uint8_t colour[3] = { 0, 0, 0 };
  for (int k = 0; k < color->n; k++) colour[k] = (uint8_t)color->at[k];
  cr_canvas canvas = { .picture = cr_bytes(c->in[CANVAS]), .channels = c->dim['C'],
                       .height = c->dim['H'], .width = c->dim['W'],
                       .mask = c->scratch };
  double angle = c->option[ANGLE] * M_PI / 180;
  hand h = { &canvas, c->option[X], c->option[Y], cos(angle), sin(angle), unit, 0, 0 };
  h.width = 1.75 * unit * c->option[WEIGHT];
  if (h.width < 0.9) h.width = 0.9;
  double back = c->option[ALIGN] == LEFT ? 0 : c->option[ALIGN] == CENTER ? advance / 2 : advance;
  double down = c->option[VALIGN] == BASELINE ? 0 : c->option[VALIGN] == MIDDLE ? 0.5 : 1;
  double shift_x = -back * unit, shift_y = -down * CR_FONT_CAPITAL * unit;
  h.x += shift_x * h.cosine - shift_y * h.sine;
  h.y -= shift_x * h.sine + shift_y * h.cosine;

  /* the box around the turned line */
  double reach = c->option[SIZE] + h.width;
  double end_x = h.x + advance * unit * h.cosine, end_y = h.y - advance * unit * h.sine;
  cr_canvas_begin(&canvas, fmin(h.x, end_x) - reach, fmin(h.y, end_y) - reach,
                  fmax(h.x, end_x) + reach, fmax(h.y, end_y) + reach);
  for (const char *p = text; ; ) {
    uint32_t code = cr_font_next(&p);
    if (code == 0) break;
    const cr_glyph *glyph = cr_font_glyph(code);
    cr_font_trace(glyph, draw_piece, &h);
    h.offset += glyph->advance + TRACKING;
  }
  cr_canvas_blend(&canvas, colour, c->option[ALPHA]);
}

const cr_op cr_data_draw_text = {
  .name = "draw_text", .help = "write a line of text into a picture, in place, or measure it",
  .inputs = inputs, .outputs = outputs, .options = options, .stats = stats, .check = check,
  .forward = forward,
};
