/* image.c - see image.h */
#include "io/image.h"

bool cr_image_size(const char *format, uint64_t width, uint64_t height, int64_t max_pixels,
                   cr_error *err) {
  if (width == 0 || height == 0)
    return cr_fail(err, CR_EFORMAT, "%s: an image without pixels", format);
  if (width <= (uint64_t)max_pixels && height <= (uint64_t)max_pixels / width) return true;
  return cr_fail(err, CR_EFORMAT, "%s: it claims %llu x %llu pixels, at most %lld in all expected",
                 format, (unsigned long long)width, (unsigned long long)height,
                 (long long)max_pixels);
}

cr_tensor *cr_image_packed(cr_tensor *t, int64_t *channels, int64_t *height, int64_t *width,
                           cr_error *err) {
  char shape[CR_SHAPE_TEXT];
  bool plane = t->ndim == 2, planes = t->ndim == 3 && (t->shape[0] == 1 || t->shape[0] == 3);
  if (t->dtype != CR_BYTE)
    return cr_fail(err, CR_ETYPE, "an image must be uint8, got %s", cr_dtype_name(t->dtype)), NULL;
  if ((!plane && !planes) || cr_tensor_numel(t) == 0)
    return cr_fail(err, CR_ESHAPE,
                   "an image must have shape [H, W], [1, H, W] or [3, H, W], got %s",
                   cr_shape_text(t->ndim, t->shape, shape)),
           NULL;
  *channels = plane ? 1 : t->shape[0];
  *height = t->shape[t->ndim - 2];
  *width = t->shape[t->ndim - 1];
  return cr_tensor_contiguous(t, err);
}

void cr_image_split(const uint8_t *pixels, int64_t count, int64_t channels, uint8_t *planes) {
  for (int64_t c = 0; c < channels; c++)
    for (int64_t i = 0; i < count; i++) planes[c * count + i] = pixels[i * channels + c];
}

void cr_image_join(const uint8_t *planes, int64_t count, int64_t channels, int64_t from, int64_t n,
                   uint8_t *pixels) {
  for (int64_t c = 0; c < channels; c++)
    for (int64_t i = 0; i < n; i++) pixels[i * channels + c] = planes[c * count + from + i];
}
