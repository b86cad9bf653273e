/* json.h - JSON (RFC 8259), read token by token and written piece by piece
 *
 * The reader owns nothing and allocates nothing: it walks over the caller's bytes, which need no
 * NUL at the end. It is strict: no comments, no trailing commas, no NaN, UTF-8 only, at most
 * CR_JSON_DEPTH levels. Errors name line and column. */
#ifndef CR_IO_JSON_H
#define CR_IO_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "io/buffer.h"

enum { CR_JSON_DEPTH = 64 };

typedef enum {
  CR_JSON_NULL, CR_JSON_FALSE, CR_JSON_TRUE,
  CR_JSON_INT,                /* a number without point and exponent that fits an int64: integer */
  CR_JSON_FLOAT,              /* any other number: number */
  CR_JSON_STRING,             /* string: still escaped, see cr_json_unescape */
  CR_JSON_KEY,                /* the same; its value is the next token */
  CR_JSON_ARRAY, CR_JSON_ARRAY_END, CR_JSON_OBJECT, CR_JSON_OBJECT_END,
  CR_JSON_END                 /* behind the one value of the text */
} cr_json_kind;

typedef struct cr_json_token {
  cr_json_kind kind;
  int64_t integer;
  double number;              /* of an INT too */
  const char *string;         /* between the quotes */
  size_t string_bytes;
  size_t at;                  /* where the token begins, for cr_json_fail */
} cr_json_token;

typedef struct cr_json_reader {
  const char *text;
  size_t n, at;
  int depth, state;
  bool in_object[CR_JSON_DEPTH];
} cr_json_reader;

cr_json_reader cr_json_read(const void *text, size_t n);
bool cr_json_next(cr_json_reader *r, cr_json_token *token, cr_error *err);
/* The bytes a string or key stands for, into out of at least n bytes; returns how many. */
size_t cr_json_unescape(const char *string, size_t n, char *out);
/* "line 3, column 7: ..." about byte `at` of the text; returns false. */
bool cr_json_fail(const cr_json_reader *r, size_t at, cr_error *err, const char *format, ...)
  __attribute__((format(printf, 4, 5)));

/* Writing. A number has 15, 16 or 17 digits, the fewest that read back as the same double, and a
 * point or an exponent. JSON has no NaN or infinity: they become the strings "NaN", "Infinity" and
 * "-Infinity", which pandas' read_json and Python's float() turn back into numbers. A string must
 * be UTF-8. */
bool cr_json_add_number(cr_buffer *b, double value);
bool cr_json_add_integer(cr_buffer *b, int64_t value);
bool cr_json_add_string(cr_buffer *b, const char *string, size_t n, cr_error *err);

/* The length of the longest valid UTF-8 prefix: n when all of it is (no overlong forms, no
 * surrogates). */
size_t cr_utf8_valid(const char *text, size_t n);

#endif
