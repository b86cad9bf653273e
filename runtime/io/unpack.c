/* unpack.c - the members of an archive as files
 *
 * All is written below FOLDER.part.PID, a folder that did not exist before, and renamed when it is
 * whole. Each part of a name is opened below the one before it and never through a link (openat,
 * O_NOFOLLOW), files only where nothing is (O_EXCL): whatever a name is, and whoever else writes
 * there, nothing outside is touched. Nothing is synced: thousands of small files would take
 * minutes, and the archive is still there should the machine stop; which is why this does not go
 * through cr_file_write. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/archive.h"
#include "io/file.h"

static bool failed(const char *what, const char *name, cr_error *err) {
  return cr_fail(err, CR_EIO, "cannot %s '%s': %s", what, name, strerror(errno));
}

/* the folder `name` below `at`, made when it is not there; -1 on failure */
static int enter(int at, const char *name) {
  if (mkdirat(at, name, 0777) != 0 && errno != EEXIST) return -1;
  return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool write_all(int fd, const unsigned char *data, size_t n) {
  while (n > 0) {
    ssize_t wrote = write(fd, data, n);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return false;
    data += wrote;
    n -= (size_t)wrote;
  }
  return true;
}

static bool write_member(int root, const cr_member *m, cr_buffer *bytes, cr_error *err) {
  char part[CR_NAME_MOST + 1];
  const char *name = m->name, *slash;
  int at = dup(root);
  while (at >= 0 && (slash = strchr(name, '/')) != NULL) {
    memcpy(part, name, (size_t)(slash - name));
    part[slash - name] = '\0';
    int below = enter(at, part);
    close(at);
    at = below;
    name = slash + 1;
  }
  if (at < 0) return failed("make the folder of", m->name, err);
  int fd = m->folder ? enter(at, name)
    : openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
  close(at);
  if (fd < 0) return failed("make", m->name, err);
  bytes->n = 0;
  bool ok = m->folder || cr_archive_read(m, bytes, err);
  bool written = !ok || m->folder || write_all(fd, bytes->data, bytes->n);
  if (!written) failed("write", m->name, err);
  if (close(fd) != 0 && ok && written) return failed("write", m->name, err);
  return ok && written;
}

static bool write_members(const cr_archive *a, const char *folder, cr_error *err) {
  cr_buffer bytes = { 0 };
  int root = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (root < 0) return failed("open", folder, err);
  bool ok = true;
  for (size_t i = 0; ok && i < a->n; i++) ok = write_member(root, &a->member[i], &bytes, err);
  close(root);
  cr_buffer_clear(&bytes);
  return ok;
}

bool cr_archive_unpack(const cr_archive *a, const char *folder, cr_error *err) {
  char part[PATH_MAX];
  int n = snprintf(part, sizeof part, "%s.part.%ld", folder, (long)getpid());
  if (n < 0 || (size_t)n >= sizeof part)
    return cr_fail(err, CR_EIO, "the folder's name is too long");
  if (cr_path_look(folder, NULL, NULL) != CR_PATH_NONE)
    return cr_fail(err, CR_EIO, "'%s' is there already", folder);
  if (mkdir(part, 0777) != 0) return failed("make the folder", part, err);
  if (write_members(a, part, err) && cr_path_rename(part, folder, err)) return true;
  cr_path_remove_tree(part, NULL);
  return false;
}
