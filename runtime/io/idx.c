/* idx.c - IDX arrays
 *
 *   0  0  type  dimensions   size of each, 4 bytes   elements, row-major      (all big-endian)
 *
 * type: 08 uint8, 09 int8, 0b int16, 0c int32, 0d float32, 0e float64.
 * yann.lecun.com/exdb/mnist. The elements are turned round into the little-endian ones of
 * element.h, which knows how they become a tensor. */
#include "io/idx.h"

#include "base/memory.h"
#include "io/element.h"

static bool element_of(unsigned type, cr_element *element) {
  switch (type) {
  case 0x08: *element = CR_U8; return true;
  case 0x09: *element = CR_I8; return true;
  case 0x0b: *element = CR_I16; return true;
  case 0x0c: *element = CR_I32; return true;
  case 0x0d: *element = CR_F32; return true;
  case 0x0e: *element = CR_F64; return true;
  default: return false;
  }
}

cr_tensor *cr_idx_read(const void *bytes, size_t n, cr_error *err) {
  const unsigned char *p = bytes;
  cr_element element;
  int64_t shape[CR_MAX_DIMS];
  size_t want;
  if (n < 4 || p[0] != 0 || p[1] != 0 || !element_of(p[2], &element))
    return cr_fail(err, CR_EFORMAT, "not an IDX file: expected 00 00, a type and the number of "
                   "dimensions at its start"), NULL;
  int ndim = p[3];
  if (ndim < 1 || ndim > CR_MAX_DIMS)
    return cr_fail(err, CR_EFORMAT, "IDX: %d dimensions, expected 1 to %d", ndim, CR_MAX_DIMS),
           NULL;
  size_t head = 4 + 4 * (size_t)ndim;
  if (n < head)
    return cr_fail(err, CR_EFORMAT, "IDX: the file is cut short in its sizes"), NULL;
  for (int i = 0; i < ndim; i++) {
    const unsigned char *q = p + 4 + 4 * i;
    shape[i] = (int64_t)q[0] << 24 | q[1] << 16 | q[2] << 8 | q[3];
  }
  if (!cr_element_count(element, ndim, shape, &want, err)) return NULL;
  if (want != n - head) {
    char text[CR_SHAPE_TEXT];
    return cr_fail(err, CR_EFORMAT, "IDX: shape %s needs %zu bytes, the file has %zu",
                   cr_shape_text(ndim, shape, text), want, n - head), NULL;
  }
  size_t size = cr_element_table[element].bytes;
  if (size == 1) return cr_element_tensor(element, ndim, shape, p + head, err);
  unsigned char *turned = cr_alloc(want, err);
  if (turned == NULL) return NULL;
  for (size_t i = 0; i < want; i++) turned[i] = p[head + i / size * size + (size - 1 - i % size)];
  cr_tensor *t = cr_element_tensor(element, ndim, shape, turned, err);
  cr_free(turned);
  return t;
}
