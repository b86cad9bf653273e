/* npy.c - numpy arrays, one a file
 *
 *   "\x93NUMPY"  major minor  length of the header (2 bytes in version 1, 4 in 2 and 3)  header
 * elements header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"  blanks  "\n"
 *
 * The header is a Python literal. numpy evaluates it; here a grammar reads just such a dict, in any
 * order, up to 10,000 bytes (numpy's own limit). Types outside element.h are refused, `object`
 * above all: that one is a pickle. The file must end with the last element. Format:
 * numpy.lib.format. */
#include "io/npy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "io/element.h"

enum { HEADER_BYTES = 10000, MANY_DIMS = 64 };

typedef struct header {
  const char *at, *end;         /* the reader's place */
  char descr[32];
  bool fortran;
  int ndim;                     /* may exceed CR_MAX_DIMS: then shape holds the first ones */
  int64_t shape[CR_MAX_DIMS];
  bool has_descr, has_order, has_shape;
} header;

static void blanks(header *h) {
  while (h->at < h->end && (*h->at == ' ' || *h->at == '\t' || *h->at == '\n' || *h->at == '\r'))
    h->at++;
}

/* takes the text when it comes next */
static bool take(header *h, const char *text) {
  size_t n = strlen(text);
  blanks(h);
  if ((size_t)(h->end - h->at) < n || memcmp(h->at, text, n) != 0) return false;
  h->at += n;
  return true;
}

static bool bad(const header *h, const char *expected, cr_error *err) {
  char seen[17] = "";
  for (int i = 0; i < 16 && h->at + i < h->end; i++) {
    char c = h->at[i];
    seen[i] = c;
    if (c < 0x20 || c > 0x7e) seen[i] = '?';
  }
  return cr_fail(err, CR_EFORMAT, "not a npy file: expected %s in the header, got %s%s", expected,
                 seen[0] != '\0' ? seen : "its end", h->end - h->at > 16 ? "..." : "");
}

static bool text(header *h, char *out, size_t room, cr_error *err) {
  blanks(h);
  char quote = h->at < h->end ? *h->at : '\0';
  if (quote != '\'' && quote != '"') return bad(h, "a text in quotes", err);
  const char *from = h->at + 1, *close = memchr(from, quote, (size_t)(h->end - from));
  if (close == NULL || (size_t)(close - from) >= room ||
      memchr(from, '\\', (size_t)(close - from)) != NULL ||
      memchr(from, '\0', (size_t)(close - from)) != NULL)
    return bad(h, "a short text in quotes", err);
  memcpy(out, from, (size_t)(close - from));
  out[close - from] = '\0';
  h->at = close + 1;
  return true;
}

static bool size(header *h, int64_t *out, cr_error *err) {
  int64_t value = 0;
  blanks(h);
  if (h->at == h->end || *h->at < '0' || *h->at > '9')
    return bad(h, "a size that is 0 or more", err);
  for (; h->at < h->end && *h->at >= '0' && *h->at <= '9'; h->at++)
    if (__builtin_mul_overflow(value, 10, &value) ||
        __builtin_add_overflow(value, *h->at - '0', &value))
      return cr_fail(err, CR_EFORMAT, "npy: a size in the shape is past the range of an int64");
  if (h->at < h->end && *h->at == 'L') h->at++;      /* Python 2 wrote long integers so */
  *out = value;
  return true;
}

static bool tuple(header *h, cr_error *err) {
  int64_t value = 0;
  if (!take(h, "(")) return bad(h, "a shape such as (2, 3)", err);
  while (!take(h, ")")) {
    if (h->ndim == MANY_DIMS)
      return cr_fail(err, CR_EFORMAT, "npy: more than %d dimensions", MANY_DIMS);
    if (!size(h, &value, err)) return false;
    if (h->ndim < CR_MAX_DIMS) h->shape[h->ndim] = value;
    h->ndim++;
    if (take(h, ",")) continue;
    if (h->ndim == 1) return bad(h, "',' behind the only size of a shape", err);
    if (!take(h, ")")) return bad(h, "',' or ')' in the shape", err);
    break;
  }
  return true;
}

static bool entry(header *h, cr_error *err) {
  char key[16];
  bool *seen;
  if (!text(h, key, sizeof key, err)) return false;
  if (!take(h, ":")) return bad(h, "':'", err);
  if (strcmp(key, "descr") == 0) {
    seen = &h->has_descr;
    blanks(h);
    if (h->at < h->end && *h->at == '[')
      return cr_fail(err, CR_EFORMAT, "npy: a structured type; expected plain numbers");
    if (!text(h, h->descr, sizeof h->descr, err)) return false;
  } else if (strcmp(key, "fortran_order") == 0) {
    seen = &h->has_order;
    h->fortran = take(h, "True");
    if (!h->fortran && !take(h, "False")) return bad(h, "True or False", err);
  } else if (strcmp(key, "shape") == 0) {
    seen = &h->has_shape;
    if (!*seen && !tuple(h, err)) return false;
  } else {
    return cr_fail(err, CR_EFORMAT, "npy: unknown key '%s' in the header", key);
  }
  if (*seen) return cr_fail(err, CR_EFORMAT, "npy: key '%s' twice in the header", key);
  return *seen = true;
}

static bool parse(header *h, cr_error *err) {
  if (!take(h, "{")) return bad(h, "'{'", err);
  while (!take(h, "}")) {
    if (!entry(h, err)) return false;
    if (take(h, ",")) continue;
    if (!take(h, "}")) return bad(h, "',' or '}'", err);
    break;
  }
  blanks(h);
  if (h->at != h->end) return bad(h, "nothing behind the '}'", err);
  if (!h->has_descr || !h->has_order || !h->has_shape)
    return cr_fail(err, CR_EFORMAT, "npy: the header lacks %s",
                   !h->has_descr ? "'descr'" : !h->has_order ? "'fortran_order'" : "'shape'");
  return true;
}

static bool element_named(const char *name, cr_element *out, cr_error *err) {
  for (int e = 0; e < CR_ELEMENTS; e++) {
    const char *npy = cr_element_table[e].npy;
    /* one byte has no order: numpy writes '|', others '<' or '=' */
    bool order = npy != NULL && (npy[0] == name[0] || (npy[0] == '|' && name[0] == '<'));
    if (!order || strcmp(npy + 1, name + 1) != 0) continue;
    *out = (cr_element)e;
    return true;
  }
  const char *why = name[0] == '>' ? ": big-endian; save it as little-endian"
                  : strchr(name, 'O') != NULL ? ": Python objects (a pickle) are never read"
                  : strchr(name, 'c') != NULL ? ": complex numbers are not supported" : "";
  return cr_fail(err, CR_EFORMAT,
                 "npy: type '%s'%s; expected one of <f2 <f4 <f8 |i1 <i2 <i4 <i8 |u1 <u2 <u4 |b1",
                 name, why);
}

cr_tensor *cr_npy_read(const void *bytes, size_t n, cr_error *err) {
  const unsigned char *p = bytes;
  if (n < 10 || memcmp(p, "\x93NUMPY", 6) != 0)
    return cr_fail(err, CR_EFORMAT,
                   "not a npy file: it does not begin with \\x93NUMPY and a header"),
           NULL;
  int version = p[6];
  if (version < 1 || version > 3 || p[7] != 0)
    return cr_fail(err, CR_EFORMAT, "npy: version %d.%d, expected 1.0, 2.0 or 3.0", version, p[7]),
           NULL;
  size_t start = version == 1 ? 10 : 12;
  if (n < start) return cr_fail(err, CR_EFORMAT, "npy: the file ends inside its header"), NULL;
  size_t length = version == 1 ? (size_t)(p[8] | p[9] << 8) : cr_read_u32(p + 8);
  if (length > HEADER_BYTES)
    return cr_fail(err, CR_EFORMAT, "npy: a header of %zu bytes, at most %d expected", length,
                   HEADER_BYTES),
           NULL;
  if (length > n - start)
    return cr_fail(err, CR_EFORMAT, "npy: the file ends inside its header"), NULL;

  header h = { .at = (const char *)p + start, .end = (const char *)p + start + length };
  cr_element element = CR_F32;
  size_t wanted, there = n - start - length;
  if (!parse(&h, err) || !element_named(h.descr, &element, err)) return NULL;
  if (!cr_element_count(element, h.ndim, h.shape, &wanted, err))
    return cr_fail_in(err, "npy"), NULL;
  if (wanted != there)
    return cr_fail(err, CR_EFORMAT,
                   "npy: the header asks for %zu bytes of elements, the file has %zu", wanted,
                   there),
           NULL;

  if (h.fortran)
    for (int a = 0, b = h.ndim - 1; a < b; a++, b--) {
      int64_t swap = h.shape[a];
      h.shape[a] = h.shape[b];
      h.shape[b] = swap;
    }
  cr_tensor *t = cr_element_tensor(element, h.ndim, h.shape, p + start + length, err);
  if (t == NULL || !h.fortran || h.ndim < 2) return t;
  /* column-major data is the reversed array in row-major order: turn the view around and pack it */
  for (int a = 0, b = h.ndim - 1; a < b; a++, b--) {
    int64_t shape = t->shape[a], stride = t->stride[a];
    t->shape[a] = t->shape[b], t->stride[a] = t->stride[b];
    t->shape[b] = shape, t->stride[b] = stride;
  }
  cr_tensor *packed = cr_tensor_contiguous(t, err);
  cr_tensor_release(t);
  return packed;
}

bool cr_npy_write(cr_tensor *t, cr_buffer *out, cr_error *err) {
  char head[512];
  const cr_element_info *info = &cr_element_table[cr_element_of(t->dtype)];
  int used =
      snprintf(head, sizeof head, "{'descr': '%s', 'fortran_order': False, 'shape': (", info->npy);
  for (int d = 0; d < t->ndim; d++)
    used += snprintf(head + used, sizeof head - (size_t)used, "%" PRId64 "%s", t->shape[d],
                     d + 1 < t->ndim ? ", " : t->ndim == 1 ? "," : "");
  used += snprintf(head + used, sizeof head - (size_t)used, "), }");
  size_t length = (size_t)used + 1, padding = (64 - (10 + length) % 64) % 64;
  length += padding;

  cr_tensor *packed = cr_tensor_contiguous(t, err);
  if (packed == NULL) return false;
  size_t bytes = (size_t)cr_tensor_numel(packed) * info->bytes;
  cr_buffer_reserve(out, 10 + length + bytes);
  cr_buffer_add(out, "\x93NUMPY\x01\x00", 8);
  cr_buffer_add_byte(out, (unsigned char)length);
  cr_buffer_add_byte(out, (unsigned char)(length >> 8));
  cr_buffer_add(out, head, (size_t)used);
  cr_buffer_fill(out, ' ', padding);
  cr_buffer_add_byte(out, '\n');
  cr_buffer_add(out, packed->storage->data + (size_t)packed->offset * info->bytes, bytes);
  cr_tensor_release(packed);
  return cr_buffer_ok(out, err);
}
