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

static cr_tensor *refuse(const char *why, cr_error *err) {
  return cr_fail(err, CR_EFORMAT, "JPEG: %s", why), NULL;
}

static cr_tensor *decode(tjhandle jpeg, const unsigned char *bytes, size_t n, int64_t max_pixels,
                         cr_error *err) {
  int width, height, sampling, space;
  if (tjDecompressHeader3(jpeg, bytes, n, &width, &height, &sampling, &space) != 0)
    return refuse(tjGetErrorStr2(jpeg), err);
  if (!cr_image_size("JPEG", (uint64_t)width, (uint64_t)height, max_pixels, err)) return NULL;
  if (space == TJCS_CMYK || space == TJCS_YCCK)
    return refuse("four colours of ink (CMYK); expected grey or colour", err);
  int64_t channels = space == TJCS_GRAY ? 1 : 3, shape[3] = { channels, height, width };
  size_t pixels = (size_t)width * (size_t)height;
  if (pixels / PIXELS_A_BYTE > n) return refuse("the file is too short for its size", err);

  cr_tensor *t = cr_tensor_new(CR_BYTE, 3, shape, err);
  if (t == NULL) return NULL;
  uint8_t *out = channels == 1 ? cr_bytes(t) : cr_alloc(pixels * 3, err);
  int flags = TJFLAG_ACCURATEDCT | TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS;
  int format = channels == 1 ? TJPF_GRAY : TJPF_RGB;
  bool ok = out != NULL;
  if (ok && tjDecompress2(jpeg, bytes, n, out, width, 0, height, format, flags) != 0) {
    refuse(tjGetErrorStr2(jpeg), err);
    ok = false;
  }
  if (ok && channels == 3) cr_image_split(out, (int64_t)pixels, 3, cr_bytes(t));
  if (channels == 3) cr_free(out);
  if (ok) return t;
  cr_tensor_release(t);
  return NULL;
}

cr_tensor *cr_jpeg_read(const void *bytes, size_t n, int64_t max_pixels, cr_error *err) {
  const unsigned char *p = bytes;
  if (n < 3 || p[0] != 0xff || p[1] != 0xd8 || p[2] != 0xff)
    return cr_fail(err, CR_EFORMAT, "not a JPEG file: expected the bytes ff d8 ff at its start"),
           NULL;
  tjhandle jpeg = tjInitDecompress();
  if (jpeg == NULL) return cr_fail(err, CR_EMEMORY, "JPEG: no memory for the decoder"), NULL;
  cr_tensor *t = decode(jpeg, p, n, max_pixels, err);
  tjDestroy(jpeg);
  return t;
}
