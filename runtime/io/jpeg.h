/* jpeg.h - JPEG photographs, by libjpeg-turbo */
#ifndef CR_IO_JPEG_H
#define CR_IO_JPEG_H

#include "tensor/tensor.h"

/* uint8 [1 H W] of a grey file, [3 H W] of a colour one. The orientation that a camera noted (EXIF)
 * and colour profiles are ignored. max_pixels bounds H * W. */
cr_tensor *cr_jpeg_read(const void *bytes, size_t n, int64_t max_pixels, cr_error *err);

/* The same as samples side by side (R G B R G B ...) in memory for 3 * max_pixels bytes. Allocates
 * nothing of the engine's, so any thread may call it. */
typedef struct cr_jpeg_size { int64_t channels, height, width; } cr_jpeg_size;
bool cr_jpeg_pixels(const void *bytes, size_t n, int64_t max_pixels, uint8_t *pixels,
                    cr_jpeg_size *size, cr_error *err);

#endif
