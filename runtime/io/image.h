/* image.h - what the image formats share: uint8 [C H W] in memory, pixels after pixels in a file */
#ifndef CR_IO_IMAGE_H
#define CR_IO_IMAGE_H

#include "tensor/tensor.h"

enum { CR_IMAGE_MAX_PIXELS = 64 << 20 };      /* the default: 64 megapixels */

/* false unless 1 <= width * height <= max_pixels; the message begins with the format's name. */
bool cr_image_size(const char *format, uint64_t width, uint64_t height, int64_t max_pixels,
                   cr_error *err);

/* A packed copy (or t itself, retained) of a tensor that is an image, and its sizes; NULL with the
 * reason when it is not. */
cr_tensor *cr_image_packed(cr_tensor *t, int64_t *channels, int64_t *height, int64_t *width,
                           cr_error *err);

/* Rows of `channels` interleaved samples <-> planes. */
void cr_image_split(const uint8_t *pixels, int64_t count, int64_t channels, uint8_t *planes);
void cr_image_join(const uint8_t *planes, int64_t count, int64_t channels, int64_t from, int64_t n,
                   uint8_t *pixels);

#endif
