/* archive.h - what zip and tar share: members with safe names
 *
 * Whoever reads a member's data or unpacks it relies on what has been checked when the archive was
 * opened: every name is relative, has no empty, "." or ".." part, no backslash, colon at a drive's
 * place or control character, at most CR_NAME_MOST bytes; no two are equal, not even when capitals
 * are taken for small letters; members are files and folders, never links or devices; the sizes
 * they claim are within what their data can hold and add up to CR_UNPACKED_MOST at most. */
#ifndef CR_IO_ARCHIVE_H
#define CR_IO_ARCHIVE_H

#include "io/buffer.h"

enum { CR_NAME_MOST = 1024, CR_MEMBERS_MOST = 1 << 20 };

typedef struct cr_member {
  const char *name;             /* without the '/' at the end of a folder's */
  const unsigned char *data;    /* into the archive's bytes, which must outlive it */
  size_t packed, bytes;
  uint32_t crc;                 /* of the unpacked bytes, when `checked` */
  bool deflated, folder, checked;
} cr_member;

typedef struct cr_archive {
  size_t n;
  cr_member *member;            /* in the order of the archive */
  cr_buffer names, members;
} cr_archive;

/* The archive's bytes as zip or (unpacked) tar, by what they are. The archive is to be cleared
 * after a failure too. */
bool cr_archive_open(const void *bytes, size_t n, cr_archive *out, cr_error *err);
bool cr_archive_read(const cr_member *member, cr_buffer *out, cr_error *err);   /* adds its bytes */
void cr_archive_clear(cr_archive *archive);

/* Writes all members below a folder that must not be there yet: it appears under its name when all
 * is written, not before. */
bool cr_archive_unpack(const cr_archive *archive, const char *folder, cr_error *err);

/* For zip.c and tar.c. add copies the name; finish checks names against each other and sets
 * ->member. */
bool cr_archive_add(cr_archive *archive, const char *format, const char *name, size_t name_bytes,
                    cr_member member, cr_error *err);
bool cr_archive_finish(cr_archive *archive, const char *format, cr_error *err);

#endif
