/* png_fuzz.c - any bytes as a .png file: an image or an error, and an image survives a round trip. See fuzz.h.
 * Nearly every mutation breaks a checksum and ends there, so each input is also tried with its checksums made good. */
#include "fuzz.h"
#include <zlib.h>
#include "io/png.h"

static uint32_t big_endian(const uint8_t *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

static void repair(uint8_t *data, size_t n) {
  for (size_t at = 8, length; at <= n && n - at >= 12; at += 12 + length) {
    length = big_endian(data + at);
    if (length > n - at - 12) break;
    uint32_t crc = (uint32_t)crc32(0, data + at + 4, (unsigned)(length + 4));
    for (int i = 0; i < 4; i++) data[at + 8 + length + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
  }
}

static void try(const uint8_t *data, size_t n) {
  cr_error err = { 0 };
  cr_tensor *t = cr_png_read(data, n, 1 << 20, &err);
  if (t == NULL) {
    must(err.kind != CR_OK && err.text[0] != '\0');
  } else {
    /* what was read can be written, and reads back the same */
    cr_buffer out = { 0 };
    must(cr_png_write(t, &out, &err));
    cr_tensor *back = cr_png_read(out.data, out.n, 1 << 20, &err);
    must(back != NULL);
    must_be_same(t, back);
    cr_tensor_release(back);
    cr_buffer_clear(&out);
  }
  cr_tensor_release(t);
  must(cr_memory().live_bytes == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  uint8_t *copy = malloc(n + 1);
  try(data, n);
  memcpy(copy, data, n);
  repair(copy, n);
  try(copy, n);
  free(copy);
  return 0;
}
