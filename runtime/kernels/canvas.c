/* canvas.c - see canvas.h
 *
 * A pixel's coverage by a stroke of width w is taken as clamp(w/2 + 1/2 - d, 0, 1), d being the
 * distance of its centre from the middle line: exact for straight edges along the axes, within a
 * few percent elsewhere. */
#include "kernels/canvas.h"

#include <math.h>
#include <string.h>

static int64_t bound(double v, int64_t limit) {
  if (!(v > 0)) return 0;
  return v < (double)limit ? (int64_t)v : limit;
}

void cr_canvas_begin(cr_canvas *canvas, double x0, double y0, double x1, double y1) {
  canvas->left = bound(floor(x0), canvas->width);
  canvas->right = bound(ceil(x1), canvas->width);
  canvas->top = bound(floor(y0), canvas->height);
  canvas->bottom = bound(ceil(y1), canvas->height);
  for (int64_t r = canvas->top; r < canvas->bottom; r++)
    if (canvas->right > canvas->left)
      memset(canvas->mask + r * canvas->width + canvas->left, 0,
             (size_t)(canvas->right - canvas->left));
}

void cr_canvas_stroke(cr_canvas *canvas, double x0, double y0, double x1, double y1, double width) {
  double strength = width < 1 ? width : 1, half = (width < 1 ? 1 : width) / 2;
  double dx = x1 - x0, dy = y1 - y0, length2 = dx * dx + dy * dy;
  double reach = half + 1;
  int64_t top = bound(fmin(y0, y1) - reach, canvas->bottom);
  int64_t bottom = bound(fmax(y0, y1) + reach + 1, canvas->bottom);
  if (top < canvas->top) top = canvas->top;
  for (int64_t r = top; r < bottom; r++) {
    /* the columns this row can touch: the stroke's own, or for a flat one all between its ends */
    double y = (double)r + 0.5, from = fmin(x0, x1), to = fmax(x0, x1);
    if (fabs(dy) > 1e-9) {
      double a = x0 + dx * (y - reach - y0) / dy, b = x0 + dx * (y + reach - y0) / dy;
      from = fmax(from, fmin(a, b));
      to = fmin(to, fmax(a, b));
    }
    int64_t left = bound(from - reach, canvas->right), right = bound(to + reach + 1, canvas->right);
    if (left < canvas->left) left = canvas->left;
    uint8_t *row = canvas->mask + r * canvas->width;
    for (int64_t c = left; c < right; c++) {
      double px = (double)c + 0.5 - x0, py = y - y0;
      double t = length2 > 0 ? (px * dx + py * dy) / length2 : 0;
      t = t < 0 ? 0 : t > 1 ? 1 : t;
      double cover = half + 0.5 - hypot(px - t * dx, py - t * dy);
      if (cover <= 0) continue;
      uint8_t level = (uint8_t)(255 * strength * (cover > 1 ? 1 : cover) + 0.5);
      if (level > row[c]) row[c] = level;
    }
  }
}

void cr_canvas_blend(cr_canvas *canvas, const uint8_t colour[3], double alpha) {
  int64_t plane = canvas->height * canvas->width;
  int weight = (int)(alpha * 256 + 0.5);
  for (int64_t k = 0; k < canvas->channels; k++) {
    /* a grey picture takes the colour's luminance (Rec. 601) */
    int grey = (299 * colour[0] + 587 * colour[1] + 114 * colour[2] + 500) / 1000;
    int to = canvas->channels == 3 ? colour[k] : grey;
    for (int64_t r = canvas->top; r < canvas->bottom; r++) {
      const uint8_t *mask = canvas->mask + r * canvas->width;
      uint8_t *row = canvas->picture + k * plane + r * canvas->width;
      for (int64_t c = canvas->left; c < canvas->right; c++) {
        int a = mask[c] * weight, was = row[c];           /* a in 0 .. 255 * 256 */
        row[c] = (uint8_t)((was * (65280 - a) + to * a + 32640) / 65280);
      }
    }
  }
}
