/* jpeg.h - JPEG photographs, by libjpeg-turbo */
#ifndef CR_IO_JPEG_H
#define CR_IO_JPEG_H

#include "tensor/tensor.h"

/* uint8 [1 H W] of a grey file, [3 H W] of a colour one. The orientation that a camera noted (EXIF)
 * and colour profiles are ignored. max_pixels bounds H * W. */
cr_tensor *cr_jpeg_read(const void *bytes, size_t n, int64_t max_pixels, cr_error *err);

#endif
