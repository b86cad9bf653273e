/* idx.h - IDX arrays, the form MNIST comes in */
#ifndef CR_IO_IDX_H
#define CR_IO_IDX_H

#include "tensor/tensor.h"

/* uint8 stays so, signed integers become int64, floats real. The file must have exactly the bytes
 * that its sizes say. */
cr_tensor *cr_idx_read(const void *bytes, size_t n, cr_error *err);

#endif
