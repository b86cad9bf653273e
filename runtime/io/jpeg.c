/* jpeg.c - see jpeg.h
 *
 * The slow exact inverse transform and smooth upsampling are asked for, so that pixels do not
 * depend on the library's fast paths. A warning (data cut short or damaged) is an error, and so is
 * a file with more scans than a progressive image needs, which would take minutes to decode. A
 * block of 8 x 8 pixels takes some bits at least: sizes the file cannot hold are refused before
 * pixels are allocated. */
#include "io/jpeg.h"

#include <string.h>
#include <turbojpeg.h>
#include "base/memory.h"
#include "io/image.h"

enum { PIXELS_A_BYTE = 2048 };                /* of a flat grey image: 2 bits a block of 64 */

static bool refuse(const char *why, cr_error *err) {
  return cr_fail(err, CR_EFORMAT, "JPEG: %s", why);
}

static bool read_header(tjhandle jpeg, const unsigned char *bytes, size_t n, int64_t max_pixels,
                        cr_jpeg_size *size, cr_error *err) {
  int width, height, sampling, space;
  if (n < 3 || bytes[0] != 0xff || bytes[1] != 0xd8 || bytes[2] != 0xff)
    return cr_fail(err, CR_EFORMAT, "not a JPEG file: expected the bytes ff d8 ff at its start");
  if (jpeg == NULL) return cr_fail(err, CR_EMEMORY, "JPEG: no memory for the decoder");
  if (tjDecompressHeader3(jpeg, bytes, n, &width, &height, &sampling, &space) != 0)
    return refuse(tjGetErrorStr2(jpeg), err);
  if (!cr_image_size("JPEG", (uint64_t)width, (uint64_t)height, max_pixels, err)) return false;
  if (space == TJCS_CMYK || space == TJCS_YCCK)
    return refuse("four colours of ink (CMYK); expected grey or colour", err);
  if ((size_t)width * (size_t)height / PIXELS_A_BYTE > n)
    return refuse("the file is too short for its size", err);
  *size = (cr_jpeg_size){ space == TJCS_GRAY ? 1 : 3, height, width };
  return true;
}

static bool decode(tjhandle jpeg, const unsigned char *bytes, size_t n, const cr_jpeg_size *size,
                   uint8_t *pixels, cr_error *err) {
  int flags = TJFLAG_ACCURATEDCT | TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS;
  int format = size->channels == 1 ? TJPF_GRAY : TJPF_RGB;
  return tjDecompress2(jpeg, bytes, n, pixels, (int)size->width, 0, (int)size->height, format,
                       flags) == 0
      || refuse(tjGetErrorStr2(jpeg), err);
}

bool cr_jpeg_pixels(const void *bytes, size_t n, int64_t max_pixels, uint8_t *pixels,
                    cr_jpeg_size *size, cr_error *err) {
  tjhandle jpeg = tjInitDecompress();
  bool ok = read_header(jpeg, bytes, n, max_pixels, size, err)
         && decode(jpeg, bytes, n, size, pixels, err);
  if (jpeg != NULL) tjDestroy(jpeg);
  return ok;
}

static cr_tensor *read_tensor(tjhandle jpeg, const unsigned char *bytes, size_t n,
                              int64_t max_pixels, cr_error *err) {
  cr_jpeg_size size = { 0 };
  if (!read_header(jpeg, bytes, n, max_pixels, &size, err)) return NULL;
  cr_tensor *t = cr_tensor_new(CR_BYTE, 3, (int64_t[]){ size.channels, size.height, size.width },
                               err);
  if (t == NULL) return NULL;
  int64_t count = size.height * size.width;
  uint8_t *pixels = size.channels == 1 ? cr_bytes(t) : cr_alloc((size_t)count * 3, err);
  bool ok = pixels != NULL && decode(jpeg, bytes, n, &size, pixels, err);
  if (ok && size.channels == 3) cr_image_split(pixels, count, 3, cr_bytes(t));
  if (size.channels == 3) cr_free(pixels);
  if (ok) return t;
  cr_tensor_release(t);
  return NULL;
}

cr_tensor *cr_jpeg_read(const void *bytes, size_t n, int64_t max_pixels, cr_error *err) {
  tjhandle jpeg = tjInitDecompress();
  cr_tensor *t = read_tensor(jpeg, bytes, n, max_pixels, err);
  if (jpeg != NULL) tjDestroy(jpeg);
  return t;
}
