/* file.h - the one front to the file system: whole files in, whole files out, and folders
 *
 * Nothing else in the runtime reads, writes or syncs. Errors name the file, the reason the system
 * gave, and what was wanted. */
#ifndef CR_IO_FILE_H
#define CR_IO_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "io/buffer.h"
#include "kernels/sha256.h"

/* Adds the whole file to out. max_bytes: refuse a longer one (0: no limit). Pipes work too. */
bool cr_file_read(const char *path, size_t max_bytes, cr_buffer *out, cr_error *err);

/* All or nothing, even when the machine stops: PATH.tmp.PID in the same folder, fsync, rename,
 * fsync of the folder. A symbolic link at PATH is replaced, not followed. A device or a pipe
 * (/dev/stdout) is written to as it is. */
bool cr_file_write(const char *path, const void *data, size_t n, cr_error *err);

/* Adds n bytes at the end in one go; when that fails the file gets its old length back, so half a
 * record never stays. */
bool cr_file_append(const char *path, const void *data, size_t n, cr_error *err);

/* Cuts a file to n bytes, which it must have. */
bool cr_file_truncate(const char *path, size_t n, cr_error *err);

bool cr_file_sha256(const char *path, char text[CR_SHA256_TEXT], cr_error *err);

/* For tests: the n-th step of writing from now on (open, write, fsync, rename) fails as on a full
 * disk, and all after it when `all`. 0: none. */
void cr_file_fail_at(uint64_t n, bool all);

/* What lies at a path. Links are followed; CR_PATH_LINK is one that leads nowhere. */
typedef enum {
  CR_PATH_NONE,
  CR_PATH_FILE,
  CR_PATH_FOLDER,
  CR_PATH_LINK,
  CR_PATH_OTHER
} cr_path_kind;
cr_path_kind cr_path_look(const char *path, int64_t *bytes,
                          double *modified); /* both may be NULL */

/* The names in a folder without . and .., sorted by their bytes; entries hold their kind. End it
 * with cr_folder_clear. */
typedef struct cr_folder {
  size_t n;
  struct cr_entry { const char *name; cr_path_kind kind; } *entry;
  cr_buffer names, entries;
} cr_folder;
bool cr_folder_list(const char *path, cr_folder *out, cr_error *err);
void cr_folder_clear(cr_folder *folder);

bool cr_folder_make(const char *path,
                    cr_error *err); /* with its parents; one that is there is fine */
bool cr_path_remove(const char *path, cr_error *err); /* a file, a link or an empty folder */
bool cr_path_remove_tree(const char *path,
                         cr_error *err); /* with all below it; links are not followed */
bool cr_path_rename(const char *from, const char *to, cr_error *err);

#endif
