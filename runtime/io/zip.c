/* zip.c - see zip.h
 *
 *   local header  data  ...  central directory: one header a member  ...  end record
 *
 * The central directory counts; each local header must agree with it in name and method. Data of
 * two members may not overlap, nor reach into the directory: that is how small files unpack to
 * endless ones (Fifield, "A better zip bomb", 2019). APPNOTE.TXT 6.3.10. */
#include "io/zip.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/memory.h"

enum { LOCAL = 30, CENTRAL = 46, END = 22, COMMENT_MOST = 65535, UNIX = 3 };

static uint16_t u16(const unsigned char *p) { return (uint16_t)(p[0] | p[1] << 8); }

bool cr_is_zip(const void *bytes, size_t n) {
  const unsigned char *p = bytes;
  return n >= 4 && p[0] == 'P' && p[1] == 'K' && (p[2] == 3 || p[2] == 5) && p[3] == p[2] + 1;
}

/* the end record, searched from the end; its comment must reach the end exactly */
static const unsigned char *end_record(const unsigned char *file, size_t n) {
  if (n < END) return NULL;
  size_t last = n - END, first = last > COMMENT_MOST ? last - COMMENT_MOST : 0;
  for (size_t at = last + 1; at-- > first;)
    if (memcmp(file + at, "PK\5\6", 4) == 0 && u16(file + at + 20) == n - END - at)
      return file + at;
  return NULL;
}

typedef struct range { size_t begin, end; } range;

static int by_begin(const void *a, const void *b) {
  size_t x = ((const range *)a)->begin, y = ((const range *)b)->begin;
  return x < y ? -1 : x > y;
}

/* the member of central header h; *at: where it lies in the file */
static bool member(const unsigned char *file, size_t directory, const unsigned char *h,
                   cr_archive *out, range *at, cr_error *err) {
  size_t number = out->n + 1, name_bytes = u16(h + 28), begin = cr_read_u32(h + 42);
  unsigned flags = u16(h + 8), method = u16(h + 10), mode = cr_read_u32(h + 38) >> 16;
  const char *name = (const char *)h + CENTRAL;
  cr_member m = { .packed = cr_read_u32(h + 20), .bytes = cr_read_u32(h + 24),
    .crc = cr_read_u32(h + 16), .checked = true, .deflated = method == 8,
    .folder = name_bytes > 0 && name[name_bytes - 1] == '/' };
  if (flags & 1) return cr_fail(err, CR_EFORMAT, "zip: member %zu is encrypted", number);
  if (method != 0 && method != 8)
    return cr_fail(err, CR_EFORMAT, "zip: member %zu is packed by method %u; stored (0) and "
                   "deflate (8) are read", number, method);
  if (m.packed == UINT32_MAX || m.bytes == UINT32_MAX || begin == UINT32_MAX)
    return cr_fail(err, CR_EFORMAT, "zip: member %zu is in the zip64 form, which is not read",
                   number);
  if (h[5] == UNIX && (mode & S_IFMT) != 0 && !S_ISREG(mode) && !S_ISDIR(mode))
    return cr_fail(err, CR_EFORMAT, "zip: member %zu is %s; only files and folders are unpacked",
                   number, S_ISLNK(mode) ? "a link" : "neither file nor folder");
  if (m.folder && m.bytes > 0)
    return cr_fail(err, CR_EFORMAT, "zip: member %zu is a folder with content", number);
  if (!m.deflated && m.packed != m.bytes)
    return cr_fail(err, CR_EFORMAT, "zip: member %zu is stored, %zu bytes as %zu", number, m.bytes,
                   m.packed);

  /* the local header: the same name and method, and all data in front of the directory */
  if (begin > directory || directory - begin < LOCAL)
    return cr_fail(err, CR_EFORMAT, "zip: member %zu lies outside the file", number);
  const unsigned char *local = file + begin;
  size_t head = LOCAL + (size_t)u16(local + 26) + u16(local + 28);
  if (memcmp(local, "PK\3\4", 4) != 0 || u16(local + 8) != method
      || u16(local + 26) != name_bytes || directory - begin < head
      || memcmp(local + LOCAL, name, name_bytes) != 0)
    return cr_fail(err, CR_EFORMAT, "zip: member %zu differs from its entry in the directory",
                   number);
  if (directory - begin - head < m.packed)
    return cr_fail(err, CR_EFORMAT, "zip: member %zu claims %zu bytes, the file has %zu there",
                   number, m.packed, directory - begin - head);
  m.data = local + head;
  *at = (range){ begin, begin + head + m.packed };
  return cr_archive_add(out, "zip", name, name_bytes, m, err);
}

static bool apart(range *at, size_t n, cr_error *err) {
  qsort(at, n, sizeof *at, by_begin);
  for (size_t i = 1; i < n; i++)
    if (at[i].begin < at[i - 1].end)
      return cr_fail(err, CR_EFORMAT, "zip: two members overlap at byte %zu", at[i].begin);
  return true;
}

bool cr_zip_open(const void *bytes, size_t n, cr_archive *out, cr_error *err) {
  const unsigned char *file = bytes, *end = end_record(file, n);
  if (end == NULL)
    return cr_fail(err, CR_EFORMAT, "zip: the file is cut short: its directory is missing");
  size_t count = u16(end + 10), size = cr_read_u32(end + 12), directory = cr_read_u32(end + 16);
  size_t before = (size_t)(end - file);
  if (count == UINT16_MAX || size == UINT32_MAX || directory == UINT32_MAX)
    return cr_fail(err, CR_EFORMAT, "zip: the zip64 form is not read");
  if (u16(end + 4) != 0 || u16(end + 6) != 0 || u16(end + 8) != count)
    return cr_fail(err, CR_EFORMAT, "zip: an archive in several parts is not read");
  if (directory > before || before - directory != size || size / CENTRAL < count)
    return cr_fail(err, CR_EFORMAT, "zip: its directory of %zu bytes for %zu members is not where "
                   "it should be", size, count);
  range *at = cr_alloc((count + 1) * sizeof *at, err);
  bool ok = at != NULL;
  const unsigned char *h = file + directory;
  for (size_t i = 0; ok && i < count; i++) {
    size_t left = (size_t)(end - h), length = left < CENTRAL ? 0
      : CENTRAL + (size_t)u16(h + 28) + u16(h + 30) + u16(h + 32);
    if (left < CENTRAL || length > left || memcmp(h, "PK\1\2", 4) != 0)
      ok = cr_fail(err, CR_EFORMAT, "zip: entry %zu of its directory is damaged", i + 1);
    else ok = member(file, directory, h, out, &at[i], err);
    h += length;
  }
  if (ok && h != end) ok = cr_fail(err, CR_EFORMAT, "zip: unknown bytes in its directory");
  ok = ok && apart(at, count, err) && cr_archive_finish(out, "zip", err);
  cr_free(at);
  return ok;
}
