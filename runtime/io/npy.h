/* npy.h - numpy arrays, one a file (.npy, versions 1.0 to 3.0) */
#ifndef CR_IO_NPY_H
#define CR_IO_NPY_H

#include "io/buffer.h"
#include "tensor/tensor.h"

cr_tensor *cr_npy_read(const void *bytes, size_t n, cr_error *err);
/* Version 1.0, '<f4' or '<f8', '<i8' or '|u1', row-major, data on a border of 64 bytes. */
bool cr_npy_write(cr_tensor *t, cr_buffer *out, cr_error *err);

#endif
