/* draw_lines.c - crun.data.draw_lines(canvas, points, { color, width, alpha, dash, closed })
 *
 *   canvas uint8 [C H W], C = 1 or 3, changed in place
 *   points [N 2], x and y in pixels from the top left corner
 *
 * A polyline through the points, antialiased, with round joints and ends. A point that holds a nan
 * lifts the pen, so one call draws many pieces; overlapping pieces of a call count once, which
 * matters when alpha < 1. dash { on, off } in pixels runs along each piece. A piece of one point is
 * a dot. */
#include <math.h>

#include "autograd/op.h"
#include "kernels/canvas.h"

enum { CANVAS, POINTS };
enum { COLOR, WIDTH, ALPHA, DASH, CLOSED };

static const cr_input inputs[] = {
  [CANVAS] = { "canvas", "C H W", CR_TBYTE, CR_INPLACE | CR_NOGRAD },
  [POINTS] = { "points", "N 2", CR_TREAL, CR_NOGRAD },
  { 0 }
};
static const cr_output outputs[] = { { 0 } };

static const cr_option options[] = {
  [COLOR]  = { "color", NAN, 0, 255, "red, green, blue, 0 .. 255 each (black)", CR_COUNTS },
  [WIDTH]  = { "width", 1, 0, 1e4, "of the line, in pixels" },
  [ALPHA]  = { "alpha", 1, 0, 1, "1 covers, 0 leaves no trace" },
  [DASH]   = { "dash", NAN, 0, 1e6, "pixels on, pixels off; none: a full line", CR_COUNTS },
  [CLOSED] = { "closed", 0, 0, 1, "join the last point of a piece to its first", CR_FLAG },
  { 0 }
};

static bool check(cr_call *c, cr_error *err) {
  if (c->dim['C'] != 1 && c->dim['C'] != 3)
    return cr_fail(err, CR_ESHAPE, "canvas must have 1 or 3 planes, got %lld",
                   (long long)c->dim['C']);
  if (c->list[COLOR].n != 0 && c->list[COLOR].n != 3)
    return cr_fail(err, CR_EVALUE, "color takes 3 numbers, got %d", c->list[COLOR].n);
  const cr_list *dash = &c->list[DASH];
  if (dash->n != 0 && (dash->n != 2 || dash->at[0] < 1 || dash->at[1] < 1))
    return cr_fail(err, CR_EVALUE, "dash takes 2 numbers of at least 1: pixels on, pixels off");
  c->scratch_bytes = (size_t)(c->dim['H'] * c->dim['W']);
  return true;
}

typedef struct nib { cr_canvas *canvas; double width, on, off, at; } nib;

/* One edge, or its dashes; pen->at is how far into the pattern we are. */
static void draw_edge(nib *pen, const real *from, const real *to) {
  double x0 = from[0], y0 = from[1], x1 = to[0], y1 = to[1];
  double length = hypot(x1 - x0, y1 - y0), period = pen->on + pen->off;
  if (pen->off == 0 || length == 0 || length > 1e6) {     /* no picture is that wide */
    cr_canvas_stroke(pen->canvas, x0, y0, x1, y1, pen->width);
    return;
  }
  double ux = (x1 - x0) / length, uy = (y1 - y0) / length;
  for (double s = 0; s < length; ) {
    double left = pen->at < pen->on ? pen->on - pen->at : period - pen->at;
    double step = fmin(fmax(left, 1e-3), length - s);
    double end = s + step;
    if (pen->at < pen->on)
      cr_canvas_stroke(pen->canvas, x0 + s * ux, y0 + s * uy, x0 + end * ux, y0 + end * uy,
                       pen->width);
    s = end;
    pen->at = fmod(pen->at + step, period);
  }
}

static bool usable(const real *p) { return isfinite(p[0]) && isfinite(p[1]); }

static void forward(cr_call *c) {
  int64_t N = c->dim['N'];
  const real *p = cr_reals(c->in[POINTS]);
  const cr_list *color = &c->list[COLOR], *dash = &c->list[DASH];
  uint8_t colour[3] = { 0, 0, 0 };
  for (int k = 0; k < color->n; k++) colour[k] = (uint8_t)color->at[k];
  cr_canvas canvas = { .picture = cr_bytes(c->in[CANVAS]), .channels = c->dim['C'],
                       .height = c->dim['H'], .width = c->dim['W'],
                       .mask = c->scratch };
  double x0 = INFINITY, y0 = INFINITY, x1 = -INFINITY, y1 = -INFINITY;
  double margin = c->option[WIDTH] / 2 + 2;
  for (int64_t i = 0; i < N; i++) {
    if (!usable(p + 2*i)) continue;
    x0 = fmin(x0, p[2*i]), x1 = fmax(x1, p[2*i]);
    y0 = fmin(y0, p[2*i + 1]), y1 = fmax(y1, p[2*i + 1]);
  }
  if (x0 > x1) return;
  cr_canvas_begin(&canvas, x0 - margin, y0 - margin, x1 + margin, y1 + margin);

  nib pen = { .canvas = &canvas, .width = c->option[WIDTH], .on = 1 };
  if (dash->n > 0) pen.on = (double)dash->at[0], pen.off = (double)dash->at[1];
  for (int64_t i = 0; i < N; i++) {
    if (!usable(p + 2*i)) continue;
    int64_t first = i;
    while (i + 1 < N && usable(p + 2*(i + 1))) i++;
    pen.at = 0;
    if (first == i) draw_edge(&pen, p + 2*i, p + 2*i);
    for (int64_t j = first; j < i; j++) draw_edge(&pen, p + 2*j, p + 2*(j + 1));
    if (c->option[CLOSED] != 0 && i > first) draw_edge(&pen, p + 2*i, p + 2*first);
  }
  cr_canvas_blend(&canvas, colour, c->option[ALPHA]);
}

const cr_op cr_data_draw_lines = {
  .name = "draw_lines", .help = "draw antialiased polylines into a picture, in place",
  .inputs = inputs, .outputs = outputs, .options = options, .check = check, .forward = forward,
};
