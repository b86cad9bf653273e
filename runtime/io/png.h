/* png.h - Portable Network Graphics, by libpng, with limits that hold */
#ifndef CR_IO_PNG_H
#define CR_IO_PNG_H

#include "io/buffer.h"
#include "tensor/tensor.h"

/* uint8 [1 H W] of a grey file, [3 H W] of a colour or palette one. Alpha is dropped, 16 bits
 * become 8, gamma and colour profiles are ignored. max_pixels bounds H * W. */
cr_tensor *cr_png_read(const void *bytes, size_t n, int64_t max_pixels, cr_error *err);
/* uint8 [H W] or [1 H W] as grey, [3 H W] as colour. The same pixels give the same bytes. */
bool cr_png_write(cr_tensor *image, cr_buffer *out, cr_error *err);

#endif
