/* zip.h - zip archives: stored and deflated members, without encryption, parts or zip64 */
#ifndef CR_IO_ZIP_H
#define CR_IO_ZIP_H

#include "io/archive.h"

bool cr_is_zip(const void *bytes, size_t n);
bool cr_zip_open(const void *bytes, size_t n, cr_archive *out, cr_error *err);

#endif
