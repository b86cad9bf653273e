/* file.c - see file.h
 *
 * Why two fsyncs: rename is atomic against a kill, but after a power cut only what was synced is
 * sure to be there: the bytes before the rename, the folder's entry after it. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE         /* nftw */
#endif
#include "io/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* a full disk on demand */
static uint64_t fail_in;
static bool fail_all;

void cr_file_fail_at(uint64_t n, bool all) {
  fail_in = n;
  fail_all = all;
}

static bool disk_is_full(void) {
  if (fail_in == 0 || --fail_in > 0) return false;
  if (fail_all) fail_in = 1;
  errno = ENOSPC;
  return true;
}

static bool fail_errno(cr_error *err, const char *verb, const char *path) {
  return cr_fail(err, errno == ENOMEM ? CR_EMEMORY : CR_EIO, "cannot %s '%s': %s", verb, path,
                 strerror(errno));
}

static int open_again(const char *path, int flags, mode_t mode) {
  int fd;
  do fd = open(path, flags | O_CLOEXEC, mode); while (fd < 0 && errno == EINTR);
  return fd;
}

static ssize_t read_again(int fd, void *data, size_t n) {
  ssize_t got;
  do got = read(fd, data, n); while (got < 0 && errno == EINTR);
  return got;
}

static bool write_all(int fd, const void *data, size_t n) {
  const char *p = data;
  if (disk_is_full()) {               /* as a real one: half of it fits */
    if (write(fd, p, n / 2) >= 0) errno = ENOSPC;
    return false;
  }
  while (n > 0) {
    ssize_t done = write(fd, p, n < (1u << 30) ? n : (1u << 30));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return false;
    p += done;
    n -= (size_t)done;
  }
  return true;
}

/* READING */

static int open_to_read(const char *path, struct stat *st, cr_error *err) {
  int fd = open_again(path, O_RDONLY | O_NOCTTY, 0);
  if (fd < 0 || fstat(fd, st) < 0) {
    fail_errno(err, "read", path);
  } else if (S_ISDIR(st->st_mode)) {
    cr_fail(err, CR_EIO, "cannot read '%s': it is a folder, expected a file", path);
  } else {
    return fd;
  }
  if (fd >= 0) close(fd);
  return -1;
}

bool cr_file_read(const char *path, size_t max_bytes, cr_buffer *out, cr_error *err) {
  struct stat st;
  int fd = open_to_read(path, &st, err);
  if (fd < 0) return false;

  /* one byte past the length finds the end without growing; pipes and /proc say 0 and grow */
  size_t from = out->n, limit = max_bytes > 0 ? max_bytes : SIZE_MAX - 1;
  size_t want = S_ISREG(st.st_mode) && st.st_size > 0 ? (size_t)st.st_size : 0;
  bool ok = want <= limit;
  bool short_of_memory = ok && !cr_buffer_reserve(out, want + 1);
  while (ok && !short_of_memory) {
    ssize_t got = read_again(fd, out->data + out->n, out->room - out->n);
    if (got <= 0) {
      if (got < 0) ok = fail_errno(err, "read", path);
      break;
    }
    out->n += (size_t)got;
    want = out->n - from;
    if (want > limit) ok = false;
    else if (out->n == out->room) short_of_memory = !cr_buffer_reserve(out, 65536);
  }
  close(fd);
  if (want > limit)
    return cr_fail(err, CR_EIO, "cannot read '%s': %zu bytes or more, at most %zu expected", path,
                   want, limit);
  if (short_of_memory) return cr_buffer_ok(out, err) || cr_fail(err, CR_EMEMORY, "no memory");
  return ok;
}

bool cr_file_sha256(const char *path, char text[CR_SHA256_TEXT], cr_error *err) {
  struct stat st;
  cr_sha256 h;
  unsigned char part[16384];
  ssize_t got;
  int fd = open_to_read(path, &st, err);
  if (fd < 0) return false;
  cr_sha256_init(&h);
  while ((got = read_again(fd, part, sizeof part)) > 0) cr_sha256_add(&h, part, (size_t)got);
  if (got < 0) fail_errno(err, "read", path);
  close(fd);
  cr_sha256_text(&h, text);
  return got == 0;
}

/* WRITING */

/* The folder a path lies in, into text; false when it does not fit. */
static bool folder_of(const char *path, char text[PATH_MAX]) {
  const char *slash = strrchr(path, '/');
  size_t n = slash == NULL ? 0 : (size_t)(slash - path);
  if (n >= PATH_MAX) return false;
  if (slash == NULL) strcpy(text, ".");
  else if (n == 0) strcpy(text, "/");
  else { memcpy(text, path, n); text[n] = '\0'; }
  return true;
}

static bool sync_folder_of(const char *path, cr_error *err) {
  char folder[PATH_MAX];
  if (!folder_of(path, folder))
    return cr_fail(err, CR_EIO, "cannot write '%.200s...': the path is too long", path);
  int fd = open_again(folder, O_RDONLY | O_DIRECTORY, 0);
  /* some file systems cannot sync a folder and say EINVAL: then there is nothing more to do */
  bool ok = fd >= 0 && !disk_is_full() && (fsync(fd) == 0 || errno == EINVAL);
  if (!ok) fail_errno(err, "sync the folder of", path);
  if (fd >= 0) close(fd);
  return ok;
}

static bool write_in_place(const char *path, const void *data, size_t n, cr_error *err) {
  int fd = open_again(path, O_WRONLY | O_NOCTTY, 0);
  bool ok = fd >= 0 && write_all(fd, data, n);
  if (!ok) fail_errno(err, "write", path);
  if (fd >= 0) close(fd);
  return ok;
}

bool cr_file_write(const char *path, const void *data, size_t n, cr_error *err) {
  struct stat st;
  char temporary[PATH_MAX];
  mode_t mode = 0666;
  if (stat(path, &st) == 0) {
    if (S_ISDIR(st.st_mode))
      return cr_fail(err, CR_EIO, "cannot write '%s': it is a folder, expected a file", path);
    if (!S_ISREG(st.st_mode)) return write_in_place(path, data, n, err);
    mode = st.st_mode & 0777;
  }
  int length = snprintf(temporary, sizeof temporary, "%s.tmp.%ld", path, (long)getpid());
  if (length < 0 || (size_t)length >= sizeof temporary)
    return cr_fail(err, CR_EIO, "cannot write '%.200s...': the path is too long", path);

  unlink(temporary);                  /* left by a process that had our number and was killed */
  int fd =
      disk_is_full() ? -1 : open_again(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
  if (fd < 0) return fail_errno(err, "write", path);
  bool ok = write_all(fd, data, n) && !disk_is_full() && fsync(fd) == 0;
  int why = errno;
  if (close(fd) < 0 && ok) {          /* network file systems report a full disk here */
    ok = false;
    why = errno;
  }
  if (ok) {
    ok = !disk_is_full() && rename(temporary, path) == 0;
    why = errno;
  }
  if (!ok) {
    unlink(temporary);
    errno = why;
    return fail_errno(err, "write", path);
  }
  return sync_folder_of(path, err);
}

bool cr_file_append(const char *path, const void *data, size_t n, cr_error *err) {
  struct stat st;
  int fd = disk_is_full() ? -1 : open_again(path, O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY, 0666);
  if (fd < 0 || fstat(fd, &st) < 0) {
    fail_errno(err, "append to", path);
    if (fd >= 0) close(fd);
    return false;
  }
  bool ok = write_all(fd, data, n);
  if (!ok) {
    fail_errno(err, "append to", path);
    if (S_ISREG(st.st_mode) && ftruncate(fd, st.st_size) < 0)
      fail_errno(err, "take back half a record in", path);
  }
  if (close(fd) < 0 && ok) ok = fail_errno(err, "append to", path);
  return ok;
}

bool cr_file_truncate(const char *path, size_t n, cr_error *err) {
  struct stat st;
  if (stat(path, &st) < 0) return fail_errno(err, "cut", path);
  if (!S_ISREG(st.st_mode) || (size_t)st.st_size < n)
    return cr_fail(err, CR_EIO, "cannot cut '%s' to %zu bytes: it has %lld", path, n,
                   (long long)st.st_size);
  return (!disk_is_full() && truncate(path, (off_t)n) == 0) || fail_errno(err, "cut", path);
}

/* FOLDERS */

cr_path_kind cr_path_look(const char *path, int64_t *bytes, double *modified) {
  struct stat st;
  if (stat(path, &st) < 0) return lstat(path, &st) == 0 ? CR_PATH_LINK : CR_PATH_NONE;
  if (bytes != NULL) *bytes = (int64_t)st.st_size;
  if (modified != NULL) *modified = (double)st.st_mtim.tv_sec + 1e-9 * (double)st.st_mtim.tv_nsec;
  return S_ISDIR(st.st_mode) ? CR_PATH_FOLDER : S_ISREG(st.st_mode) ? CR_PATH_FILE : CR_PATH_OTHER;
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const struct cr_entry *)a)->name, ((const struct cr_entry *)b)->name);
}

static cr_path_kind kind_below(const char *folder, const struct dirent *d) {
  char path[PATH_MAX];
  if (d->d_type == DT_REG) return CR_PATH_FILE;           /* no system call for the usual cases */
  if (d->d_type == DT_DIR) return CR_PATH_FOLDER;
  int n = snprintf(path, sizeof path, "%s/%s", folder, d->d_name);
  return n > 0 && (size_t)n < sizeof path ? cr_path_look(path, NULL, NULL) : CR_PATH_OTHER;
}

bool cr_folder_list(const char *path, cr_folder *out, cr_error *err) {
  *out = (cr_folder){ 0 };
  DIR *dir = opendir(path);
  if (dir == NULL) return fail_errno(err, "list the folder", path);
  for (;;) {
    errno = 0;
    const struct dirent *d = readdir(dir);
    if (d == NULL) break;
    if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0) continue;
    struct cr_entry entry = { NULL, kind_below(path, d) };
    cr_buffer_add(&out->names, d->d_name, strlen(d->d_name) + 1);
    cr_buffer_add(&out->entries, &entry, sizeof entry);
    out->n++;
  }
  bool ok = errno == 0 || fail_errno(err, "list the folder", path);
  closedir(dir);
  ok = ok && cr_buffer_ok(&out->names, err) && cr_buffer_ok(&out->entries, err);
  if (!ok) {
    cr_folder_clear(out);
    return false;
  }

  /* the names lie still now: point at them */
  const char *name = (const char *)out->names.data;
  out->entry = (struct cr_entry *)(void *)out->entries.data;
  for (size_t i = 0; i < out->n; i++, name += strlen(name) + 1) out->entry[i].name = name;
  if (out->n > 1) qsort(out->entry, out->n, sizeof *out->entry, by_name);
  return true;
}

void cr_folder_clear(cr_folder *folder) {
  cr_buffer_clear(&folder->names);
  cr_buffer_clear(&folder->entries);
  *folder = (cr_folder){ 0 };
}

bool cr_folder_make(const char *path, cr_error *err) {
  char part[PATH_MAX];
  size_t n = strlen(path);
  if (n == 0 || n >= sizeof part)
    return cr_fail(err, CR_EIO, "cannot make the folder '%.200s': no such name", path);
  memcpy(part, path, n + 1);
  for (size_t i = 1; i <= n; i++) {
    if (part[i] != '/' && part[i] != '\0') continue;
    part[i] = '\0';
    if (mkdir(part, 0777) < 0) {
      if (errno == EEXIST && cr_path_look(part, NULL, NULL) != CR_PATH_FOLDER) errno = ENOTDIR;
      if (errno != EEXIST) return fail_errno(err, "make the folder", part);
    }
    part[i] = path[i];
  }
  return true;
}

bool cr_path_remove(const char *path, cr_error *err) {
  return remove(path) == 0 || fail_errno(err, "remove", path);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where) {
  (void)st, (void)type, (void)where;
  return remove(path);
}

bool cr_path_remove_tree(const char *path, cr_error *err) {
  return nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0 || fail_errno(err, "remove", path);
}

bool cr_path_rename(const char *from, const char *to, cr_error *err) {
  if (!disk_is_full() && rename(from, to) == 0) return true;
  return cr_fail(err, CR_EIO, "cannot rename '%s' to '%s': %s", from, to, strerror(errno));
}
