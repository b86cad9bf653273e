/* inflate.h - deflate undone, by zlib, without trusting what the data say about themselves
 *
 * The result grows as it comes, so that a file asks for no more memory than it really unpacks to,
 * and never for more than max_bytes. */
#ifndef CR_IO_INFLATE_H
#define CR_IO_INFLATE_H

#include "io/buffer.h"

/* The most a gzip file or an archive's members may unpack to when nobody says otherwise. */
#define CR_UNPACKED_MOST ((size_t)4 << 30)
enum { CR_DEFLATE_RATIO = 1032 };     /* no deflate stream expands by more */

typedef enum { CR_INFLATE_RAW, CR_INFLATE_GZIP } cr_inflate_kind;

/* Adds what one stream at the start of bytes unpacks to. *used: how many of the n bytes it took.
 * `format` begins the message. */
bool cr_inflate(const char *format, cr_inflate_kind kind, const unsigned char *bytes, size_t n,
                size_t max_bytes, cr_buffer *out, size_t *used, cr_error *err);

#endif
