/* safetensors.h - named tensors in one file, without code: what checkpoints are kept in */
#ifndef CR_IO_SAFETENSORS_H
#define CR_IO_SAFETENSORS_H

#include "io/buffer.h"
#include "io/element.h"
#include "tensor/tensor.h"

typedef struct cr_safetensor {
  const char *name;
  cr_element element;
  int ndim;
  int64_t shape[CR_MAX_DIMS];
  size_t begin, end;                  /* of its elements, from the start of `data` */
} cr_safetensor;

typedef struct cr_text_pair { const char *key, *value; } cr_text_pair;

/* What a file says of itself. Borrows the file's bytes, owns the rest; end it with
 * cr_safetensors_clear. */
typedef struct cr_safetensors {
  size_t n, n_metadata;
  cr_safetensor *tensor;              /* by name */
  cr_text_pair *metadata;             /* by key */
  const unsigned char *data;
  cr_buffer texts, tensors, pairs;    /* where those lie */
} cr_safetensors;

bool cr_safetensors_read(const void *bytes, size_t n, cr_safetensors *out, cr_error *err);
cr_tensor *cr_safetensors_tensor(const cr_safetensors *file, size_t i, cr_error *err);
void cr_safetensors_clear(cr_safetensors *file);

/* F32 or F64 (as the engine is built), I64 and U8. Sorts items and metadata. The same content gives
 * the same bytes. */
typedef struct cr_named_tensor { const char *name; cr_tensor *tensor; } cr_named_tensor;
bool cr_safetensors_write(cr_named_tensor *item, size_t n, cr_text_pair *metadata,
                          size_t n_metadata, cr_buffer *out, cr_error *err);

#endif
