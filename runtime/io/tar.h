/* tar.h - tar archives as old tar, ustar, GNU and pax write them */
#ifndef CR_IO_TAR_H
#define CR_IO_TAR_H

#include "io/archive.h"

bool cr_is_tar(const void *bytes, size_t n);
bool cr_tar_open(const void *bytes, size_t n, cr_archive *out, cr_error *err);

#endif
