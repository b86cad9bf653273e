/* safetensors.c - named tensors in one file
 *
 *   u64 length of the header | header, JSON, padded with blanks | elements
 *   header = {"__metadata__": {"key": "value"}, "NAME": {"dtype": "F32", "shape": [2, 3],
 *             "data_offsets": [BEGIN, END]}, ...}
 *
 * Checked before anything is allocated for elements: the header is at most 100 MB and begins with
 * '{'; at most 100,000 tensors; no name twice; the offsets cover the elements without hole or
 * overlap, each range as long as type and shape say. Stricter than the reference reader: unknown
 * keys of a tensor and NUL in texts are refused. github.com/huggingface/safetensors */
#include "io/safetensors.h"

#include <stdlib.h>
#include <string.h>
#include "io/json.h"

enum { HEADER_BYTES = 100000000, MANY_TENSORS = 100000 };
enum { HAS_DTYPE = 1, HAS_SHAPE = 2, HAS_OFFSETS = 4, HAS_ALL = 7 };

typedef struct parser {
  cr_json_reader r;
  cr_json_token token;
  cr_safetensors *out;
} parser;

static bool next(parser *p, cr_error *err) { return cr_json_next(&p->r, &p->token, err); }

static bool next_is(parser *p, cr_json_kind kind, const char *what, cr_error *err) {
  if (!next(p, err)) return false;
  return p->token.kind == kind || cr_json_fail(&p->r, p->token.at, err, "expected %s", what);
}

/* The token's string as a C string that lives as long as the file's. There is room: an unescaped
 * string and its NUL are shorter than the string and its quotes. */
static const char *keep(parser *p, cr_error *err) {
  cr_buffer *texts = &p->out->texts;
  char *to = (char *)texts->data + texts->n;
  size_t n = cr_json_unescape(p->token.string, p->token.string_bytes, to);
  if (memchr(to, '\0', n) != NULL)
    return cr_json_fail(&p->r, p->token.at, err, "a text with a NUL character"), NULL;
  to[n] = '\0';
  texts->n += n + 1;
  return to;
}

static bool token_is(const parser *p, const char *text) {
  return p->token.string_bytes == strlen(text)
      && memcmp(p->token.string, text, p->token.string_bytes) == 0;
}

static bool metadata(parser *p, cr_error *err) {
  if (!next_is(p, CR_JSON_OBJECT, "an object of texts", err)) return false;
  for (;;) {
    cr_text_pair pair;
    if (!next(p, err)) return false;
    if (p->token.kind == CR_JSON_OBJECT_END) return true;
    if ((pair.key = keep(p, err)) == NULL) return false;
    if (!next_is(p, CR_JSON_STRING, "a text: metadata holds nothing else", err)) return false;
    if ((pair.value = keep(p, err)) == NULL) return false;
    if (!cr_buffer_add(&p->out->pairs, &pair, sizeof pair))
      return cr_buffer_ok(&p->out->pairs, err);
    p->out->n_metadata++;
  }
}

/* An array of whole numbers >= 0; *n counts all, the first `room` are kept. */
static bool numbers(parser *p, int room, int *n, int64_t *out, cr_error *err) {
  if (!next_is(p, CR_JSON_ARRAY, "an array of whole numbers", err)) return false;
  for (*n = 0;; (*n)++) {
    if (!next(p, err)) return false;
    if (p->token.kind == CR_JSON_ARRAY_END) return true;
    if (p->token.kind != CR_JSON_INT || p->token.integer < 0)
      return cr_json_fail(&p->r, p->token.at, err, "expected a whole number of 0 or more");
    if (*n == room)
      return cr_json_fail(&p->r, p->token.at, err, "expected at most %d numbers", room);
    out[*n] = p->token.integer;
  }
}

static bool dtype(parser *p, cr_element *out, cr_error *err) {
  if (!next_is(p, CR_JSON_STRING, "the name of a type", err)) return false;
  for (int e = 0; e < CR_ELEMENTS; e++) {
    *out = (cr_element)e;
    if (token_is(p, cr_element_table[e].safetensors)) return true;
  }
  return cr_json_fail(&p->r, p->token.at, err,
                      "type '%.*s', expected one of F16 BF16 F32 F64 I8 I16 "
                      "I32 I64 U8 U16 U32 BOOL",
                      p->token.string_bytes < 32 ? (int)p->token.string_bytes : 32,
                      p->token.string);
}

static bool tensor(parser *p, cr_error *err) {
  cr_safetensor t = { 0 };
  int64_t offsets[2];
  int seen = 0, n;
  size_t at = p->token.at, bytes;
  if (p->out->n == MANY_TENSORS)
    return cr_json_fail(&p->r, at, err, "more than %d tensors", MANY_TENSORS);
  if ((t.name = keep(p, err)) == NULL) return false;
  if (!next_is(p, CR_JSON_OBJECT, "an object with dtype, shape and data_offsets", err))
    return false;
  for (;;) {
    if (!next(p, err)) return false;
    if (p->token.kind == CR_JSON_OBJECT_END) break;
    int key = token_is(p, "dtype") ? HAS_DTYPE : token_is(p, "shape") ? HAS_SHAPE
            : token_is(p, "data_offsets") ? HAS_OFFSETS : 0;
    if (key == 0 || (seen & key) != 0)
      return cr_json_fail(&p->r, p->token.at, err,
                          "expected dtype, shape and data_offsets once each");
    seen |= key;
    if (key == HAS_DTYPE && !dtype(p, &t.element, err)) return false;
    if (key == HAS_SHAPE && !numbers(p, CR_MAX_DIMS, &t.ndim, t.shape, err)) return false;
    if (key == HAS_OFFSETS) {
      if (!numbers(p, 2, &n, offsets, err)) return false;
      if (n != 2 || offsets[0] > offsets[1])
        return cr_json_fail(&p->r, p->token.at, err, "expected data_offsets [begin, end]");
    }
  }
  if (seen != HAS_ALL)
    return cr_json_fail(&p->r, at, err, "expected dtype, shape and data_offsets once each");
  t.begin = (size_t)offsets[0];
  t.end = (size_t)offsets[1];
  if (!cr_element_count(t.element, t.ndim, t.shape, &bytes, err)) return cr_fail_in(err, t.name);
  if (bytes != t.end - t.begin)
    return cr_json_fail(&p->r, at, err,
                        "'%.100s': type and shape ask for %zu bytes, data_offsets for %zu", t.name,
                        bytes, t.end - t.begin);
  p->out->n++;
  return cr_buffer_add(&p->out->tensors, &t, sizeof t) || cr_buffer_ok(&p->out->tensors, err);
}

static int by_place(const void *a, const void *b) {
  const cr_safetensor *x = a, *y = b;
  if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
  return (x->end > y->end) - (x->end < y->end);
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const cr_safetensor *)a)->name, ((const cr_safetensor *)b)->name);
}

static int by_key(const void *a, const void *b) {
  return strcmp(((const cr_text_pair *)a)->key, ((const cr_text_pair *)b)->key);
}

/* offsets without hole or overlap up to the end of the file, and no name twice */
static bool consistent(cr_safetensors *f, size_t data_bytes, cr_error *err) {
  size_t end = 0;
  if (f->n > 1) qsort(f->tensor, f->n, sizeof *f->tensor, by_place);
  for (size_t i = 0; i < f->n; i++) {
    const cr_safetensor *t = &f->tensor[i];
    if (t->begin != end)
      return cr_fail(err, CR_EFORMAT, "'%.100s' begins at byte %zu, expected %zu: %s", t->name,
                     t->begin, end, t->begin > end ? "a hole" : "two tensors overlap");
    end = t->end;
  }
  if (end != data_bytes)
    return cr_fail(err, CR_EFORMAT, "the header asks for %zu bytes of elements, the file has %zu",
                   end, data_bytes);
  if (f->n > 1) qsort(f->tensor, f->n, sizeof *f->tensor, by_name);
  for (size_t i = 1; i < f->n; i++)
    if (by_name(&f->tensor[i - 1], &f->tensor[i]) == 0)
      return cr_fail(err, CR_EFORMAT, "the name '%.100s' twice", f->tensor[i].name);
  if (f->n_metadata > 1) qsort(f->metadata, f->n_metadata, sizeof *f->metadata, by_key);
  for (size_t i = 1; i < f->n_metadata; i++)
    if (by_key(&f->metadata[i - 1], &f->metadata[i]) == 0)
      return cr_fail(err, CR_EFORMAT, "the metadata key '%.100s' twice", f->metadata[i].key);
  return true;
}

static bool header(parser *p, cr_error *err) {
  bool seen_metadata = false;
  if (!next_is(p, CR_JSON_OBJECT, "an object", err)) return false;
  for (;;) {
    if (!next(p, err)) return false;
    if (p->token.kind == CR_JSON_OBJECT_END) return next(p, err);
    bool is_metadata = token_is(p, "__metadata__");
    if (is_metadata && seen_metadata)
      return cr_json_fail(&p->r, p->token.at, err, "__metadata__ twice");
    seen_metadata = seen_metadata || is_metadata;
    if (!(is_metadata ? metadata(p, err) : tensor(p, err))) return false;
  }
}

static bool parse(const unsigned char *bytes, size_t n, cr_safetensors *out, cr_error *err) {
  if (n < 10) return cr_fail(err, CR_EFORMAT, "%zu bytes, expected a length and a header", n);
  uint64_t length = cr_read_u64(bytes);
  if (length > HEADER_BYTES)
    return cr_fail(err, CR_EFORMAT, "a header of %llu bytes, at most %d expected",
                   (unsigned long long)length, HEADER_BYTES);
  if (length > n - 8)
    return cr_fail(err, CR_EFORMAT,
                   "the file ends inside its header: %llu bytes expected, %zu left",
                   (unsigned long long)length, n - 8);
  if (length < 2 || bytes[8] != '{')
    return cr_fail(err, CR_EFORMAT, "expected a header that begins with '{'");
  if (!cr_buffer_reserve(&out->texts, (size_t)length)) return cr_buffer_ok(&out->texts, err);

  parser p = { .r = cr_json_read(bytes + 8, (size_t)length), .out = out };
  if (!header(&p, err)) return cr_fail_in(err, "header");
  out->tensor = (cr_safetensor *)(void *)out->tensors.data;
  out->metadata = (cr_text_pair *)(void *)out->pairs.data;
  out->data = bytes + 8 + length;
  return consistent(out, n - 8 - (size_t)length, err);
}

bool cr_safetensors_read(const void *bytes, size_t n, cr_safetensors *out, cr_error *err) {
  *out = (cr_safetensors){ 0 };
  if (parse(bytes, n, out, err)) return true;
  cr_safetensors_clear(out);
  return cr_fail_in(err, "not a safetensors file");
}

cr_tensor *cr_safetensors_tensor(const cr_safetensors *file, size_t i, cr_error *err) {
  const cr_safetensor *t = &file->tensor[i];
  return cr_element_tensor(t->element, t->ndim, t->shape, file->data + t->begin, err);
}

void cr_safetensors_clear(cr_safetensors *file) {
  cr_buffer_clear(&file->texts);
  cr_buffer_clear(&file->tensors);
  cr_buffer_clear(&file->pairs);
  *file = (cr_safetensors){ 0 };
}

/* WRITING */

/* wide elements first, so that each tensor lies on a border of its own element; then by name */
static int by_width_and_name(const void *a, const void *b) {
  const cr_named_tensor *x = a, *y = b;
  size_t wx = cr_dtype_size(x->tensor->dtype), wy = cr_dtype_size(y->tensor->dtype);
  return wx != wy ? (wx > wy ? -1 : 1) : strcmp(x->name, y->name);
}

static size_t byte_count(const cr_tensor *t) {
  return (size_t)cr_tensor_numel(t) * cr_dtype_size(t->dtype);
}

static bool add_header(cr_named_tensor *item, size_t n, cr_text_pair *pair, size_t n_pairs,
                       cr_buffer *out, cr_error *err) {
  size_t begin = 0;
  bool ok = true;
  cr_buffer_add_byte(out, '{');
  if (n_pairs > 0) cr_buffer_add_text(out, "\"__metadata__\":{");
  for (size_t i = 0; i < n_pairs && ok; i++) {
    if (i > 0) cr_buffer_add_byte(out, ',');
    ok = cr_json_add_string(out, pair[i].key, strlen(pair[i].key), err);
    cr_buffer_add_byte(out, ':');
    ok = ok && cr_json_add_string(out, pair[i].value, strlen(pair[i].value), err);
  }
  if (n_pairs > 0) cr_buffer_add_byte(out, '}');
  for (size_t i = 0; i < n && ok; i++) {
    const cr_tensor *t = item[i].tensor;
    if (i > 0 || n_pairs > 0) cr_buffer_add_byte(out, ',');
    ok = cr_json_add_string(out, item[i].name, strlen(item[i].name), err);
    cr_buffer_add_text(out, ":{\"dtype\":\"");
    cr_buffer_add_text(out, cr_element_table[cr_element_of(t->dtype)].safetensors);
    cr_buffer_add_text(out, "\",\"shape\":[");
    for (int d = 0; d < t->ndim; d++) {
      if (d > 0) cr_buffer_add_byte(out, ',');
      cr_json_add_integer(out, t->shape[d]);
    }
    cr_buffer_add_text(out, "],\"data_offsets\":[");
    cr_json_add_integer(out, (int64_t)begin);
    begin += byte_count(t);
    cr_buffer_add_byte(out, ',');
    cr_json_add_integer(out, (int64_t)begin);
    cr_buffer_add_text(out, "]}");
  }
  cr_buffer_add_byte(out, '}');
  return ok && cr_buffer_ok(out, err);
}

bool cr_safetensors_write(cr_named_tensor *item, size_t n, cr_text_pair *metadata,
                          size_t n_metadata, cr_buffer *out, cr_error *err) {
  size_t start = out->n, total = 0;
  if (n > MANY_TENSORS)
    return cr_fail(err, CR_EVALUE, "%zu tensors, at most %d expected", n, MANY_TENSORS);
  if (n > 1) qsort(item, n, sizeof *item, by_width_and_name);
  if (n_metadata > 1) qsort(metadata, n_metadata, sizeof *metadata, by_key);
  for (size_t i = 0; i < n; i++) {
    total += byte_count(item[i].tensor);
    if (strcmp(item[i].name, "__metadata__") == 0)
      return cr_fail(err, CR_EVALUE, "a tensor cannot have the name '__metadata__'");
  }

  cr_buffer_add_u64(out, 0);
  if (!add_header(item, n, metadata, n_metadata, out, err)) return false;
  size_t length = out->n - start - 8, padding = (8 - length % 8) % 8;
  cr_buffer_reserve(out, padding + total);
  cr_buffer_fill(out, ' ', padding);
  length += padding;
  for (int i = 0; i < 8 && cr_buffer_ok(out, NULL); i++)
    out->data[start + (size_t)i] = (unsigned char)(length >> (8 * i));
  for (size_t i = 0; i < n; i++) {
    cr_tensor *t = cr_tensor_contiguous(item[i].tensor, err);
    if (t == NULL) return false;
    cr_buffer_add(out, t->storage->data + (size_t)t->offset * cr_dtype_size(t->dtype),
                  byte_count(t));
    cr_tensor_release(t);
  }
  return cr_buffer_ok(out, err);
}
