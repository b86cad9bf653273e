/* yaml.c - see yaml.h */
#include "io/yaml.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

/* ---- plain scalars: YAML 1.2.2, section 10.3.2 ---------------------------------------------------- */

static bool is_one_of(const char *text, size_t n, const char *const *words) {
  for (; *words != NULL; words++)
    if (strlen(*words) == n && memcmp(*words, text, n) == 0) return true;
  return false;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static size_t digits(const char *text, size_t n) {
  size_t i = 0;
  while (i < n && is_digit(text[i])) i++;
  return i;
}

/* [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?; *whole: only sign and digits */
static bool is_decimal(const char *text, size_t n, bool *whole) {
  size_t i = n > 0 && (text[0] == '-' || text[0] == '+') ? 1 : 0, before = digits(text + i, n - i);
  i += before;
  *whole = i == n;
  if (i < n && text[i] == '.') {
    size_t behind = digits(text + i + 1, n - i - 1);
    if (before + behind == 0) return false;
    i += 1 + behind;
  } else if (before == 0) {
    return false;
  }
  if (i < n && (text[i] == 'e' || text[i] == 'E')) {
    i++;
    if (i < n && (text[i] == '-' || text[i] == '+')) i++;
    size_t exponent = digits(text + i, n - i);
    if (exponent == 0) return false;
    i += exponent;
  }
  return i == n;
}

static cr_yaml_kind integer_of(const char *text, int base, int64_t *integer, double *number) {
  errno = 0;
  long long value = strtoll(text, NULL, base);
  *number = errno == 0 ? (double)value : strtod(text, NULL);
  *integer = value;
  return errno == 0 ? CR_YAML_INT : CR_YAML_FLOAT;
}

cr_yaml_kind cr_yaml_resolve(const char *text, size_t n, int64_t *integer, double *number) {
  static const char *const null[] = { "", "~", "null", "Null", "NULL", NULL };
  static const char *const yes[] = { "true", "True", "TRUE", NULL };
  static const char *const no[] = { "false", "False", "FALSE", NULL };
  static const char *const inf[] = { ".inf", ".Inf", ".INF", NULL };
  static const char *const nan_words[] = { ".nan", ".NaN", ".NAN", NULL };
  char copy[400];
  bool whole;
  if (is_one_of(text, n, null)) return CR_YAML_NULL;
  if (is_one_of(text, n, yes)) return CR_YAML_TRUE;
  if (is_one_of(text, n, no)) return CR_YAML_FALSE;
  if (n >= sizeof copy) return CR_YAML_STRING;
  memcpy(copy, text, n);
  copy[n] = '\0';
  if (is_decimal(text, n, &whole)) {
    if (whole) return integer_of(copy, 10, integer, number);
    *number = strtod(copy, NULL);
    return CR_YAML_FLOAT;
  }
  if (n > 2 && n < 19 && copy[0] == '0' && copy[1] == 'o' && strspn(copy + 2, "01234567") == n - 2)
    return integer_of(copy + 2, 8, integer, number);
  if (n > 2 && n < 18 && copy[0] == '0' && copy[1] == 'x' &&
      strspn(copy + 2, "0123456789abcdefABCDEF") == n - 2)
    return integer_of(copy + 2, 16, integer, number);
  size_t sign = n > 0 && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  if (is_one_of(text + sign, n - sign, inf)) {
    *number = text[0] == '-' ? -INFINITY : INFINITY;
    return CR_YAML_FLOAT;
  }
  if (is_one_of(text, n, nan_words)) {
    *number = NAN;
    return CR_YAML_FLOAT;
  }
  return CR_YAML_STRING;
}

/* ---- events into nodes ---------------------------------------------------------------------------- */

typedef struct anchor { size_t name, bytes, first, last; } anchor;   /* last 0: its node is not over */

typedef struct level { bool map, key_next; size_t anchor; } level;   /* anchor: its place + 1, or 0 */

typedef struct builder {
  cr_yaml *out;
  cr_buffer anchors, names;
  level levels[CR_YAML_DEPTH];
  int depth;
  cr_error *err;
} builder;

static bool fail_at(cr_error *err, yaml_mark_t mark, const char *text) {
  return cr_fail(err, CR_EFORMAT, "%zu:%zu: %s", mark.line + 1, mark.column + 1, text);
}

static bool add_node(builder *b, const cr_yaml_node *node, yaml_mark_t mark) {
  if (cr_yaml_count(b->out) >= CR_YAML_NODES)
    return fail_at(b->err, mark, "more than 100000 values (what aliases stand for counts too)");
  return cr_buffer_add(&b->out->nodes, node, sizeof *node) || cr_buffer_ok(&b->out->nodes, b->err);
}

static cr_yaml_node node_at(cr_yaml_kind kind, yaml_mark_t mark) {
  return (cr_yaml_node){ .kind = kind, .line = (int)mark.line + 1, .column = (int)mark.column + 1 };
}

/* A value or a key begins: is it allowed here, and in a map, is the next one the other kind? */
static bool place(builder *b, bool scalar, yaml_mark_t mark, bool *is_key) {
  level *l = b->depth > 0 ? &b->levels[b->depth - 1] : NULL;
  *is_key = l != NULL && l->map && l->key_next;
  if (*is_key && !scalar) return fail_at(b->err, mark, "a key must be a plain word, not a list or a map");
  if (l != NULL && l->map) l->key_next = !l->key_next;
  return true;
}

static anchor *anchors_of(builder *b) { return (anchor *)(void *)b->anchors.data; }

/* Notes an anchor at the node that comes next; *number is its place + 1, or 0 without an anchor. */
static bool add_anchor(builder *b, const yaml_char_t *name, size_t *number) {
  *number = 0;
  if (name == NULL) return true;
  anchor a = { .name = b->names.n, .bytes = strlen((const char *)name), .first = cr_yaml_count(b->out) };
  if (!cr_buffer_add(&b->names, name, a.bytes)) return cr_buffer_ok(&b->names, b->err);
  if (!cr_buffer_add(&b->anchors, &a, sizeof a)) return cr_buffer_ok(&b->anchors, b->err);
  *number = b->anchors.n / sizeof a;
  return true;
}

static void end_anchor(builder *b, size_t number) {
  if (number > 0) anchors_of(b)[number - 1].last = cr_yaml_count(b->out);
}

static bool add_alias(builder *b, const char *name, yaml_mark_t mark) {
  bool is_key;
  size_t n = strlen(name);
  const anchor *a = NULL;
  for (size_t i = b->anchors.n / sizeof *a; i > 0 && a == NULL; i--) {
    const anchor *at = anchors_of(b) + i - 1;
    if (at->bytes == n && memcmp(b->names.data + at->name, name, n) == 0) a = at;
  }
  if (a == NULL) return fail_at(b->err, mark, "an alias to an anchor that is not there");
  if (a->last == 0) return fail_at(b->err, mark, "an alias to a value that contains it");
  size_t first = a->first, last = a->last;
  if (!place(b, false, mark, &is_key)) return false;
  /* how deep the copy reaches from here */
  int depth = b->depth;
  for (size_t i = first; i < last; i++) {
    cr_yaml_node node = cr_yaml_nodes(b->out)[i];
    depth += node.kind == CR_YAML_LIST || node.kind == CR_YAML_MAP ? 1 : node.kind == CR_YAML_END ? -1 : 0;
    if (depth > CR_YAML_DEPTH) return fail_at(b->err, mark, "more than 64 levels deep");
    if (!add_node(b, &node, mark)) return false;
  }
  return true;
}

static bool add_scalar(builder *b, const yaml_event_t *e) {
  bool is_key;
  size_t number, n = e->data.scalar.length;
  const char *text = (const char *)e->data.scalar.value;
  yaml_mark_t mark = e->start_mark;
  if (!place(b, true, mark, &is_key) || !add_anchor(b, e->data.scalar.anchor, &number)) return false;
  cr_yaml_node node = node_at(CR_YAML_STRING, mark);
  if (!is_key && e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
    node.kind = cr_yaml_resolve(text, n, &node.integer, &node.number);
  if (is_key && n == 0) return fail_at(b->err, mark, "an empty key");
  node.text = b->out->text.n;
  node.bytes = n;
  if (!cr_buffer_add(&b->out->text, text, n)) return cr_buffer_ok(&b->out->text, b->err);
  if (!add_node(b, &node, mark)) return false;
  end_anchor(b, number);
  return true;
}

static bool open_level(builder *b, cr_yaml_kind kind, const yaml_char_t *name, yaml_mark_t mark) {
  bool is_key;
  size_t number;
  if (b->depth == CR_YAML_DEPTH) return fail_at(b->err, mark, "more than 64 levels deep");
  if (!place(b, false, mark, &is_key) || !add_anchor(b, name, &number)) return false;
  cr_yaml_node node = node_at(kind, mark);
  b->levels[b->depth++] = (level){ .map = kind == CR_YAML_MAP, .key_next = true, .anchor = number };
  return add_node(b, &node, mark);
}

static bool close_level(builder *b, yaml_mark_t mark) {
  cr_yaml_node node = node_at(CR_YAML_END, mark);
  size_t number = b->levels[--b->depth].anchor;
  if (!add_node(b, &node, mark)) return false;
  end_anchor(b, number);
  return true;
}

static bool has_tag(const yaml_event_t *e) {
  switch (e->type) {
    case YAML_SCALAR_EVENT: return e->data.scalar.tag != NULL;
    case YAML_SEQUENCE_START_EVENT: return e->data.sequence_start.tag != NULL;
    case YAML_MAPPING_START_EVENT: return e->data.mapping_start.tag != NULL;
    default: return false;
  }
}

static bool take(builder *b, const yaml_event_t *e, int *documents) {
  yaml_mark_t mark = e->start_mark;
  if (has_tag(e)) return fail_at(b->err, mark, "tags (!name) are not read; a value in quotes is a string");
  switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
      return ++*documents == 1 || fail_at(b->err, mark, "a second document; one file holds one");
    case YAML_ALIAS_EVENT: return add_alias(b, (const char *)e->data.alias.anchor, mark);
    case YAML_SCALAR_EVENT: return add_scalar(b, e);
    case YAML_SEQUENCE_START_EVENT: return open_level(b, CR_YAML_LIST, e->data.sequence_start.anchor, mark);
    case YAML_MAPPING_START_EVENT: return open_level(b, CR_YAML_MAP, e->data.mapping_start.anchor, mark);
    case YAML_SEQUENCE_END_EVENT: case YAML_MAPPING_END_EVENT: return close_level(b, mark);
    default: return true;
  }
}

/* libyaml's words for it, with its place */
static bool scan_error(const yaml_parser_t *p, cr_error *err) {
  if (p->error == YAML_MEMORY_ERROR) return cr_fail(err, CR_EMEMORY, "no memory left for YAML");
  if (p->error == YAML_READER_ERROR)
    return cr_fail(err, CR_EFORMAT, "1:1: byte %zu: %s", p->problem_offset + 1,
                   p->problem ? p->problem : "not UTF-8");
  return cr_fail(err, CR_EFORMAT, "%zu:%zu: %s%s%s", p->problem_mark.line + 1, p->problem_mark.column + 1,
                 p->problem ? p->problem : "not YAML", p->context ? " " : "", p->context ? p->context : "");
}

/* Editors differ in how wide a tab is, so indentation by tabs means nothing. */
static bool refuse_tabs(const char *text, size_t n, cr_error *err) {
  size_t line = 1, start = 0;
  bool leading = true;
  for (size_t i = 0; i < n; i++) {
    if (text[i] == '\n') {
      line++;
      start = i + 1;
      leading = true;
    } else if (leading && text[i] == '\t') {
      return cr_fail(err, CR_EFORMAT, "%zu:%zu: a tab in the indentation; use spaces", line, i - start + 1);
    } else if (text[i] != ' ') {
      leading = false;
    }
  }
  return true;
}

bool cr_yaml_parse(const void *text, size_t n, cr_yaml *out, cr_error *err) {
  if (n > CR_YAML_BYTES) return cr_fail(err, CR_EFORMAT, "1:1: longer than 1 MiB");
  if (!refuse_tabs(text, n, err)) return false;
  yaml_parser_t parser;
  if (!yaml_parser_initialize(&parser)) return cr_fail(err, CR_EMEMORY, "no memory left for YAML");
  yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
  yaml_parser_set_input_string(&parser, text, n);

  builder b = { .out = out, .err = err };
  bool ok = true, over = false;
  int documents = 0;
  while (ok && !over) {
    yaml_event_t event;
    if (!yaml_parser_parse(&parser, &event)) {
      ok = scan_error(&parser, err);
      break;
    }
    over = event.type == YAML_STREAM_END_EVENT;
    ok = take(&b, &event, &documents);
    yaml_event_delete(&event);
  }
  yaml_parser_delete(&parser);
  cr_buffer_clear(&b.anchors);
  cr_buffer_clear(&b.names);
  if (ok && cr_yaml_count(out) == 0) {                       /* an empty file is null */
    cr_yaml_node node = { .kind = CR_YAML_NULL, .line = 1, .column = 1 };
    ok = cr_buffer_add(&out->nodes, &node, sizeof node) || cr_buffer_ok(&out->nodes, err);
  }
  return ok;
}

void cr_yaml_clear(cr_yaml *doc) {
  cr_buffer_clear(&doc->nodes);
  cr_buffer_clear(&doc->text);
}

size_t cr_yaml_count(const cr_yaml *doc) { return doc->nodes.n / sizeof(cr_yaml_node); }
const cr_yaml_node *cr_yaml_nodes(const cr_yaml *doc) { return (const cr_yaml_node *)(void *)doc->nodes.data; }
