/* print.c - a tensor as text: rows of numbers in columns, large ones cut in the middle, then its type and shape
 *
 *    1.0000  -2.5000
 *    3.0000   4.0000
 *   float32 [2, 2]
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bind/bind.h"

enum { EDGE = 3, WHOLE = 1000 };      /* past WHOLE elements only EDGE rows and columns at each end are shown */

typedef struct { const cr_tensor *t; bool cut, integer; int width, digits; bool exponent; } layout;

static bool shown(const layout *l, int d, int64_t i) {
  return !l->cut || l->t->shape[d] <= 2 * EDGE || i < EDGE || i >= l->t->shape[d] - EDGE;
}

static int number_text(const layout *l, double v, char *text, size_t size) {
  if (isnan(v)) return snprintf(text, size, "nan");
  if (isinf(v)) return snprintf(text, size, v > 0 ? "inf" : "-inf");
  if (l->integer) return snprintf(text, size, "%.0f", v);
  return snprintf(text, size, l->exponent ? "%.*e" : "%.*f", l->digits, v);
}

/* Calls fn for each element that will be shown, in order. */
static void each_shown(layout *l, int d, int64_t base, void (*fn)(layout *, double)) {
  if (d == l->t->ndim) {
    fn(l, cr_tensor_get(l->t, base));
    return;
  }
  for (int64_t i = 0; i < l->t->shape[d]; i++)
    if (shown(l, d, i)) each_shown(l, d + 1, base * l->t->shape[d] + i, fn);
}

static double largest, smallest;

static void measure(layout *l, double v) {
  (void)l;
  if (!isfinite(v) || v == 0) return;
  if (fabs(v) > largest) largest = fabs(v);
  if (fabs(v) < smallest) smallest = fabs(v);
}

static void widen(layout *l, double v) {
  char text[64];
  int n = number_text(l, v, text, sizeof text);
  if (n > l->width) l->width = n;
}

static void add_rows(luaL_Buffer *b, layout *l, int d, int64_t base) {
  const cr_tensor *t = l->t;
  char text[64];
  bool gap = false;
  if (d == t->ndim - 1 || t->ndim == 0) {
    int64_t n = t->ndim == 0 ? 1 : t->shape[d];
    for (int64_t i = 0; i < n; i++) {
      if (t->ndim > 0 && !shown(l, d, i)) {
        if (!gap) luaL_addstring(b, "  ...");
        gap = true;
        continue;
      }
      int used = number_text(l, cr_tensor_get(t, base * n + i), text, sizeof text);
      for (int pad = l->width - used + 2; pad > 0; pad--) luaL_addchar(b, ' ');
      luaL_addstring(b, text);
    }
    luaL_addchar(b, '\n');
    return;
  }
  for (int64_t i = 0; i < t->shape[d]; i++) {
    if (!shown(l, d, i)) {
      if (!gap) luaL_addstring(b, "  ...\n");
      gap = true;
      continue;
    }
    add_rows(b, l, d + 1, base * t->shape[d] + i);
    if (d == t->ndim - 3 + 0 && t->ndim > 2 && i + 1 < t->shape[d]) luaL_addchar(b, '\n');
  }
}

void cr_bind_push_text(lua_State *L, const cr_tensor *t) {
  layout l = { .t = t, .cut = cr_tensor_numel(t) > WHOLE, .integer = t->dtype != CR_REAL, .digits = 4 };
  int64_t numel = cr_tensor_numel(t);
  luaL_Buffer b;
  char text[CR_SHAPE_TEXT];
  luaL_buffinit(L, &b);
  if (numel > 0) {
    largest = 0;
    smallest = INFINITY;
    each_shown(&l, 0, 0, measure);
    l.exponent = largest >= 1e6 || (largest > 0 && largest < 1e-3);
    each_shown(&l, 0, 0, widen);
    add_rows(&b, &l, 0, 0);
  }
  luaL_addstring(&b, cr_dtype_name(t->dtype));
  luaL_addchar(&b, ' ');
  luaL_addstring(&b, cr_shape_text(t->ndim, t->shape, text));
  luaL_pushresult(&b);
}
