/* json.c - see json.h */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE         /* strtod_l */
#endif
#include "io/json.h"

#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* what may come next */
enum { VALUE, FIRST_VALUE, KEY, FIRST_KEY, AFTER };
enum { NUMBER_BYTES = 400 }; /* the longest exact double has 767 digits, but nobody writes those */

/* UTF-8: the bytes of the character at s, 0 when it is malformed (table 3-7 of the Unicode
 * standard) */
static size_t character(const unsigned char *s, size_t n) {
  unsigned char c = s[0], low = 0x80, high = 0xbf;
  size_t bytes = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
  if (bytes == 0 || bytes > n) return 0;
  if (c == 0xe0) low = 0xa0;
  if (c == 0xed) high = 0x9f;
  if (c == 0xf0) low = 0x90;
  if (c == 0xf4) high = 0x8f;
  for (size_t i = 1; i < bytes; i++, low = 0x80, high = 0xbf)
    if (s[i] < low || s[i] > high) return 0;
  return bytes;
}

size_t cr_utf8_valid(const char *text, size_t n) {
  size_t at = 0, bytes;
  while (at < n && (bytes = character((const unsigned char *)text + at, n - at)) > 0) at += bytes;
  return at;
}

bool cr_json_fail(const cr_json_reader *r, size_t at, cr_error *err, const char *format, ...) {
  char reason[300];
  size_t line = 1, column = 1;
  va_list args;
  va_start(args, format);
  vsnprintf(reason, sizeof reason, format, args);
  va_end(args);
  for (size_t i = 0; i < at && i < r->n; i++) {
    if (r->text[i] == '\n') line++, column = 1;
    else if (((unsigned char)r->text[i] & 0xc0) != 0x80) column++;
  }
  return cr_fail(err, CR_EFORMAT, "line %zu, column %zu: %s", line, column, reason);
}

/* "expected X, got Y" about what stands at the reader's place */
static bool expected(const cr_json_reader *r, const char *what, cr_error *err) {
  if (r->at >= r->n) return cr_json_fail(r, r->at, err, "expected %s, but the text ends", what);
  unsigned char c = (unsigned char)r->text[r->at];
  if (c < 0x20 || c > 0x7e)
    return cr_json_fail(r, r->at, err, "expected %s, got byte 0x%02x", what, c);
  return cr_json_fail(r, r->at, err, "expected %s, got '%c'", what, c);
}

static int hex_digit(char c) {
  static const char all[] = "0123456789abcdefABCDEF";
  const char *at = c != '\0' ? strchr(all, c) : NULL;
  return at == NULL ? -1 : at - all < 16 ? (int)(at - all) : (int)(at - all) - 6;
}

/* the four digits at s, or -1 */
static int hex4(const char *s, size_t n) {
  int value = 0;
  if (n < 4) return -1;
  for (int i = 0; i < 4; i++) {
    int digit = hex_digit(s[i]);
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

/* bytes of the escape whose backslash is at s, 0 when there is no such escape */
static size_t escape(const char *s, size_t n) {
  if (n < 2) return 0;
  if (s[1] != 'u') return s[1] != '\0' && strchr("\"\\/bfnrt", s[1]) != NULL ? 2 : 0;
  int unit = hex4(s + 2, n - 2);
  if (unit < 0 || (unit >= 0xdc00 && unit <= 0xdfff)) return 0;
  if (unit < 0xd800 || unit > 0xdbff) return 6;
  if (n < 12 || s[6] != '\\' || s[7] != 'u') return 0;
  int low = hex4(s + 8, n - 8);
  return low >= 0xdc00 && low <= 0xdfff ? 12 : 0;
}

static bool read_string(cr_json_reader *r, cr_json_token *token, cr_error *err) {
  const char *text = r->text;
  size_t at = r->at + 1, step;
  for (; at < r->n && text[at] != '"'; at += step) {
    unsigned char c = (unsigned char)text[at];
    if (c < 0x20)
      return cr_json_fail(r, at, err, "control character 0x%02x in a string: write it as \\u%04x",
                          c, c);
    step = c == '\\' ? escape(text + at, r->n - at)
                     : character((const unsigned char *)text + at, r->n - at);
    if (step == 0)
      return cr_json_fail(r, at, err,
                          c == '\\' ? "an escape that JSON does not have" : "not UTF-8");
  }
  if (at >= r->n) return cr_json_fail(r, r->at, err, "a string without its closing quote");
  token->string = text + r->at + 1;
  token->string_bytes = at - r->at - 1;
  r->at = at + 1;
  return true;
}

static size_t digits(const cr_json_reader *r, size_t at) {
  while (at < r->n && r->text[at] >= '0' && r->text[at] <= '9') at++;
  return at;
}

/* strtod whatever locale a script may have set */
static double to_double(const char *text) {
  static locale_t plain;
  if (plain == (locale_t)0) plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  return plain == (locale_t)0 ? strtod(text, NULL) : strtod_l(text, NULL, plain);
}

static bool read_number(cr_json_reader *r, cr_json_token *token, cr_error *err) {
  const char *text = r->text;
  size_t from = r->at, at = from + (text[from] == '-'), end = digits(r, at);
  bool whole = true;
  if (end == at) return cr_json_fail(r, from, err, "a minus sign without a number");
  if (text[at] == '0' && end > at + 1)
    return cr_json_fail(r, from, err, "a number with a leading zero");
  at = end;
  if (at < r->n && text[at] == '.') {
    whole = false;
    end = digits(r, at + 1);
    if (end == at + 1) return cr_json_fail(r, at, err, "a decimal point without digits behind it");
    at = end;
  }
  if (at < r->n && (text[at] == 'e' || text[at] == 'E')) {
    whole = false;
    at += at + 1 < r->n && (text[at + 1] == '+' || text[at + 1] == '-') ? 2 : 1;
    end = digits(r, at);
    if (end == at) return cr_json_fail(r, at, err, "an exponent without digits");
    at = end;
  }
  char copy[NUMBER_BYTES + 1];
  if (at - from > NUMBER_BYTES)
    return cr_json_fail(r, from, err, "a number of more than %d characters", NUMBER_BYTES);
  memcpy(copy, text + from, at - from);
  copy[at - from] = '\0';
  token->kind = CR_JSON_FLOAT;
  token->number = to_double(copy);
  if (isinf(token->number))
    return cr_json_fail(r, from, err, "a number past the range of a double");
  if (whole && at - from <= 20) {
    uint64_t size = 0;
    bool minus = copy[0] == '-', fits = true;
    for (const char *p = copy + minus; *p != '\0'; p++)
      fits = fits && !__builtin_mul_overflow(size, 10u, &size) &&
             !__builtin_add_overflow(size, (uint64_t)(*p - '0'), &size);
    if (fits && size <= (uint64_t)INT64_MAX + minus) {
      token->kind = CR_JSON_INT;
      token->integer = (int64_t)(minus ? 0 - size : size);
    }
  }
  r->at = at;
  return true;
}

static bool read_word(cr_json_reader *r, cr_json_token *token, cr_error *err) {
  static const struct { const char *word; cr_json_kind kind; } words[] = {
    { "null", CR_JSON_NULL }, { "true", CR_JSON_TRUE }, { "false", CR_JSON_FALSE }
  };
  for (size_t i = 0; i < 3; i++) {
    size_t n = strlen(words[i].word);
    if (r->n - r->at < n || memcmp(r->text + r->at, words[i].word, n) != 0) continue;
    token->kind = words[i].kind;
    r->at += n;
    return true;
  }
  return expected(r, "a value", err);
}

static bool read_value(cr_json_reader *r, cr_json_token *token, cr_error *err) {
  char c = r->at < r->n ? r->text[r->at] : '\0';
  r->state = AFTER;
  switch (c) {
  case '[': case '{':
    if (r->depth == CR_JSON_DEPTH)
      return cr_json_fail(r, r->at, err, "more than %d levels deep", CR_JSON_DEPTH);
    r->in_object[r->depth++] = c == '{';
    r->state = c == '{' ? FIRST_KEY : FIRST_VALUE;
    token->kind = c == '{' ? CR_JSON_OBJECT : CR_JSON_ARRAY;
    r->at++;
    return true;
  case '"':
    token->kind = CR_JSON_STRING;
    return read_string(r, token, err);
  default:
    return c == '-' || (c >= '0' && c <= '9') ? read_number(r, token, err)
                                              : read_word(r, token, err);
  }
}

static void skip_blanks(cr_json_reader *r) {
  while (r->at < r->n && r->text[r->at] != '\0' && strchr(" \n\t\r", r->text[r->at]) != NULL)
    r->at++;
}

cr_json_reader cr_json_read(const void *text, size_t n) {
  return (cr_json_reader){ .text = text, .n = n, .state = VALUE };
}

bool cr_json_next(cr_json_reader *r, cr_json_token *token, cr_error *err) {
  skip_blanks(r);
  bool object = r->depth > 0 && r->in_object[r->depth - 1];
  if (r->state == AFTER && r->depth > 0 && r->at < r->n && r->text[r->at] == ',') {
    r->state = object ? KEY : VALUE;
    r->at++;
    skip_blanks(r);
  }
  *token = (cr_json_token){ .kind = CR_JSON_END, .at = r->at };
  if (r->state == AFTER && r->depth == 0)
    return r->at == r->n || expected(r, "the end of the text", err);

  bool may_close = r->state == AFTER || r->state == FIRST_KEY || r->state == FIRST_VALUE;
  if (may_close && r->at < r->n && r->text[r->at] == (object ? '}' : ']')) {
    token->kind = object ? CR_JSON_OBJECT_END : CR_JSON_ARRAY_END;
    r->depth--;
    r->state = AFTER;
    r->at++;
    return true;
  }
  if (r->state == AFTER) return expected(r, object ? "',' or '}'" : "',' or ']'", err);
  if (r->state == VALUE || r->state == FIRST_VALUE) return read_value(r, token, err);

  /* a key and its colon */
  token->kind = CR_JSON_KEY;
  if (r->at >= r->n || r->text[r->at] != '"') return expected(r, "a key in quotes", err);
  if (!read_string(r, token, err)) return false;
  skip_blanks(r);
  if (r->at >= r->n || r->text[r->at] != ':') return expected(r, "':' behind the key", err);
  r->at++;
  r->state = VALUE;
  return true;
}

static char *add_character(char *out, uint32_t c) {
  if (c < 0x80) {
    *out++ = (char)c;
  } else if (c < 0x800) {
    *out++ = (char)(0xc0 | c >> 6);
    *out++ = (char)(0x80 | (c & 63));
  } else if (c < 0x10000) {
    *out++ = (char)(0xe0 | c >> 12);
    *out++ = (char)(0x80 | (c >> 6 & 63));
    *out++ = (char)(0x80 | (c & 63));
  } else {
    *out++ = (char)(0xf0 | c >> 18);
    *out++ = (char)(0x80 | (c >> 12 & 63));
    *out++ = (char)(0x80 | (c >> 6 & 63));
    *out++ = (char)(0x80 | (c & 63));
  }
  return out;
}

size_t cr_json_unescape(const char *string, size_t n, char *out) {
  static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
  char *end = out;
  for (size_t at = 0, step; at < n; at += step) {
    step = string[at] == '\\' ? escape(string + at, n - at) : 1;
    if (step == 0) break;                 /* not a string of the reader's */
    if (step == 1) {
      *end++ = string[at];
    } else if (step == 2) {
      const char *named = strchr(from, string[at + 1]);
      *end++ = named != NULL ? to[named - from] : string[at + 1];
    } else {
      uint32_t c = (uint32_t)hex4(string + at + 2, 4);
      if (step == 12)
        c = 0x10000 + ((c - 0xd800) << 10) + ((uint32_t)hex4(string + at + 8, 4) - 0xdc00);
      end = add_character(end, c);
    }
  }
  return (size_t)(end - out);
}

bool cr_json_add_number(cr_buffer *b, double value) {
  char text[40];
  if (isnan(value)) return cr_buffer_add_text(b, "\"NaN\"");
  if (isinf(value)) return cr_buffer_add_text(b, value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
  for (int precision = 15; precision <= 17; precision++) {
    snprintf(text, sizeof text, "%.*g", precision, value);
    char *comma = strchr(text, ',');      /* a locale's decimal sign */
    if (comma != NULL) *comma = '.';
    if (to_double(text) == value) break;
  }
  return cr_buffer_add_text(b, text) &&
         (strpbrk(text, ".e") != NULL || cr_buffer_add_text(b, ".0"));
}

bool cr_json_add_integer(cr_buffer *b, int64_t value) {
  char text[24];
  snprintf(text, sizeof text, "%" PRId64, value);
  return cr_buffer_add_text(b, text);
}

bool cr_json_add_string(cr_buffer *b, const char *string, size_t n, cr_error *err) {
  static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
  size_t good = cr_utf8_valid(string, n);
  if (good < n)
    return cr_fail(err, CR_EVALUE, "a string that is not UTF-8 (its byte %zu)", good + 1);
  cr_buffer_add_byte(b, '"');
  for (size_t at = 0, run; at < n; at += run + 1) {
    for (run = 0; at + run < n; run++) {
      unsigned char c = (unsigned char)string[at + run];
      if (c < 0x20 || c == '"' || c == '\\') break;
    }
    cr_buffer_add(b, string + at, run);
    if (at + run == n) break;
    char text[8] = { '\\' }, c = string[at + run];
    const char *named = c != '\0' ? strchr(from, c) : NULL;
    if (named != NULL) text[1] = to[named - from];
    else snprintf(text, sizeof text, "\\u%04x", (unsigned)(unsigned char)c);
    cr_buffer_add_text(b, text);
  }
  cr_buffer_add_byte(b, '"');
  return cr_buffer_ok(b, err);
}
