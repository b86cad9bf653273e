/* pen_model.c - the characters of pen.h: glyphs of invented alphabets, and digits
 *
 * A line of a glyph is made of one to three pieces, each straight or bent evenly, with or without a
 * corner between: that gives bars, arcs, hooks, waves and angles. Its heading is one of eight with
 * a little play. All lines but the first begin on a line before, or cross one, or stand apart. An
 * alphabet has its taste: how often pieces bend, how sharp corners are, how many lines there are,
 * whether its lines keep to the right angle. After Lake, Salakhutdinov, Tenenbaum, "Human-level
 * concept learning through probabilistic program induction", Science 2015, in spirit only: no
 * statistics of real scripts went into it. */
#include "kernels/pen.h"

#include <math.h>
#include "base/rng.h"
#include "kernels/stroke_font.h"

#define TURN 6.283185307179586

/* Brings the character into the middle of the square, its longer side `side` long. */
static void fit(cr_pen_character *c, double side) {
  double x0 = INFINITY, y0 = INFINITY, x1 = -INFINITY, y1 = -INFINITY;
  for (int l = 0; l < c->lines; l++) {
    for (int i = 0; i < c->line[l].points; i++) {
      x0 = fmin(x0, c->line[l].x[i]), x1 = fmax(x1, c->line[l].x[i]);
      y0 = fmin(y0, c->line[l].y[i]), y1 = fmax(y1, c->line[l].y[i]);
    }
  }
  double scale = side / fmax(1e-9, fmax(x1 - x0, y1 - y0));
  for (int l = 0; l < c->lines; l++) {
    for (int i = 0; i < c->line[l].points; i++) {
      c->line[l].x[i] = 0.5 + scale * (c->line[l].x[i] - (x0 + x1) / 2);
      c->line[l].y[i] = 0.5 + scale * (c->line[l].y[i] - (y0 + y1) / 2);
    }
  }
}

/* ---- glyphs ---------------------------------------------------------------------------------- */

typedef struct taste { double bend, corner, lines, upright, apart; } taste;

static taste taste_of(uint64_t seed, uint64_t alphabet) {
  cr_rng rng = cr_rng_at(seed, cr_rng_hash("pen alphabet"), alphabet);
  return (taste){
    .bend = cr_rng_range(&rng, 0.2, 0.8), .corner = cr_rng_range(&rng, 0.2, 0.8),
    .lines = cr_rng_range(&rng, 1.6, 3.2), .upright = cr_rng_range(&rng, 0.3, 1),
    .apart = cr_rng_range(&rng, 0, 0.3),
  };
}

/* A line from the origin, about `length` long. */
static void draw_line(const taste *t, double length, cr_rng *rng, cr_pen_line *line) {
  int pieces = 1 + (int)cr_rng_below(rng, 3), each = (PEN_POINTS - 1) / pieces;
  double heading = TURN / 8 * (double)cr_rng_below(rng, 8);
  if (cr_rng_uniform(rng) < t->upright) heading = TURN / 4 * (double)cr_rng_below(rng, 2);
  heading += 0.12 * cr_rng_normal(rng);
  double x = 0, y = 0;
  int n = 0;
  line->x[0] = line->y[0] = 0;
  for (int p = 0; p < pieces; p++) {
    double share = length * cr_rng_range(rng, 0.6, 1.4) / sqrt(pieces), turn = 0;
    bool bends = cr_rng_uniform(rng) < t->bend;
    double sign = cr_rng_uniform(rng) < 0.5 ? -1 : 1, angle = cr_rng_range(rng, 0.15, 0.7) * TURN;
    if (bends) turn = sign * angle, share *= 1.3;
    if (p > 0 && cr_rng_uniform(rng) < t->corner)
      heading += (cr_rng_uniform(rng) < 0.5 ? -1 : 1) * TURN * cr_rng_range(rng, 0.18, 0.4);
    for (int i = 0; i < each; i++) {
      heading += turn / each / 2;
      x += share / each * cos(heading), y += share / each * sin(heading);
      heading += turn / each / 2;
      n++;
      line->x[n] = x, line->y[n] = y;
    }
  }
  line->points = n + 1;
}

static void move_line(cr_pen_line *line, double dx, double dy) {
  for (int i = 0; i < line->points; i++) line->x[i] += dx, line->y[i] += dy;
}

void cr_pen_glyph(uint64_t seed, uint64_t alphabet, uint64_t character, cr_pen_character *out) {
  taste t = taste_of(seed, alphabet);
  cr_rng rng = cr_rng_at(seed, cr_rng_hash("pen character") + alphabet, character);
  double wanted = t.lines + 0.9 * cr_rng_normal(&rng);
  out->lines = wanted < 1 ? 1 : wanted > PEN_LINES - 1 ? PEN_LINES - 1 : (int)(wanted + 0.5);
  for (int l = 0; l < out->lines; l++) {
    cr_pen_line *line = &out->line[l];
    draw_line(&t, l == 0 ? 1 : cr_rng_range(&rng, 0.35, 0.9), &rng, line);
    int at = 0;                                   /* the point of this line that is put somewhere */
    double pick = cr_rng_uniform(&rng), where = cr_rng_uniform(&rng);
    double away_x = 0.35 * cr_rng_normal(&rng), away_y = 0.35 * cr_rng_normal(&rng);
    if (l == 0) continue;
    const cr_pen_line *to = &out->line[cr_rng_below(&rng, (uint64_t)l)];
    int target = (int)(where * (to->points - 1));
    if (pick < 0.3) at = line->points / 2;                                   /* crosses it */
    else if (pick < 0.55) target = where < 0.5 ? 0 : to->points - 1;         /* from an end of it */
    bool apart = cr_rng_uniform(&rng) < t.apart;
    move_line(line, to->x[target] - line->x[at] + (apart ? away_x : 0),
              to->y[target] - line->y[at] + (apart ? away_y : 0));
  }
  fit(out, 0.68);
}

/* ---- digits ---------------------------------------------------------------------------------- */

/* In the language of the stroke font (kernels/stroke_font.h), capitals 14 high. The empty path is
 * the font's own digit. Each is as likely as it is often written here. */
static const char *const ways[10][4] = {
  { "", "5.9,13.8 ~1.5,13 1.5,6.8 ~1.5,0 5.5,0 ~9.5,0 9.5,7.2 ~9.3,13.6 4.9,13.2" },
  { "", "5.5,14 5.5,0", "2.6,11.3 6,14 6,0;3,0 9,0", "7,14 4.4,0" },
  { "", "1.7,10.4 ~1.9,14 5.5,14 ~9.3,14 9,10.6 ~8,6 3,1.6 ~1,0 2.2,2.4 ~3.6,3.4 5.5,1.4 "
        "~7.4,-0.4 9.8,1.2" },
  { "", "1.8,14 9,14 4.6,8.4 ~9.6,8.6 9.5,4 ~9.4,0 5.2,0 ~2,0 1.4,2.8",
    "1.7,12 ~3,14 5.4,14 ~9,13.8 8.6,10.8 ~8,8 4.6,7.5 ~9.7,7.2 9.5,3.8 ~9.3,0 5,0 ~2,0 1.2,2.2" },
  { "", "2.6,14 1.4,5.4 10.2,5.4;7.9,9.4 7.5,0", "7.2,14 1.4,4.4 10,4.8;7.6,8 7,0" },
  { "", "2.8,14 2.1,7.6 ~3.6,9 5.6,8.8 ~9.5,8.4 9.4,4.4 ~9.2,0 5.2,0 ~2.4,0 1.4,1.8;"
        "2.8,14 9.4,14" },
  { "", "7.6,14 ~1.6,10 1.6,4.4 ~1.6,0 5.6,0 ~9.4,0 9.3,3.6 ~9.2,7 5.8,7 ~3,7 1.8,4.4" },
  { "", "1.5,14 9.5,14 4.2,0;3.4,7.2 8.8,7.2", "1.6,12.4 1.6,14 9.5,14 ~6.2,8 5.4,0" },
  { "", "8.8,12 ~7.6,14 5.4,14 ~2.2,13.8 2.2,11 ~2.4,8.6 5.6,7.2 ~9.6,5.4 9.4,3 ~9,0 5.4,0 "
        "~1.6,0.2 1.6,3.2 ~2,5.4 5.6,7.4 ~8.6,9 8.8,12" },
  { "", "9,11 ~8,14 5.3,14 ~1.7,13.8 1.8,10.4 ~2,7.2 5.2,7.2 ~8.2,7.4 9,11 8.4,0" },
};

typedef struct writing { cr_pen_character *c; double x, y; } writing;

static void add_piece(void *context, double x0, double y0, double x1, double y1) {
  writing *w = context;
  bool lifted = w->c->lines == 0 || x0 != w->x || y0 != w->y;
  if (lifted && w->c->lines == PEN_LINES) return;
  cr_pen_line *line = &w->c->line[lifted ? w->c->lines++ : w->c->lines - 1];
  if (lifted) line->points = 1, line->x[0] = x0, line->y[0] = -y0;
  if (line->points < PEN_POINTS)
    line->x[line->points] = x1, line->y[line->points] = -y1, line->points++;
  w->x = x1, w->y = y1;
}

/* Points evenly along the line, so that a hand bends straight pieces too. */
static void even_out(cr_pen_line *line) {
  cr_pen_line from = *line;
  double along[PEN_POINTS];
  along[0] = 0;
  for (int i = 1; i < from.points; i++)
    along[i] = along[i - 1] + hypot(from.x[i] - from.x[i - 1], from.y[i] - from.y[i - 1]);
  double whole = along[from.points - 1];
  line->points = PEN_POINTS;
  for (int k = 0, i = 1; k < PEN_POINTS; k++) {
    double at = whole * k / (PEN_POINTS - 1);
    while (i < from.points - 1 && along[i] < at) i++;
    double step = along[i] - along[i - 1], part = step > 0 ? (at - along[i - 1]) / step : 0;
    part = part > 1 ? 1 : part;
    line->x[k] = from.x[i - 1] + part * (from.x[i] - from.x[i - 1]);
    line->y[k] = from.y[i - 1] + part * (from.y[i] - from.y[i - 1]);
  }
}

void cr_pen_digit(int digit, double style, cr_pen_character *out) {
  int known = 0;
  while (known < 4 && ways[digit][known]) known++;
  cr_glyph glyph = *cr_font_glyph((uint32_t)('0' + digit));
  const char *path = ways[digit][(int)(style * known)];
  if (path[0]) glyph.path = path;
  out->lines = 0;
  cr_font_trace(&glyph, add_piece, &(writing){ .c = out });
  for (int l = 0; l < out->lines; l++) even_out(&out->line[l]);
  fit(out, 0.64);
}
