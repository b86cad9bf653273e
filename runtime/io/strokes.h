/* strokes.h - pen strokes as Omniglot has them */
#ifndef CR_IO_STROKES_H
#define CR_IO_STROKES_H

#include "tensor/tensor.h"

/* real [T 4]: x, y (downwards, as in the image), seconds, and 1 where a stroke begins, else 0. */
cr_tensor *cr_strokes_read(const void *bytes, size_t n, cr_error *err);

#endif
