/* pgm.h - the portable grey and colour maps (.pgm P2 P5, .ppm P3 P6) */
#ifndef CR_IO_PGM_H
#define CR_IO_PGM_H

#include "io/buffer.h"
#include "tensor/tensor.h"

/* uint8 [C H W] with C = 1 or 3. max_pixels bounds H * W. */
cr_tensor *cr_pgm_read(const void *bytes, size_t n, int64_t max_pixels, cr_error *err);
/* uint8 [H W] or [1 H W] as P5, [3 H W] as P6. */
bool cr_pgm_write(cr_tensor *image, cr_buffer *out, cr_error *err);

#endif
