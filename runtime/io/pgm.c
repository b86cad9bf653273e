/* pgm.c - the portable grey and colour maps
 *
 *   P2 | P3 | P5 | P6   width   height   maxval   one blank   samples
 *
 * P2, P3: samples as decimal text; P5, P6: one byte each, two (big-endian) when maxval > 255. A '#'
 * starts a comment that ends with its line. Samples are scaled to 0..255, rounded. Bytes behind the
 * last sample are allowed: a file may hold several images, and the first is read.
 * netpbm.sourceforge.net/doc/pgm.html */
#include "io/pgm.h"

#include <stdio.h>
#include <string.h>
#include "base/memory.h"
#include "io/image.h"

typedef struct text { const unsigned char *at, *end; } text;

static bool number(text *s, const char *name, uint32_t *out, cr_error *err) {
  uint32_t value = 0;
  for (; s->at < s->end; s->at++) {
    if (*s->at == '#') while (s->at + 1 < s->end && *s->at != '\n' && *s->at != '\r') s->at++;
    else if (*s->at != ' ' && (*s->at < '\t' || *s->at > '\r')) break;
  }
  if (s->at == s->end) return cr_fail(err, CR_EFORMAT, "PGM: expected %s, but the file ends", name);
  if (*s->at < '0' || *s->at > '9')
    return cr_fail(err, CR_EFORMAT, "PGM: expected %s, got byte 0x%02x", name, *s->at);
  for (; s->at < s->end && *s->at >= '0' && *s->at <= '9'; s->at++) {
    if (value > 99999999) return cr_fail(err, CR_EFORMAT, "PGM: %s has too many digits", name);
    value = value * 10 + (uint32_t)(*s->at - '0');
  }
  *out = value;
  return true;
}

/* all samples into pixels, as they come */
static bool samples(text *s, bool plain, uint32_t maxval, size_t n, uint8_t *pixels,
                    cr_error *err) {
  size_t wide = maxval > 255 ? 2 : 1;
  for (size_t i = 0; i < n; i++) {
    uint32_t value = 0;
    if (plain && !number(s, "a sample", &value, err)) return false;
    if (!plain)
      for (size_t k = 0; k < wide; k++) value = value << 8 | *s->at++;
    if (value > maxval)
      return cr_fail(err, CR_EFORMAT, "PGM: sample %zu is %u, at most %u expected", i + 1, value,
                     maxval);
    pixels[i] = (uint8_t)(maxval == 255 ? value : (value * 255 + maxval / 2) / maxval);
  }
  return true;
}

cr_tensor *cr_pgm_read(const void *bytes, size_t n, int64_t max_pixels, cr_error *err) {
  text s = { bytes, (const unsigned char *)bytes + n };
  uint32_t width, height, maxval;
  char kind = n > 2 && s.at[0] == 'P' ? (char)s.at[1] : '\0';
  if (kind != '2' && kind != '3' && kind != '5' && kind != '6')
    return cr_fail(err, CR_EFORMAT,
                   "not a PGM or PPM file: expected P2, P3, P5 or P6 at its start"),
           NULL;
  bool plain = kind < '5';
  int64_t channels = kind == '3' || kind == '6' ? 3 : 1;
  s.at += 2;
  if (!number(&s, "the width", &width, err) || !number(&s, "the height", &height, err)
      || !number(&s, "the largest value", &maxval, err)) return NULL;
  if (!cr_image_size("PGM", width, height, max_pixels, err)) return NULL;
  if (maxval < 1 || maxval > 65535)
    return cr_fail(err, CR_EFORMAT, "PGM: largest value %u, expected 1 to 65535", maxval), NULL;
  if (s.at == s.end || (*s.at != ' ' && (*s.at < '\t' || *s.at > '\r')))
    return cr_fail(err, CR_EFORMAT, "PGM: expected a blank behind the largest value"), NULL;
  s.at++;

  /* in text, a sample takes a digit and a blank: the file must be long enough before memory is
   * asked for */
  size_t count = (size_t)width * height * (size_t)channels, there = (size_t)(s.end - s.at);
  size_t least = plain ? 2 * count - 1 : count * (maxval > 255 ? 2 : 1);
  if (there < least)
    return cr_fail(err, CR_EFORMAT, "PGM: %u x %u pixels need %zu bytes, the file has %zu more",
                   width, height, least, there), NULL;

  int64_t shape[3] = { channels, height, width };
  cr_tensor *t = cr_tensor_new(CR_BYTE, 3, shape, err);
  uint8_t *pixels = t == NULL ? NULL : channels == 1 ? cr_bytes(t) : cr_alloc(count, err);
  bool ok = pixels != NULL && samples(&s, plain, maxval, count, pixels, err);
  if (ok && channels > 1) cr_image_split(pixels, shape[1] * shape[2], channels, cr_bytes(t));
  if (t != NULL && channels > 1) cr_free(pixels);
  if (ok) return t;
  cr_tensor_release(t);
  return NULL;
}

bool cr_pgm_write(cr_tensor *image, cr_buffer *out, cr_error *err) {
  int64_t channels, height, width;
  char head[64];
  cr_tensor *t = cr_image_packed(image, &channels, &height, &width, err);
  if (t == NULL) return false;
  snprintf(head, sizeof head, "P%c\n%lld %lld\n255\n", channels == 1 ? '5' : '6', (long long)width,
           (long long)height);
  size_t n = (size_t)(channels * height * width);
  cr_buffer_add_text(out, head);
  if (cr_buffer_reserve(out, n)) {
    cr_image_join(cr_bytes(t), height * width, channels, 0, height * width, out->data + out->n);
    out->n += n;
  }
  cr_tensor_release(t);
  return cr_buffer_ok(out, err);
}
