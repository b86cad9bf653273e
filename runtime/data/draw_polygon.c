/* draw_polygon.c - crun.data.draw_polygon(canvas, points, { color, alpha })
 *
 *   canvas uint8 [C H W], C = 1 or 3, changed in place
 *   points [N 2], x and y in pixels from the top left corner
 *
 * Fills the polygon through the points, closed by itself; a point that holds a nan ends one ring
 * and begins the next. A pixel is blended by the exact share of it that lies inside: each edge adds
 * its signed area to the pixels it crosses, and a running sum along the row turns that into
 * coverage. Rings that overlap count their winding, cut at 1. */
#include <math.h>
#include <string.h>

#include "autograd/op.h"
#include "kernels/canvas.h"

enum { CANVAS, POINTS };
enum { COLOR, ALPHA };

static const cr_input inputs[] = {
  [CANVAS] = { "canvas", "C H W", CR_TBYTE, CR_INPLACE | CR_NOGRAD },
  [POINTS] = { "points", "N 2", CR_TREAL, CR_NOGRAD },
  { 0 }
};
static const cr_output outputs[] = { { 0 } };

static const cr_option options[] = {
  [COLOR] = { "color", NAN, 0, 255, "red, green, blue, 0 .. 255 each (black)", CR_COUNTS },
  [ALPHA] = { "alpha", 1, 0, 1, "1 covers, 0 leaves no trace" },
  { 0 }
};

/* scratch: the mask, then one float of area a pixel and one more a row */
static bool check(cr_call *c, cr_error *err) {
  if (c->dim['C'] != 1 && c->dim['C'] != 3)
    return cr_fail(err, CR_ESHAPE, "canvas must have 1 or 3 planes, got %lld",
                   (long long)c->dim['C']);
  if (c->list[COLOR].n != 0 && c->list[COLOR].n != 3)
    return cr_fail(err, CR_EVALUE, "color takes 3 numbers, got %d", c->list[COLOR].n);
  size_t H = (size_t)c->dim['H'], W = (size_t)c->dim['W'];
  c->scratch_bytes = H * (W + 2) * sizeof(float) + H * W;
  return true;
}

/* The signed area to the right of one edge, row by row; x is clamped to the picture, which keeps
 * the sums right. */
static void add_edge(float *area, int64_t H, int64_t W, double x0, double y0, double x1,
    double y1) {
  if (y0 == y1) return;
  double sign = y0 < y1 ? 1 : -1;
  if (y0 > y1) {
    double x = x0, y = y0;
    x0 = x1, y0 = y1, x1 = x, y1 = y;
  }
  double slope = (x1 - x0) / (y1 - y0);
  double from = fmax(y0, 0), to = fmin(y1, (double)H);
  for (int64_t r = (int64_t)from; (double)r < to; r++) {
    double top = fmax((double)r, from), bottom = fmin((double)r + 1, to), height = bottom - top;
    if (height <= 0) continue;
    double a = x0 + (top - y0) * slope, b = x0 + (bottom - y0) * slope;
    double left = fmin(fmax(fmin(a, b), 0), (double)W),
        right = fmin(fmax(fmax(a, b), 0), (double)W);
    float *row = area + r * (W + 2);
    int64_t first = (int64_t)left, last = (int64_t)right;
    if (first == last) {
      double cover = sign * height, middle = 1 - ((left + right) / 2 - (double)first);
      row[first] += (float)(cover * middle);
      row[first + 1] += (float)(cover * (1 - middle));
      continue;
    }
    /* the edge crosses several pixels of the row: shares by where it is */
    double per = sign * height / (right - left), at = left;
    for (int64_t k = first; k <= last; k++) {
      double next = fmin((double)k + 1, right), part = (next - at) * per;
      double middle = 1 - ((at + next) / 2 - (double)k);
      row[k] += (float)(part * middle);
      row[k + 1] += (float)(part * (1 - middle));
      at = next;
    }
  }
}

static bool usable(const real *p) { return isfinite(p[0]) && isfinite(p[1]); }

static void forward(cr_call *c) {
  int64_t N = c->dim['N'], H = c->dim['H'], W = c->dim['W'];
  const real *p = cr_reals(c->in[POINTS]);
  const cr_list *color = &c->list[COLOR];
  uint8_t colour[3] = { 0, 0, 0 };
  for (int k = 0; k < color->n; k++) colour[k] = (uint8_t)color->at[k];
  float *area = c->scratch;
  cr_canvas canvas = { .picture = cr_bytes(c->in[CANVAS]), .channels = c->dim['C'],
                       .height = H, .width = W,
                       .mask = (uint8_t *)(area + H * (W + 2)) };
  double x0 = INFINITY, y0 = INFINITY, x1 = -INFINITY, y1 = -INFINITY;
  for (int64_t i = 0; i < N; i++) {
    if (!usable(p + 2*i)) continue;
    x0 = fmin(x0, p[2*i]), x1 = fmax(x1, p[2*i]);
    y0 = fmin(y0, p[2*i + 1]), y1 = fmax(y1, p[2*i + 1]);
  }
  if (x0 > x1) return;
  cr_canvas_begin(&canvas, x0, y0, x1, y1);
  if (canvas.bottom > canvas.top)
    memset(area + canvas.top * (W + 2), 0, (size_t)((canvas.bottom - canvas.top) * (W + 2))
        * sizeof(float));

  for (int64_t i = 0; i < N; i++) {
    if (!usable(p + 2*i)) continue;
    int64_t first = i;
    while (i + 1 < N && usable(p + 2*(i + 1))) i++;
    for (int64_t j = first; j <= i; j++) {
      const real *a = p + 2*j, *b = p + 2*(j < i ? j + 1 : first);
      add_edge(area, H, W, a[0], a[1], b[0], b[1]);
    }
  }
  for (int64_t r = canvas.top; r < canvas.bottom; r++) {
    double sum = 0;
    const float *row = area + r * (W + 2);
    for (int64_t k = 0; k < canvas.right; k++) {
      sum += row[k];
      double cover = fabs(sum);
      if (k >= canvas.left) canvas.mask[r * W + k] = (uint8_t)(255 * (cover > 1 ? 1 : cover) + 0.5);
    }
  }
  cr_canvas_blend(&canvas, colour, c->option[ALPHA]);
}

const cr_op cr_data_draw_polygon = {
  .name = "draw_polygon", .help = "fill polygons into a picture, in place",
  .inputs = inputs, .outputs = outputs, .options = options, .check = check, .forward = forward,
};
