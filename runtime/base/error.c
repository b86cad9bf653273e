/* error.c - see error.h */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool cr_fail(cr_error *err, cr_error_kind kind, const char *format, ...) {
  if (err == NULL) return false;
  va_list args;
  va_start(args, format);
  vsnprintf(err->text, sizeof err->text, format, args);
  va_end(args);
  err->kind = kind;
  return false;
}

bool cr_fail_in(cr_error *err, const char *prefix) {
  if (err == NULL) return false;
  char text[sizeof err->text];
  memcpy(text, err->text, sizeof text);
  size_t n = (size_t)snprintf(err->text, sizeof err->text, "%s: ", prefix);
  if (n < sizeof err->text) {
    strncpy(err->text + n, text, sizeof err->text - n - 1);
    err->text[sizeof err->text - 1] = '\0';
  }
  return false;
}
