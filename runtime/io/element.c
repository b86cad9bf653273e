/* element.c - see element.h */
#include "io/element.h"

#include <math.h>
#include <string.h>
#include "base/memory.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "files and memory are taken to be little-endian"
#endif

const cr_element_info cr_element_table[CR_ELEMENTS] = {
  [CR_F16]  = { "F16",  "<f2", 2, CR_REAL },
  [CR_BF16] = { "BF16", NULL,  2, CR_REAL },
  [CR_F32]  = { "F32",  "<f4", 4, CR_REAL },
  [CR_F64]  = { "F64",  "<f8", 8, CR_REAL },
  [CR_I8]   = { "I8",   "|i1", 1, CR_INT },
  [CR_I16]  = { "I16",  "<i2", 2, CR_INT },
  [CR_I32]  = { "I32",  "<i4", 4, CR_INT },
  [CR_I64]  = { "I64",  "<i8", 8, CR_INT },
  [CR_U8]   = { "U8",   "|u1", 1, CR_BYTE },
  [CR_U16]  = { "U16",  "<u2", 2, CR_INT },
  [CR_U32]  = { "U32",  "<u4", 4, CR_INT },
  [CR_BOOL] = { "BOOL", "|b1", 1, CR_BYTE }
};

cr_element cr_element_of(cr_dtype dtype) {
  if (dtype == CR_INT) return CR_I64;
  if (dtype == CR_BYTE) return CR_U8;
  return sizeof(real) == 4 ? CR_F32 : CR_F64;
}

bool cr_element_count(cr_element element, int ndim, const int64_t *shape, size_t *bytes,
                      cr_error *err) {
  bool empty = false;
  size_t widest =
      sizeof(double); /* a shape that fits as one type fits as all, so it can be written again */
  if (ndim < 0 || ndim > CR_MAX_DIMS)
    return cr_fail(err, CR_EFORMAT, "%d dimensions, at most %d expected", ndim, CR_MAX_DIMS);
  for (int d = 0; d < ndim; d++) {
    if (shape[d] < 0)
      return cr_fail(err, CR_EFORMAT, "a negative size in the shape: %lld", (long long)shape[d]);
    if (shape[d] == 0) empty = true;
    else if (!cr_size_mul(widest, (size_t)shape[d], &widest) || widest > INT64_MAX)
      return cr_fail(err, CR_EFORMAT, "a shape of more bytes than memory can have");
  }
  *bytes = empty ? 0 : widest / sizeof(double) * cr_element_table[element].bytes;
  return true;
}

/* IEEE 754 binary16: sign, 5 bits of exponent, 10 of fraction */
static float half(uint16_t h) {
  int exponent = h >> 10 & 31, fraction = h & 1023;
  float value = exponent == 31 ? (fraction != 0 ? NAN : INFINITY)
              : exponent == 0 ? ldexpf((float)fraction, -24)
              : ldexpf((float)(fraction | 1024), exponent - 25);
  return (h & 0x8000) != 0 ? -value : value;
}

static float upper_half(uint16_t h) {
  uint32_t bits = (uint32_t)h << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* the i-th element; data need not be aligned */
static double real_at(cr_element element, const unsigned char *data, int64_t i) {
  uint16_t h;
  float f;
  double d;
  switch (element) {
  case CR_F16:  memcpy(&h, data + 2 * i, 2); return (double)half(h);
  case CR_BF16: memcpy(&h, data + 2 * i, 2); return (double)upper_half(h);
  case CR_F32:  memcpy(&f, data + 4 * i, 4); return (double)f;
  default:      memcpy(&d, data + 8 * i, 8); return d;
  }
}

static int64_t integer_at(cr_element element, const unsigned char *data, int64_t i) {
  uint16_t h;
  uint32_t w;
  int64_t l;
  switch (element) {
  case CR_I8:  return (int8_t)data[i];
  case CR_I16: memcpy(&h, data + 2 * i, 2); return (int16_t)h;
  case CR_U16: memcpy(&h, data + 2 * i, 2); return h;
  case CR_I32: memcpy(&w, data + 4 * i, 4); return (int32_t)w;
  case CR_U32: memcpy(&w, data + 4 * i, 4); return w;
  default:     memcpy(&l, data + 8 * i, 8); return l;
  }
}

cr_tensor *cr_element_tensor(cr_element element, int ndim, const int64_t *shape,
                             const unsigned char *data, cr_error *err) {
  const cr_element_info *info = &cr_element_table[element];
  cr_tensor *t = cr_tensor_new(info->dtype, ndim, shape, err);
  if (t == NULL) return NULL;
  int64_t n = cr_tensor_numel(t);
  if (n == 0) return t;
  if (element == CR_BOOL) {
    uint8_t *out = cr_bytes(t);
    for (int64_t i = 0; i < n; i++) out[i] = data[i] != 0;
  } else if (element == cr_element_of(info->dtype)) {
    memcpy(t->storage->data, data, (size_t)n * info->bytes);
  } else if (info->dtype == CR_INT) {
    int64_t *out = cr_ints(t);
    for (int64_t i = 0; i < n; i++) out[i] = integer_at(element, data, i);
  } else {
    real *out = cr_reals(t);
    for (int64_t i = 0; i < n; i++) out[i] = (real)real_at(element, data, i);
  }
  return t;
}
