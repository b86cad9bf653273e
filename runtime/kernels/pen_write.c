/* pen_write.c - a hand writes a character of pen.h, in ink or as the points of a pen
 *
 * A writer has habits (slant, proportions, weight and speed of the pen, order of lines); each
 * sample adds its own. Shape: the whole character is bent by two slow waves across the square, each
 * line is moved, turned and scaled about its middle. Place: the character is turned, slanted,
 * stretched, scaled and moved. */
#include "kernels/pen.h"

#include <math.h>
#include "base/rng.h"
#include "kernels/canvas.h"

#define TURN 6.283185307179586

/* A map of the plane, x' = a x + b y + c, y' = d x + e y + f. */
typedef struct affine { double a, b, c, d, e, f; } affine;

/* Turns and scales about (x, y), then moves. */
static affine about(double x, double y, double angle, double scale, double dx, double dy) {
  double c = scale * cos(angle), s = scale * sin(angle);
  return (affine){ c, -s, x - c * x + s * y + dx, s, c, y - s * x - c * y + dy };
}

static void apply(cr_pen_line *line, const affine *m) {
  for (int i = 0; i < line->points; i++) {
    double x = line->x[i], y = line->y[i];
    line->x[i] = m->a * x + m->b * y + m->c;
    line->y[i] = m->d * x + m->e * y + m->f;
  }
}

static void turn_round(cr_pen_line *line) {
  for (int i = 0, j = line->points - 1; i < j; i++, j--) {
    double x = line->x[i], y = line->y[i];
    line->x[i] = line->x[j], line->y[i] = line->y[j];
    line->x[j] = x, line->y[j] = y;
  }
}

static void vary_order(cr_pen_character *c, double dial, cr_rng *rng) {
  for (int l = 0; l < c->lines; l++) {
    bool reversed = cr_rng_uniform(rng) < 0.12 * dial, swapped = cr_rng_uniform(rng) < 0.15 * dial;
    if (reversed) turn_round(&c->line[l]);
    if (swapped && l > 0) {
      cr_pen_line before = c->line[l - 1];
      c->line[l - 1] = c->line[l];
      c->line[l] = before;
    }
  }
}

/* Two waves, of about one period across the square, push points sideways. */
static void bend(cr_pen_character *c, double dial, cr_rng *rng) {
  for (int wave = 0; wave < 2; wave++) {
    double heading = TURN * cr_rng_uniform(rng), phase = TURN * cr_rng_uniform(rng);
    double push = TURN * cr_rng_uniform(rng), size = 0.035 * dial * cr_rng_normal(rng);
    double rate = TURN * cr_rng_range(rng, 0.6, 1.4);
    for (int l = 0; l < c->lines; l++) {
      cr_pen_line *line = &c->line[l];
      for (int i = 0; i < line->points; i++) {
        double along = line->x[i] * cos(heading) + line->y[i] * sin(heading);
        double by = size * sin(rate * along + phase);
        line->x[i] += by * cos(push), line->y[i] += by * sin(push);
      }
    }
  }
}

static void vary_lines(cr_pen_character *c, double dial, cr_rng *rng) {
  for (int l = 0; l < c->lines; l++) {
    cr_pen_line *line = &c->line[l];
    int middle = line->points / 2;
    double angle = 0.09 * dial * cr_rng_normal(rng), size = exp(0.08 * dial * cr_rng_normal(rng));
    double dx = 0.025 * dial * cr_rng_normal(rng), dy = 0.025 * dial * cr_rng_normal(rng);
    affine m = about(line->x[middle], line->y[middle], angle, size, dx, dy);
    apply(line, &m);
  }
}

cr_pen_page cr_pen_write(cr_pen_character *c, const cr_pen_hand *hand) {
  const double *dial = hand->dial;
  cr_rng habit = cr_rng_at(hand->seed, cr_rng_hash("pen writer"), hand->writer);
  cr_rng rng = cr_rng_at(hand->seed, cr_rng_hash("pen sample") + hand->writer, hand->sample);

  double place = dial[PEN_PLACE], weight = dial[PEN_WEIGHT];
  double slant = place * (0.16 * cr_rng_normal(&habit) + 0.06 * cr_rng_normal(&rng));
  double stretch = exp(place * (0.12 * cr_rng_normal(&habit) + 0.07 * cr_rng_normal(&rng)));
  double angle = place * (0.05 * cr_rng_normal(&habit) + 0.08 * cr_rng_normal(&rng));
  double scale = exp(place * (0.06 * cr_rng_normal(&habit) + 0.06 * cr_rng_normal(&rng)) - 0.05);
  double dx = place * 0.03 * cr_rng_normal(&rng), dy = place * 0.03 * cr_rng_normal(&rng);
  double width = 0.065 * exp(weight * (0.22 * cr_rng_normal(&habit) + 0.1 * cr_rng_normal(&rng)));
  double step = 0.07 * exp(weight * (0.2 * cr_rng_normal(&habit) + 0.1 * cr_rng_normal(&rng)));

  vary_order(c, dial[PEN_ORDER], &rng);
  vary_lines(c, dial[PEN_SHAPE], &rng);
  bend(c, dial[PEN_SHAPE], &rng);
  affine turn = about(0.5, 0.5, angle, scale, dx, dy);
  affine slanted = { stretch, slant, 0.5 * (1 - stretch - slant), 0, 1 / stretch,
                     0.5 * (1 - 1 / stretch) };
  for (int l = 0; l < c->lines; l++) {
    apply(&c->line[l], &slanted);
    apply(&c->line[l], &turn);
  }
  return (cr_pen_page){ width, step };
}

void cr_pen_ink(const cr_pen_character *c, const cr_pen_page *page, int64_t size, uint8_t *image) {
  double side = (double)size;
  cr_canvas canvas = { .picture = image, .channels = 1, .height = size, .width = size,
                       .mask = image };                /* what is covered is the picture */
  cr_canvas_begin(&canvas, 0, 0, side, side);
  for (int l = 0; l < c->lines; l++) {
    const cr_pen_line *line = &c->line[l];
    for (int i = 0; i + 1 < line->points; i++)
      cr_canvas_stroke(&canvas, side * line->x[i], side * line->y[i], side * line->x[i + 1],
                       side * line->y[i + 1], side * page->width);
  }
}

static double length_of(const cr_pen_line *line) {
  double sum = 0;
  for (int i = 0; i + 1 < line->points; i++)
    sum += hypot(line->x[i + 1] - line->x[i], line->y[i + 1] - line->y[i]);
  return sum;
}

int64_t cr_pen_trace(const cr_pen_character *c, const cr_pen_page *page, int64_t most,
                     real *points) {
  /* each line has its two ends; what lies between is shared by length */
  double length[PEN_LINES], whole = 0;
  for (int l = 0; l < c->lines; l++) whole += length[l] = length_of(&c->line[l]);
  double step = fmax(page->step, whole / (double)(most - 2 * c->lines + 1));
  int64_t n = 0;
  for (int l = 0; l < c->lines; l++) {
    const cr_pen_line *line = &c->line[l];
    int64_t own = 2 + (int64_t)(length[l] / step);
    if (n + own > most) own = most - n;
    double before = 0, edge = 0;
    for (int64_t k = 0, i = 0; k < own && own > 1; k++, n++) {
      double at = length[l] * (double)k / (double)(own - 1);
      for (; i + 1 < line->points; before += edge, i++) {
        edge = hypot(line->x[i + 1] - line->x[i], line->y[i + 1] - line->y[i]);
        if (before + edge >= at) break;
      }
      int64_t next = i + 1 < line->points ? i + 1 : i;
      double part = next > i && edge > 0 ? (at - before) / edge : 0;
      points[3*n] = (real)(line->x[i] + part * (line->x[next] - line->x[i]));
      points[3*n + 1] = (real)(line->y[i] + part * (line->y[next] - line->y[i]));
      points[3*n + 2] = (real)(k == 0);
    }
  }
  for (int64_t k = 3 * n; k < 3 * most; k++) points[k] = 0;
  return n;
}

void cr_pen_put(const cr_pen_sheet *sheet, int64_t row, cr_pen_character *c,
                const cr_pen_hand *hand) {
  cr_pen_page page = cr_pen_write(c, hand);
  cr_pen_ink(c, &page, sheet->size, sheet->images + row * sheet->size * sheet->size);
  sheet->lengths[row] = cr_pen_trace(c, &page, sheet->steps,
                                     sheet->points + row * sheet->steps * 3);
}
