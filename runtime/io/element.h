/* element.h - numbers as files hold them, and as tensors do
 *
 * npy and safetensors name the same little-endian types differently. This is their common table,
 * the one place that works out byte counts from a header, and the conversion: floats become real
 * (F64 rounds in a float build), integers int64, U8 and BOOL uint8. Unsigned 64-bit integers have
 * no tensor type and are left out. */
#ifndef CR_IO_ELEMENT_H
#define CR_IO_ELEMENT_H

#include "tensor/tensor.h"

typedef enum {
  CR_F16, CR_BF16, CR_F32, CR_F64, CR_I8, CR_I16, CR_I32, CR_I64, CR_U8, CR_U16, CR_U32, CR_BOOL,
  CR_ELEMENTS
} cr_element;

typedef struct cr_element_info {
  const char *safetensors, *npy;      /* NULL where the format has no such type */
  size_t bytes;
  cr_dtype dtype;
} cr_element_info;

extern const cr_element_info cr_element_table[CR_ELEMENTS];

/* What a tensor is written as. */
cr_element cr_element_of(cr_dtype dtype);

/* Bytes of a shape from a header. Refuses negative sizes, more than CR_MAX_DIMS, and sizes whose
 * product does not fit even where another size is 0. */
bool cr_element_count(cr_element element, int ndim, const int64_t *shape, size_t *bytes,
                      cr_error *err);

/* A tensor from packed elements in row-major order. The bytes must be cr_element_count's. */
cr_tensor *cr_element_tensor(cr_element element, int ndim, const int64_t *shape,
                             const unsigned char *data, cr_error *err);

#endif
