/* gzip.c - see gzip.h; RFC 1952 */
#include "io/gzip.h"

#include "io/inflate.h"

bool cr_is_gzip(const void *bytes, size_t n) {
  const unsigned char *p = bytes;
  return n >= 2 && p[0] == 0x1f && p[1] == 0x8b;
}

bool cr_gzip_read(const void *bytes, size_t n, size_t max_bytes, cr_buffer *out, cr_error *err) {
  const unsigned char *p = bytes;
  size_t used, begin = out->n;
  if (!cr_is_gzip(bytes, n))
    return cr_fail(err, CR_EFORMAT, "not a gzip file: expected the bytes 1f 8b at its start");
  for (size_t at = 0; at < n; at += used) {
    if (!cr_is_gzip(p + at, n - at)) {
      for (size_t i = at; i < n; i++)
        if (p[i] != 0)
          return cr_fail(err, CR_EFORMAT, "gzip: unknown bytes behind the data, from byte %zu",
                         i + 1);
      return true;
    }
    if (!cr_inflate("gzip", CR_INFLATE_GZIP, p + at, n - at, max_bytes - (out->n - begin), out,
                    &used, err)) return false;
  }
  return true;
}
