/* json_fuzz.c - any bytes as JSON: balanced tokens and an end, or an error; strings and numbers survive a round trip. See fuzz.h. */
#include "fuzz.h"
#include <math.h>
#include "io/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  cr_error err = { 0 };
  cr_json_reader r = cr_json_read(data, n);
  cr_json_token token;
  int depth = 0;
  bool ok;
  while ((ok = cr_json_next(&r, &token, &err)) && token.kind != CR_JSON_END) {
    cr_buffer text = { 0 };
    cr_json_token again;
    must(token.at <= n);
    if (token.kind == CR_JSON_ARRAY || token.kind == CR_JSON_OBJECT) depth++;
    if (token.kind == CR_JSON_ARRAY_END || token.kind == CR_JSON_OBJECT_END) depth--;
    must(depth >= 0 && depth <= CR_JSON_DEPTH);
    if (token.kind == CR_JSON_STRING || token.kind == CR_JSON_KEY) {
      char *plain = malloc(token.string_bytes + 1), *back;
      size_t bytes = cr_json_unescape(token.string, token.string_bytes, plain);
      must(bytes <= token.string_bytes && cr_utf8_valid(plain, bytes) == bytes);
      must(cr_json_add_string(&text, plain, bytes, &err));
      cr_json_reader s = cr_json_read(text.data, text.n);
      must(cr_json_next(&s, &again, &err) && again.kind == CR_JSON_STRING);
      back = malloc(again.string_bytes + 1);
      must(cr_json_unescape(again.string, again.string_bytes, back) == bytes && memcmp(plain, back, bytes) == 0);
      free(plain);
      free(back);
    } else if (token.kind == CR_JSON_FLOAT || token.kind == CR_JSON_INT) {
      must(isfinite(token.number));
      must(token.kind == CR_JSON_INT ? cr_json_add_integer(&text, token.integer) : cr_json_add_number(&text, token.number));
      cr_json_reader s = cr_json_read(text.data, text.n);
      must(cr_json_next(&s, &again, &err) && again.kind == token.kind);
      must(token.kind == CR_JSON_INT ? again.integer == token.integer : again.number == token.number);
    }
    cr_buffer_clear(&text);
  }
  must(ok ? depth == 0 : err.text[0] != '\0');
  must(cr_memory().live_bytes == 0);
  return 0;
}
