/* csv.c - see csv.h; RFC 4180, with its laxer relatives */
#include "io/csv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"

enum { NUMBER_MOST = 64 };

/* where a walk over the cells is */
typedef struct walk {
  const char *at, *end;
  int64_t line, column;         /* of the next cell, from 0; lines of cells, not of text */
} walk;

static walk begin(const cr_csv *csv) {
  const char *at = csv->bytes, *end = at + csv->n;
  if (csv->n >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0) at += 3;       /* a byte order mark */
  return (walk){ at, end, 0, 0 };
}

static bool at_end(walk *w) {
  if (w->column > 0) return false;
  while (w->at < w->end && (*w->at == '\n' || *w->at == '\r')) w->at++;  /* empty lines */
  return w->at == w->end;
}

/* the next cell into csv->cell; *last: it ends its line */
static bool next_cell(cr_csv *csv, walk *w, bool *last, cr_error *err) {
  cr_buffer *cell = &csv->cell;
  cell->n = 0;
  if (w->at < w->end && *w->at == '"') {
    const char *start = ++w->at;
    for (;; w->at++) {
      if (w->at == w->end)
        return cr_fail(err, CR_EFORMAT, "CSV: a quote in line %lld, column %lld has no end",
                       (long long)w->line + 1, (long long)w->column + 1);
      if (*w->at != '"') continue;
      cr_buffer_add(cell, start, (size_t)(w->at - start));
      start = w->at + 1;
      if (start == w->end || *start != '"') break;
      w->at++;                                              /* "" is a quote, copied with the next */
    }
    w->at++;
  } else {
    const char *start = w->at;
    while (w->at < w->end && *w->at != csv->separator && *w->at != '\n' && *w->at != '\r') w->at++;
    const char *stop = w->at;
    while (stop > start && (stop[-1] == ' ')) stop--;
    while (start < stop && *start == ' ') start++;
    cr_buffer_add(cell, start, (size_t)(stop - start));
  }
  if (!cr_buffer_ok(cell, err)) return false;
  if (w->at < w->end && *w->at == csv->separator) {
    w->at++;
    w->column++;
    *last = false;
    return true;
  }
  if (w->at < w->end && *w->at == '\r') w->at++;
  else if (w->at < w->end && *w->at != '\n')
    return cr_fail(err, CR_EFORMAT, "CSV: expected a separator behind the quote in line %lld, "
                   "column %lld", (long long)w->line + 1, (long long)w->column + 1);
  if (w->at < w->end && *w->at == '\n') w->at++;
  w->line++;
  w->column = 0;
  *last = true;
  return true;
}

static bool number(const cr_buffer *cell, double *value) {
  char text[NUMBER_MOST], *end;
  if (cell->n == 0 || cell->n >= NUMBER_MOST) return false;
  memcpy(text, cell->data, cell->n);
  text[cell->n] = '\0';
  if (strcmp(text, "nan") == 0 || strcmp(text, "NaN") == 0) return *value = NAN, true;
  if (strspn(text, "0123456789+-.eEinfINF") != cell->n) return false;    /* no hex, no blanks */
  *value = strtod(text, &end);
  return end == text + cell->n;
}

static char likeliest_separator(const char *bytes, size_t n) {
  const char *kinds = ",;\t";
  size_t count[3] = { 0 }, best = 0;
  bool quoted = false;
  for (size_t i = 0; i < n && (quoted || (bytes[i] != '\n' && bytes[i] != '\r')); i++) {
    const char *kind = bytes[i] != '\0' ? strchr(kinds, bytes[i]) : NULL;
    if (bytes[i] == '"') quoted = !quoted;
    else if (kind != NULL && !quoted) count[kind - kinds]++;
  }
  for (size_t k = 1; k < 3; k++)
    if (count[k] > count[best]) best = k;
  return kinds[best];
}

/* the first line: how many columns, and which of its cells are numbers */
static bool first_line(cr_csv *csv, walk *w, cr_error *err) {
  bool last = false;
  double value;
  while (!last) {
    if (!next_cell(csv, w, &last, err)) return false;
    if (csv->columns++ == CR_CSV_COLUMNS_MOST)
      return cr_fail(err, CR_EFORMAT, "CSV: more than %d columns", CR_CSV_COLUMNS_MOST);
    cr_buffer_add_byte(&csv->flags, number(&csv->cell, &value));
  }
  return cr_buffer_ok(&csv->flags, err);
}

bool cr_csv_open(const void *bytes, size_t n, cr_csv *out, cr_error *err) {
  cr_csv *csv = out;
  *csv = (cr_csv){ .bytes = bytes, .n = n };
  csv->separator = likeliest_separator(bytes, n);
  walk w = begin(csv);
  if (at_end(&w)) return cr_fail(err, CR_EFORMAT, "CSV: the file is empty");
  if (!first_line(csv, &w, err)) return false;
  int64_t columns = csv->columns;
  cr_buffer_fill(&csv->flags, true, (size_t)columns);
  if (!cr_buffer_ok(&csv->flags, err)) return false;
  const bool *first = (const bool *)csv->flags.data;
  csv->numeric = (bool *)csv->flags.data + columns;
  while (!at_end(&w)) {
    bool last = false;
    for (int64_t k = 0; !last; k++) {
      double value;
      int64_t line = w.line + 1;
      if (!next_cell(csv, &w, &last, err)) return false;
      if (k >= columns || (last && k + 1 < columns))
        return cr_fail(err, CR_EFORMAT, "CSV: line %lld has %s than the %lld cells of the first",
                       (long long)line, k >= columns ? "more" : "fewer", (long long)columns);
      csv->numeric[k] = csv->numeric[k] && number(&csv->cell, &value);
    }
  }
  int64_t lines = w.line;
  bool any = false;
  for (int64_t k = 0; k < columns; k++) {
    any = any || first[k];
    if (csv->numeric[k] && !first[k]) csv->header = true;
  }
  csv->header = csv->header || !any;
  for (int64_t k = 0; k < columns && !csv->header; k++)
    csv->numeric[k] = csv->numeric[k] && first[k];
  csv->rows = lines - csv->header;
  if (csv->rows < 1) return cr_fail(err, CR_EFORMAT, "CSV: there is no line below the header");
  return true;
}

void cr_csv_clear(cr_csv *csv) {
  cr_buffer_clear(&csv->flags);
  cr_buffer_clear(&csv->cell);
}

bool cr_csv_numbers(cr_csv *csv, const int64_t *column, int64_t wanted, real *out, cr_error *err) {
  walk w = begin(csv);
  for (int64_t r = csv->header ? -1 : 0; !at_end(&w); r++) {
    bool last = false;
    for (int64_t k = 0, next = 0; !last; k++) {
      double value = 0;
      if (!next_cell(csv, &w, &last, err)) return false;
      if (next == wanted || k != column[next]) continue;
      if (r >= 0 && number(&csv->cell, &value)) out[r * wanted + next] = (real)value;
      next++;
    }
  }
  return true;
}

bool cr_csv_texts(cr_csv *csv, int64_t column, cr_csv_take take, void *context, cr_error *err) {
  walk w = begin(csv);
  while (!at_end(&w)) {
    bool last = false;
    for (int64_t k = 0; !last; k++) {
      if (!next_cell(csv, &w, &last, err)) return false;
      if (k == column && !take(context, (const char *)csv->cell.data, csv->cell.n, err))
        return false;
    }
  }
  return true;
}

bool cr_csv_names(cr_csv *csv, cr_csv_take take, void *context, cr_error *err) {
  walk w = begin(csv);
  bool last = at_end(&w);
  while (!last) {
    if (!next_cell(csv, &w, &last, err)) return false;
    if (!take(context, (const char *)csv->cell.data, csv->cell.n, err)) return false;
  }
  return true;
}
