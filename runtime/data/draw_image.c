/* draw_image.c - crun.data.draw_image(canvas, image, { x, y, width, height, alpha, smooth })
 *
 *   canvas uint8 [3 H W] or [1 H W], changed in place; image uint8 [h w], [1 h w] or [3 h w]
 *
 * Scales the image to width x height (its own size when left out) and lays it on the canvas with
 * its top left corner at pixel (x, y); what sticks out is cut off. A grey image is drawn grey on a
 * canvas of three planes; a coloured one on a canvas of one plane by its luminance. smooth: a
 * triangle filter as wide as a source pixel when enlarging, as wide as a target pixel when reducing
 * (so that nothing is skipped); without it, the nearest pixel. */
#include <math.h>

#include "autograd/op.h"

enum { CANVAS, IMAGE };
enum { X, Y, WIDTH, HEIGHT, ALPHA, SMOOTH };

static const cr_input inputs[] = {
  [CANVAS] = { "canvas", "C H W", CR_TBYTE, CR_INPLACE | CR_NOGRAD },
  [IMAGE]  = { "image", "...", CR_TBYTE, CR_NOGRAD },
  { 0 }
};
static const cr_output outputs[] = { { 0 } };

static const cr_option options[] = {
  [X]      = { "x", 0, -1e6, 1e6, "column of the left edge, from 0", CR_COUNT },
  [Y]      = { "y", 0, -1e6, 1e6, "row of the top edge, from 0", CR_COUNT },
  [WIDTH]  = { "width", NAN, 1, 1e5, "in pixels; the image's own when left out", CR_COUNT },
  [HEIGHT] = { "height", NAN, 1, 1e5, "in pixels; the image's own when left out", CR_COUNT },
  [ALPHA]  = { "alpha", 1, 0, 1, "1 covers, 0 leaves no trace" },
  [SMOOTH] = { "smooth", 1, 0, 1, "filter, or take the nearest pixel", CR_FLAG },
  { 0 }
};

static bool check(cr_call *c, cr_error *err) {
  const cr_tensor *image = c->in[IMAGE];
  char shape[CR_SHAPE_TEXT];
  if (c->dim['C'] != 1 && c->dim['C'] != 3)
    return cr_fail(err, CR_ESHAPE, "canvas must have 1 or 3 planes, got %lld",
                   (long long)c->dim['C']);
  bool grey = image->ndim == 2 || (image->ndim == 3 && image->shape[0] == 1);
  if (!grey && !(image->ndim == 3 && image->shape[0] == 3))
    return cr_fail(err, CR_ESHAPE, "image must be [h, w], [1, h, w] or [3, h, w], got %s",
                   cr_shape_text(image->ndim, image->shape, shape));
  if (cr_tensor_numel(image) == 0) return cr_fail(err, CR_ESHAPE, "image is empty");
  return true;
}

/* One axis of the scaling: which source pixels make target pixel i, and how they weigh. */
typedef struct axis { double scale, reach; int64_t source; } axis;

static axis axis_of(int64_t source, int64_t target, bool smooth) {
  double scale = (double)source / (double)target;
  return (axis) { scale, smooth ? fmax(scale, 1) : 0, source };
}

static int64_t clamp(int64_t v, int64_t n) { return v < 0 ? 0 : v >= n ? n - 1 : v; }

static double weight(axis a, double centre, int64_t k) {
  return a.reach == 0 ? 1 : fmax(0, 1 - fabs((double)k + 0.5 - centre) / a.reach);
}

static void span(axis a, int64_t i, double *centre, int64_t *first, int64_t *last) {
  *centre = ((double)i + 0.5) * a.scale;
  *first = clamp((int64_t)floor(*centre - a.reach), a.source);
  *last = clamp((int64_t)floor(*centre + a.reach), a.source);
}

static double sample(const uint8_t *plane, axis across, axis down, int64_t column, int64_t row) {
  double cx, cy, sum = 0, total = 0;
  int64_t x0, x1, y0, y1;
  span(across, column, &cx, &x0, &x1);
  span(down, row, &cy, &y0, &y1);
  for (int64_t y = y0; y <= y1; y++) {
    double wy = weight(down, cy, y);
    for (int64_t x = x0; x <= x1; x++) {
      double w = wy * weight(across, cx, x);
      sum += w * plane[y * across.source + x];
      total += w;
    }
  }
  return total > 0 ? sum / total : plane[y0 * across.source + x0];
}

static void forward(cr_call *c) {
  const cr_tensor *image = c->in[IMAGE];
  int64_t planes = image->ndim == 3 ? image->shape[0] : 1, h = image->shape[image->ndim - 2];
  int64_t w = image->shape[image->ndim - 1], C = c->dim['C'], H = c->dim['H'], W = c->dim['W'];
  int64_t width = isnan(c->option[WIDTH]) ? w : (int64_t)c->option[WIDTH];
  int64_t height = isnan(c->option[HEIGHT]) ? h : (int64_t)c->option[HEIGHT];
  int64_t left = (int64_t)c->option[X], top = (int64_t)c->option[Y];
  const uint8_t *source = cr_bytes(image);
  uint8_t *target = cr_bytes(c->in[CANVAS]);
  bool smooth = c->option[SMOOTH] != 0;
  axis across = axis_of(w, width, smooth), down = axis_of(h, height, smooth);
  double alpha = c->option[ALPHA];

  for (int64_t r = 0; r < height; r++) {
    if (top + r < 0 || top + r >= H) continue;
    for (int64_t x = 0; x < width; x++) {
      if (left + x < 0 || left + x >= W) continue;
      double value[3];
      for (int64_t k = 0; k < planes; k++)
        value[k] = sample(source + k * h * w, across, down, x, r);
      if (planes == 3 && C == 1) value[0] = 0.299 * value[0] + 0.587 * value[1] + 0.114 * value[2];
      for (int64_t k = 0; k < C; k++) {
        uint8_t *p = target + (k * H + top + r) * W + left + x;
        double to = value[planes == 3 ? k : 0];
        *p = (uint8_t)(*p + alpha * (to - *p) + 0.5);
      }
    }
  }
}

const cr_op cr_data_draw_image = {
  .name = "draw_image", .help = "lay an image on a picture, scaled, in place",
  .inputs = inputs, .outputs = outputs, .options = options, .check = check, .forward = forward,
};
