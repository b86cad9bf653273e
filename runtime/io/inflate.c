/* inflate.c - see inflate.h */
#include "io/inflate.h"

#include <limits.h>
#include <zlib.h>
#include "base/memory.h"

static void *on_alloc(void *context, unsigned items, unsigned size) {
  (void)context;
  return cr_alloc((size_t)items * size, NULL);
}

static void on_free(void *context, void *block) {
  (void)context;
  cr_free(block);
}

static unsigned at_most(size_t n) { return n > UINT_MAX / 2 ? UINT_MAX / 2 : (unsigned)n; }

/* room for more of the result: twice what there is, within what the rest can become and max_bytes */
static bool more_room(cr_buffer *out, size_t begin, size_t left, size_t max_bytes) {
  size_t have = out->n - begin, step = have < 32768 ? 32768 : have;
  size_t can = left < SIZE_MAX / CR_DEFLATE_RATIO / 2 ? left * CR_DEFLATE_RATIO + 65536 : SIZE_MAX;
  if (step > can) step = can;
  if (step > max_bytes - have) step = max_bytes - have + 1;     /* one more tells too much */
  return cr_buffer_reserve(out, step);
}

bool cr_inflate(const char *format, cr_inflate_kind kind, const unsigned char *bytes, size_t n,
                size_t max_bytes, cr_buffer *out, size_t *used, cr_error *err) {
  z_stream z = { .zalloc = on_alloc, .zfree = on_free };
  size_t begin = out->n, at = 0;
  int status = inflateInit2(&z, kind == CR_INFLATE_GZIP ? 15 + 16 : -15);
  if (status != Z_OK) return cr_fail(err, CR_EMEMORY, "%s: no memory to unpack it", format);
  do {
    if (out->room == out->n && !more_room(out, begin, n - at, max_bytes)) {
      inflateEnd(&z);
      return cr_buffer_ok(out, err);
    }
    unsigned in = at_most(n - at), room = at_most(out->room - out->n);
    z.next_in = (unsigned char *)(uintptr_t)(bytes + at);
    z.avail_in = in;
    z.next_out = out->data + out->n;
    z.avail_out = room;
    status = inflate(&z, Z_NO_FLUSH);
    at += in - z.avail_in;
    out->n += room - z.avail_out;
    if (out->n - begin > max_bytes) {
      inflateEnd(&z);
      return cr_fail(err, CR_EFORMAT, "%s: it unpacks to more than the %zu bytes expected", format,
                     max_bytes);
    }
    if (status == Z_OK && at == n && z.avail_out > 0) status = Z_BUF_ERROR;
  } while (status == Z_OK);
  const char *why = z.msg;
  inflateEnd(&z);
  *used = at;
  if (status == Z_STREAM_END) return true;
  if (status == Z_BUF_ERROR || (status == Z_OK && at == n))
    return cr_fail(err, CR_EFORMAT, "%s: the data are cut short after %zu bytes", format, n);
  if (status == Z_MEM_ERROR) return cr_fail(err, CR_EMEMORY, "%s: no memory to unpack it", format);
  return cr_fail(err, CR_EFORMAT, "%s: damaged data near byte %zu%s%s", format, at,
                 why != NULL ? ": " : "", why != NULL ? why : "");
}
