/* strokes.c - see strokes.h
 *
 *   START
 *   x,y,milliseconds        a line for each point; y is 0 at the top and negative below it
 *   BREAK                   ends a stroke, the last one too
 *
 * Lake, Salakhutdinov, Tenenbaum, "Human-level concept learning through probabilistic program
 * induction", Science 2015. A stroke of one point is a dot. A stroke without points and
 * a drawing of fewer than two points are errors. Times may step back: those of the real data do. */
#include "io/strokes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { POINT = 4, LINE_MOST = 120 };

typedef struct reader {
  const char *at, *end;
  size_t line;
} reader;

/* the next line without its end and trailing blanks, as a text; false at the end */
static bool next_line(reader *r, char line[LINE_MOST + 1], cr_error *err, bool *ok) {
  if (r->at == r->end) return false;
  const char *end = memchr(r->at, '\n', (size_t)(r->end - r->at));
  size_t n = (size_t)((end != NULL ? end : r->end) - r->at);
  r->line++;
  if (n > LINE_MOST || memchr(r->at, '\0', n) != NULL) {
    *ok = cr_fail(err, CR_EFORMAT, "strokes: line %zu is no line of text", r->line);
    return false;
  }
  memcpy(line, r->at, n);
  while (n > 0 && (line[n - 1] == '\r' || line[n - 1] == ' ' || line[n - 1] == '\t')) n--;
  line[n] = '\0';
  r->at = end != NULL ? end + 1 : r->end;
  return true;
}

static bool point(const char *line, double value[3]) {
  const char *at = line;
  for (int i = 0; i < 3; i++) {
    char *end;
    size_t n = strspn(at, "0123456789+-.eE");                    /* no blanks, nan, hex */
    value[i] = strtod(at, &end);
    if (n == 0 || end != at + n || *end != (i < 2 ? ',' : '\0') || !(fabs(value[i]) <= 1e9))
      return false;
    at = end + 1;
  }
  return true;
}

/* the points into out, or only counted when out is NULL */
static bool read_all(reader r, real *out, size_t *points, cr_error *err) {
  char line[LINE_MOST + 1];
  double value[3];
  size_t in_stroke = 0, strokes = 0;
  bool ok = true, started = false;
  *points = 0;
  while (next_line(&r, line, err, &ok)) {
    if (line[0] == '\0') continue;
    if (!started) {
      if (strcmp(line, "START") != 0)
        return cr_fail(err, CR_EFORMAT, "not a file of strokes: expected START, got '%.20s'",
                       line);
      started = true;
    } else if (strcmp(line, "BREAK") == 0) {
      if (in_stroke == 0)
        return cr_fail(err, CR_EFORMAT, "strokes: stroke %zu, ended in line %zu, has no points",
                       strokes + 1, r.line);
      strokes++;
      in_stroke = 0;
    } else if (!point(line, value)) {
      return cr_fail(err, CR_EFORMAT, "strokes: line %zu: expected x,y,milliseconds, got '%.40s'",
                     r.line, line);
    } else {
      if (out != NULL) {
        real *p = out + *points * POINT;
        p[0] = (real)value[0];
        p[1] = (real)-value[1];
        p[2] = (real)(value[2] / 1000);
        p[3] = in_stroke == 0;
      }
      in_stroke++;
      ++*points;
    }
  }
  if (!ok) return false;
  if (in_stroke > 0)
    return cr_fail(err, CR_EFORMAT, "strokes: the file is cut short: stroke %zu has no BREAK",
                   strokes + 1);
  return *points >= 2
      || cr_fail(err, CR_EFORMAT, "strokes: %zu points, a drawing needs 2 or more", *points);
}

cr_tensor *cr_strokes_read(const void *bytes, size_t n, cr_error *err) {
  reader r = { bytes, (const char *)bytes + n, 0 };
  size_t points;
  if (n == 0) return cr_fail(err, CR_EFORMAT, "not a file of strokes: it is empty"), NULL;
  if (!read_all(r, NULL, &points, err)) return NULL;
  cr_tensor *t = cr_tensor_new(CR_REAL, 2, (int64_t[]){ (int64_t)points, POINT }, err);
  if (t != NULL) read_all(r, cr_reals(t), &points, err);
  return t;
}
