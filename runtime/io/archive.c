/* archive.c - see archive.h */
#define _GNU_SOURCE
#include "io/archive.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>
#include "base/memory.h"
#include "io/file.h"
#include "io/inflate.h"
#include "io/tar.h"
#include "io/zip.h"

/* what is wrong with a name, or NULL */
static const char *fault(const char *name, size_t n) {
  if (n == 0) return "an empty name";
  if (n > CR_NAME_MOST) return "a name that is too long";
  if (name[0] == '/') return "an absolute path";
  if (n > 1 && name[1] == ':') return "a drive letter";
  for (size_t i = 0, begin = 0; i <= n; i++) {
    unsigned char c = i < n ? (unsigned char)name[i] : '/';
    if (c == '\\') return "a backslash";
    if (c < ' ' || c == 0x7f) return "a control character";
    if (c != '/') continue;
    size_t part = i - begin;
    if (part == 0) return "an empty part";
    if (part == 1 && name[begin] == '.') return "a part '.'";
    if (part == 2 && name[begin] == '.' && name[begin + 1] == '.') return "a part '..'";
    begin = i + 1;
  }
  return NULL;
}

/* for a message: no control character, not too long */
static const char *shown(const char *name, size_t n, char text[64]) {
  size_t i = 0;
  for (; i < n && i < 60; i++) text[i] = (unsigned char)name[i] < ' ' ? '?' : name[i];
  text[i] = '\0';
  return text;
}

bool cr_archive_add(cr_archive *a, const char *format, const char *name, size_t name_bytes,
                    cr_member member, cr_error *err) {
  char text[64];
  if (a->n >= CR_MEMBERS_MOST)
    return cr_fail(err, CR_EFORMAT, "%s: more than %d members", format, CR_MEMBERS_MOST);
  if (name_bytes > 0 && name[name_bytes - 1] == '/') name_bytes--;
  const char *wrong = fault(name, name_bytes);
  if (wrong != NULL)
    return cr_fail(err, CR_EFORMAT, "%s: member %zu has %s in its name: '%s'", format, a->n + 1,
                   wrong, shown(name, name_bytes, text));
  if (member.bytes / CR_DEFLATE_RATIO > member.packed)
    return cr_fail(err, CR_EFORMAT, "%s: '%s' claims %zu bytes, its %zu packed ones cannot hold "
                   "them", format, shown(name, name_bytes, text), member.bytes, member.packed);
  member.name = (const char *)(uintptr_t)a->names.n;          /* a place until finish */
  cr_buffer_add(&a->names, name, name_bytes);
  cr_buffer_add_byte(&a->names, '\0');
  cr_buffer_add(&a->members, &member, sizeof member);
  a->n++;
  return cr_buffer_ok(&a->names, err) && cr_buffer_ok(&a->members, err);
}

static int by_name(const void *a, const void *b) {
  return strcasecmp((*(const cr_member *const *)a)->name, (*(const cr_member *const *)b)->name);
}

bool cr_archive_finish(cr_archive *a, const char *format, cr_error *err) {
  size_t total = 0;
  char text[64];
  a->member = (cr_member *)(void *)a->members.data;
  for (size_t i = 0; i < a->n; i++) {
    a->member[i].name = (const char *)a->names.data + (uintptr_t)a->member[i].name;
    if (!cr_size_add(total, a->member[i].bytes, &total) || total > CR_UNPACKED_MOST)
      return cr_fail(err, CR_EFORMAT, "%s: it claims to unpack to more than %zu bytes", format,
                     CR_UNPACKED_MOST);
  }
  cr_member **order = cr_alloc((a->n + 1) * sizeof *order, err);
  if (order == NULL) return false;
  for (size_t i = 0; i < a->n; i++) order[i] = &a->member[i];
  qsort(order, a->n, sizeof *order, by_name);
  const cr_member *twice = NULL;
  for (size_t i = 1; i < a->n && twice == NULL; i++)
    if (strcasecmp(order[i - 1]->name, order[i]->name) == 0) twice = order[i];
  cr_free(order);
  return twice == NULL
      || cr_fail(err, CR_EFORMAT, "%s: the name '%s' comes twice", format,
                 shown(twice->name, strlen(twice->name), text));
}

bool cr_archive_open(const void *bytes, size_t n, cr_archive *out, cr_error *err) {
  *out = (cr_archive){ 0 };
  if (cr_is_zip(bytes, n)) return cr_zip_open(bytes, n, out, err);
  if (cr_is_tar(bytes, n)) return cr_tar_open(bytes, n, out, err);
  return cr_fail(err, CR_EFORMAT, "not an archive: expected a zip or tar file");
}

bool cr_archive_read(const cr_member *m, cr_buffer *out, cr_error *err) {
  size_t used = m->packed, begin = out->n;
  char text[64];
  const char *name = shown(m->name, strlen(m->name), text);
  bool ok = m->deflated ? cr_inflate(name, CR_INFLATE_RAW, m->data, m->packed, m->bytes, out,
                                     &used, err)
                        : cr_buffer_add(out, m->data, m->packed) || cr_buffer_ok(out, err);
  if (!ok) return false;
  if (out->n - begin != m->bytes || used != m->packed)
    return cr_fail(err, CR_EFORMAT, "%s: expected %zu bytes, got %zu", name, m->bytes,
                   out->n - begin);
  if (!m->checked) return true;
  uLong crc = crc32_z(0, NULL, 0);
  if (m->bytes > 0) crc = crc32_z(crc, out->data + begin, m->bytes);
  return crc == m->crc
      || cr_fail(err, CR_EFORMAT, "%s: its checksum is %08lx, expected %08x", name, crc, m->crc);
}

void cr_archive_clear(cr_archive *a) {
  cr_buffer_clear(&a->names);
  cr_buffer_clear(&a->members);
  *a = (cr_archive){ 0 };
}
