/* gzip.h - gzip files (.gz): one member or several, one after another */
#ifndef CR_IO_GZIP_H
#define CR_IO_GZIP_H

#include "io/buffer.h"

bool cr_is_gzip(const void *bytes, size_t n);
/* Adds the unpacked bytes to out; lengths and checksums are verified. Behind the last member zeros
 * may follow (tape blocks), nothing else. */
bool cr_gzip_read(const void *bytes, size_t n, size_t max_bytes, cr_buffer *out, cr_error *err);

#endif
