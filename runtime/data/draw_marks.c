/* draw_marks.c - crun.data.draw_marks(canvas, points, colors, { size, shape, color, alpha, edge })
 *
 *   canvas uint8 [C H W], C = 1 or 3, changed in place
 *   points [N 2], x and y in pixels; colors uint8 [N 3], optional
 *
 * A mark at every point, in order, so later ones lie on top. size is the width of the mark; edge is
 * the width of a white rim that keeps marks apart. Points that hold a nan are left out. All shapes
 * have about the same area. */
#include <math.h>

#include "autograd/op.h"
#include "kernels/canvas.h"

enum { CANVAS, POINTS, COLORS };
enum { SIZE, SHAPE, COLOR, ALPHA, EDGE };
enum { DISC, SQUARE, DIAMOND, TRIANGLE, CROSS, PLUS, RING };

static const cr_input inputs[] = {
  [CANVAS] = { "canvas", "C H W", CR_TBYTE, CR_INPLACE | CR_NOGRAD },
  [POINTS] = { "points", "N 2", CR_TREAL, CR_NOGRAD },
  [COLORS] = { "colors", "N 3", CR_TBYTE, CR_OPTIONAL | CR_NOGRAD },
  { 0 }
};
static const cr_output outputs[] = { { 0 } };

static const cr_option options[] = {
  [SIZE]  = { "size", 6, 0.5, 1e4, "width in pixels" },
  [SHAPE] = { "shape", DISC, 0, 6, "of the marks", CR_CHOICE,
      "disc square diamond triangle cross plus ring" },
  [COLOR] = { "color", NAN, 0, 255, "of all marks when colors is left out (black)", CR_COUNTS },
  [ALPHA] = { "alpha", 1, 0, 1, "1 covers, 0 leaves no trace" },
  [EDGE]  = { "edge", 0, 0, 100, "width of the white rim in pixels" },
  { 0 }
};

static bool check(cr_call *c, cr_error *err) {
  if (c->dim['C'] != 1 && c->dim['C'] != 3)
    return cr_fail(err, CR_ESHAPE, "canvas must have 1 or 3 planes, got %lld",
                   (long long)c->dim['C']);
  if (c->list[COLOR].n != 0 && c->list[COLOR].n != 3)
    return cr_fail(err, CR_EVALUE, "color takes 3 numbers, got %d", c->list[COLOR].n);
  c->scratch_bytes = (size_t)(c->dim['H'] * c->dim['W']);
  return true;
}

static double bar(double x, double y, double length, double width) {
  return fmax(fabs(x) - length, fabs(y) - width);
}

/* The distance of (x, y) from the rim of a mark of radius r, negative inside. */
static double outside(int shape, double x, double y, double r) {
  switch (shape) {
    case SQUARE: return fmax(fabs(x), fabs(y)) - 0.89 * r;
    case DIAMOND: return (fabs(x) + fabs(y) - 1.25 * r) * M_SQRT1_2;
    case TRIANGLE: return fmax(0.866 * fabs(x) - 0.5 * y, y) - 0.62 * r;
    case CROSS: {
      double a = (x + y) * M_SQRT1_2, b = (x - y) * M_SQRT1_2;
      return fmin(bar(a, b, 1.15 * r, 0.36 * r), bar(b, a, 1.15 * r, 0.36 * r));
    }
    case PLUS: return fmin(bar(x, y, 1.15 * r, 0.36 * r), bar(y, x, 1.15 * r, 0.36 * r));
    case RING: return fabs(hypot(x, y) - 0.8 * r) - 0.2 * r;
    default: return hypot(x, y) - r;
  }
}

static void mark(cr_canvas *canvas, int shape, double x, double y, double r, double grow) {
  for (int64_t row = canvas->top; row < canvas->bottom; row++) {
    for (int64_t column = canvas->left; column < canvas->right; column++) {
      double cover = 0.5 + grow - outside(shape, (double)column + 0.5 - x, (double)row + 0.5 - y,
          r);
      cover = cover < 0 ? 0 : cover > 1 ? 1 : cover;
      canvas->mask[row * canvas->width + column] = (uint8_t)(255 * cover + 0.5);
    }
  }
}

static void forward(cr_call *c) {
  static const uint8_t white[3] = { 255, 255, 255 };
  const real *p = cr_reals(c->in[POINTS]);
  const uint8_t *colors = c->in[COLORS] != NULL ? cr_bytes(c->in[COLORS]) : NULL;
  const cr_list *color = &c->list[COLOR];
  uint8_t colour[3] = { 0, 0, 0 };
  for (int k = 0; k < color->n; k++) colour[k] = (uint8_t)color->at[k];
  cr_canvas canvas = { .picture = cr_bytes(c->in[CANVAS]), .channels = c->dim['C'],
                       .height = c->dim['H'], .width = c->dim['W'],
                       .mask = c->scratch };
  double r = c->option[SIZE] / 2, edge = c->option[EDGE], reach = 1.5 * r + edge + 1;
  int shape = (int)c->option[SHAPE];
  for (int64_t i = 0; i < c->dim['N']; i++) {
    double x = p[2*i], y = p[2*i + 1];
    if (!isfinite(x) || !isfinite(y)) continue;
    cr_canvas_begin(&canvas, x - reach, y - reach, x + reach, y + reach);
    if (edge > 0) {
      mark(&canvas, shape, x, y, r, edge);
      cr_canvas_blend(&canvas, white, c->option[ALPHA]);
    }
    mark(&canvas, shape, x, y, r, 0);
    cr_canvas_blend(&canvas, colors != NULL ? colors + 3*i : colour, c->option[ALPHA]);
  }
}

const cr_op cr_data_draw_marks = {
  .name = "draw_marks", .help = "draw marks at points into a picture, in place",
  .inputs = inputs, .outputs = outputs, .options = options, .check = check, .forward = forward,
};
