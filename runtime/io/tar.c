/* tar.c - see tar.h
 *
 * Blocks of 512 bytes: a header, the content filled up with zeros, ...; a block of zeros ends it.
 * Names may come in two parts (ustar's prefix), as a member before (GNU 'L') or as "path" in a pax
 * header ('x'); other pax words do not change what a file holds and are passed over. Sizes in base
 * 256 are refused: 8 GiB need them. POSIX.1-2008, pax. */
#include "io/tar.h"

#include <stdio.h>
#include <string.h>

enum { BLOCK = 512, NAME = 100, SIZE_AT = 124, SUM_AT = 148, KIND = 156, MAGIC = 257,
    PREFIX = 345, PREFIX_BYTES = 155 };

/* octal digits between blanks; false when there is anything else */
static bool octal(const unsigned char *p, size_t n, uint64_t *value) {
  size_t i = 0;
  bool any = false;
  *value = 0;
  while (i < n && p[i] == ' ') i++;
  for (; i < n && p[i] >= '0' && p[i] <= '7'; i++, any = true)
    *value = *value << 3 | (uint64_t)(p[i] - '0');
  for (; i < n; i++)
    if (p[i] != ' ' && p[i] != '\0') return false;
  return any;
}

static bool sum_is_right(const unsigned char *h) {
  uint64_t claimed, sum = 0;
  for (int i = 0; i < BLOCK; i++) sum += i >= SUM_AT && i < SUM_AT + 8 ? ' ' : h[i];
  return octal(h + SUM_AT, 8, &claimed) && claimed == sum;
}

static bool is_zero(const unsigned char *h) {
  for (int i = 0; i < BLOCK; i++)
    if (h[i] != 0) return false;
  return true;
}

bool cr_is_tar(const void *bytes, size_t n) {
  return n >= BLOCK && !is_zero(bytes) && sum_is_right(bytes);
}

/* "NN path=TEXT\n" in a pax header: TEXT, or an empty text when there is none */
static bool pax_path(const unsigned char *data, size_t n, const char **text, size_t *bytes) {
  for (size_t at = 0; at < n;) {
    size_t length = 0, digits = 0;
    while (at + digits < n && digits < 8 && data[at + digits] >= '0' && data[at + digits] <= '9')
      length = length * 10 + (size_t)(data[at + digits++] - '0');
    if (digits == 0 || at + digits >= n || data[at + digits] != ' ' || length > n - at
        || length < digits + 3 || data[at + length - 1] != '\n') return false;
    const char *word = (const char *)data + at + digits + 1;
    if (length > digits + 7 && memcmp(word, "path=", 5) == 0)
      *text = word + 5, *bytes = length - digits - 7;
    at += length;
  }
  return true;
}

static size_t text_bytes(const unsigned char *p, size_t most) {
  size_t n = 0;
  while (n < most && p[n] != '\0') n++;
  return n;
}

bool cr_tar_open(const void *bytes, size_t n, cr_archive *out, cr_error *err) {
  const unsigned char *file = bytes;
  const char *given = NULL;                   /* a name that came in a member before */
  size_t given_bytes = 0, number = 1;
  for (size_t at = 0;; number++) {
    const unsigned char *h = file + at;
    uint64_t size = 0;
    if (n - at < BLOCK)
      return cr_fail(err, CR_EFORMAT, "tar: the file is cut short before the header of member %zu, "
                     "or the block of zeros at its end", number);
    if (is_zero(h)) break;
    if (!sum_is_right(h))
      return cr_fail(err, CR_EFORMAT, "tar: the header of member %zu is damaged", number);
    if (!octal(h + SIZE_AT, 12, &size))
      return cr_fail(err, CR_EFORMAT, "tar: the size of member %zu is no octal number", number);
    at += BLOCK;
    if (size > n - at)
      return cr_fail(err, CR_EFORMAT, "tar: the file is cut short: member %zu has %llu bytes, %zu "
                     "are there", number, (unsigned long long)size, n - at);
    cr_member m = { .data = file + at, .packed = (size_t)size, .bytes = (size_t)size };
    size_t filled = ((size_t)size + BLOCK - 1) / BLOCK * BLOCK;
    at = filled > n - at ? n : at + filled;

    char kind = (char)h[KIND], name[PREFIX_BYTES + NAME + 2];
    if (kind == 'g') continue;
    if (kind == 'L') {
      given = (const char *)m.data;
      given_bytes = text_bytes(m.data, m.bytes);
      continue;
    }
    if (kind == 'x') {
      if (!pax_path(m.data, m.bytes, &given, &given_bytes))
        return cr_fail(err, CR_EFORMAT, "tar: the pax header, member %zu, is damaged", number);
      continue;
    }
    if (kind != '0' && kind != '\0' && kind != '5' && kind != '7')
      return cr_fail(err, CR_EFORMAT, "tar: member %zu is %s; only files and folders are unpacked",
                     number, kind == '1' || kind == '2' ? "a link" : "neither file nor folder");
    if (given == NULL) {
      bool ustar = memcmp(h + MAGIC, "ustar\0", 6) == 0 && h[PREFIX] != '\0';
      given = name;
      given_bytes = (size_t)snprintf(name, sizeof name, "%.*s%s%.*s",
        ustar ? PREFIX_BYTES : 0, (const char *)h + PREFIX, ustar ? "/" : "", NAME,
        (const char *)h);
    }
    if (given_bytes > 2 && memcmp(given, "./", 2) == 0) given += 2, given_bytes -= 2;
    m.folder = kind == '5' || (given_bytes > 0 && given[given_bytes - 1] == '/');
    bool top = given_bytes == 1 || given_bytes == 2;          /* "." and "./": where all is */
    top = top && memcmp(given, "./", given_bytes) == 0 && m.folder;
    if (m.folder && m.bytes > 0)
      return cr_fail(err, CR_EFORMAT, "tar: member %zu is a folder with content", number);
    if (!top && !cr_archive_add(out, "tar", given, given_bytes, m, err)) return false;
    given = NULL;
  }
  return cr_archive_finish(out, "tar", err);
}
