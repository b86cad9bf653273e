/* gzip_fuzz.c - any bytes as a .gz file: its content, within the limit, or an error. See fuzz.h. */
#include "fuzz.h"
#include <zlib.h>
#include "io/gzip.h"

enum { MOST = 1 << 20 };

static void try(const uint8_t *data, size_t n) {
  cr_error err = { 0 };
  cr_buffer out = { 0 };
  if (cr_gzip_read(data, n, MOST, &out, &err)) must(out.n <= MOST);
  else must(err.kind != CR_OK && err.text[0] != '\0');
  cr_buffer_clear(&out);
  must(cr_memory().live_bytes == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  try(data, n);
  if (n < 19) return 0;
  /* the same with a plain header and, where the deflate data end well, their true checksum */
  static const uint8_t head[10] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3 };
  static uint8_t plain[MOST];
  uint8_t *copy = malloc(n);
  memcpy(copy, data, n);
  memcpy(copy, head, sizeof head);
  z_stream z = { .next_in = copy + 10, .avail_in = (unsigned)(n - 10), .next_out = plain,
    .avail_out = sizeof plain };
  if (inflateInit2(&z, -15) == Z_OK) {
    if (inflate(&z, Z_FINISH) == Z_STREAM_END && z.avail_in >= 8) {
      uint8_t *tail = copy + n - z.avail_in;
      uint32_t crc = (uint32_t)crc32(0, plain, (unsigned)z.total_out);
      uint32_t total = (uint32_t)z.total_out;
      for (int i = 0; i < 4; i++) {
        tail[i] = (uint8_t)(crc >> 8 * i);
        tail[4 + i] = (uint8_t)(total >> 8 * i);
      }
    }
    inflateEnd(&z);
  }
  try(copy, n);
  free(copy);
  return 0;
}
