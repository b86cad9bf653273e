/* canvas.h - coverage masks: what a shape covers of each pixel, then one blend
 *
 * Drawing is two steps. A shape marks how much of each pixel it covers in a mask of H x W bytes (0
 * .. 255), where parts of one shape that overlap count once; then the mask is blended into a
 * picture of C planes in one colour. Coordinates are pixels, x to the right, y down; pixel (row,
 * column) is the square column .. column + 1, row .. row + 1. */
#ifndef CR_KERNELS_CANVAS_H
#define CR_KERNELS_CANVAS_H

#include <stdint.h>

typedef struct cr_canvas {
  uint8_t *picture;               /* [channels height width] */
  int64_t channels, height, width;
  uint8_t *mask;                  /* [height width], cleared inside the box only */
  int64_t left, top, right, bottom;   /* the box a shape may touch: left <= column < right */
} cr_canvas;

/* Sets the box to what x0 .. x1, y0 .. y1 touches of the picture, and clears the mask there. */
void cr_canvas_begin(cr_canvas *canvas, double x0, double y0, double x1, double y1);
/* A straight stroke with round ends. One thinner than a pixel is drawn one pixel wide and paler. */
void cr_canvas_stroke(cr_canvas *canvas, double x0, double y0, double x1, double y1, double width);
/* picture = picture (1 - a) + colour a, a = alpha mask / 255. */
void cr_canvas_blend(cr_canvas *canvas, const uint8_t colour[3], double alpha);

#endif
