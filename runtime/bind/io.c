/* io.c - crun.io: files, folders, formats, event files
 *
 * Every function raises one message that names the file. What a call holds (a file's bytes, a list
 * of names) lies in a box, so that a Lua error at any place loses nothing; the box is emptied
 * before the call returns. */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "bind/bind.h"
#include "bind/json.h"
#include "io/events.h"
#include "io/file.h"
#include "io/image.h"
#include "io/npy.h"
#include "io/pgm.h"
#include "io/jpeg.h"
#include "io/png.h"
#include "io/safetensors.h"
#include "kernels/crc32c.h"

static const char HOLD[] = "crun.io.hold", EVENTS[] = "crun.io.events";

/* What a call may hold. */
typedef struct hold {
  cr_buffer bytes;
  cr_safetensors tensors;
  cr_folder folder;
} hold;

static void hold_clear(hold *h) {
  cr_buffer_clear(&h->bytes);
  cr_safetensors_clear(&h->tensors);
  cr_folder_clear(&h->folder);
}

static int hold_gc(lua_State *L) {
  hold_clear(lua_touserdata(L, 1));
  return 0;
}

static hold *push_hold(lua_State *L) {
  hold *h = lua_newuserdatauv(L, sizeof *h, 0);
  memset(h, 0, sizeof *h);
  luaL_setmetatable(L, HOLD);
  return h;
}

/* each function is a closure over its own name, "io.read_npy" */
static const char *where(lua_State *L) { return lua_tostring(L, lua_upvalueindex(1)); }

static int fail(lua_State *L, hold *h, cr_error *err) {
  if (h != NULL) hold_clear(h);
  return cr_bind_error(L, where(L), err);
}

/* ARGUMENTS */

static const char *check_bytes(lua_State *L, int index, const char *name, size_t *n) {
  if (lua_type(L, index) != LUA_TSTRING)
    cr_bind_errorf(L, where(L), "%s must be a string, got %s", name, cr_bind_type_name(L, index));
  return lua_tolstring(L, index, n);
}

static const char *check_text(lua_State *L, int index, const char *name) {
  size_t n;
  const char *text = check_bytes(L, index, name, &n);
  if (strlen(text) != n) cr_bind_errorf(L, where(L), "%s has a NUL character in it", name);
  return text;
}

static const char *check_path(lua_State *L, int index) {
  const char *path = check_text(L, index, "the path");
  if (path[0] == '\0') cr_bind_errorf(L, where(L), "the path is empty");
  return path;
}

static int64_t check_count(lua_State *L, int index, const char *name, int64_t fallback) {
  int whole;
  if (lua_isnoneornil(L, index)) return fallback;
  lua_Integer n = lua_tointegerx(L, index, &whole);
  if (!whole || n < 0 || lua_type(L, index) != LUA_TNUMBER)
    cr_bind_errorf(L, where(L), "%s must be a whole number of 0 or more", name);
  return n;
}

static int64_t check_step(lua_State *L, int index) {
  int whole;
  lua_Integer step = lua_tointegerx(L, index, &whole);
  if (!whole)
    cr_bind_errorf(L, where(L), "step must be a whole number, got %s", cr_bind_type_name(L, index));
  return step;
}

/* TENSORS IN FILES: one reader and one writer serve all formats with one tensor a file */

typedef struct format {
  const char *name;
  cr_tensor *(*read)(const void *bytes, size_t n, int64_t limit, cr_error *err);
  bool (*write)(cr_tensor *t, cr_buffer *out, cr_error *err);
} format;

static cr_tensor *any_image(const void *bytes, size_t n, int64_t max_pixels, cr_error *err) {
  const unsigned char *p = bytes;
  if (n >= 1 && p[0] == 0x89) return cr_png_read(bytes, n, max_pixels, err);
  if (n >= 1 && p[0] == 'P') return cr_pgm_read(bytes, n, max_pixels, err);
  if (n >= 1 && p[0] == 0xff) return cr_jpeg_read(bytes, n, max_pixels, err);
  cr_fail(err, CR_EFORMAT, "not an image: expected a PNG, JPEG, PGM or PPM file");
  return NULL;
}

static cr_tensor *any_npy(const void *bytes, size_t n, int64_t limit, cr_error *err) {
  (void)limit;
  return cr_npy_read(bytes, n, err);
}

/* images: [C H W]; the second argument of reading one is the most pixels it may have */
static const format formats[] = {
  { "image", any_image, NULL },
  { "png", NULL, cr_png_write },
  { "pgm", NULL, cr_pgm_write },
  { "npy", any_npy, cr_npy_write },
};

static const format *this_format(lua_State *L) { return lua_touserdata(L, lua_upvalueindex(2)); }

static int push_tensor(lua_State *L, cr_tensor **box, cr_tensor *t) {
  *box = t;
  cr_bind_charge(L, t);
  return 1;
}

static int decode_tensor(lua_State *L) {                  /* decode_npy(string) -> tensor */
  size_t n;
  cr_error err = { 0 };
  const char *bytes = check_bytes(L, 1, "the file's content", &n);
  int64_t limit = check_count(L, 2, "max_pixels", CR_IMAGE_MAX_PIXELS);
  cr_tensor **box = cr_bind_box(L);
  cr_tensor *t = this_format(L)->read(bytes, n, limit, &err);
  return t != NULL ? push_tensor(L, box, t) : fail(L, NULL, &err);
}

static int read_tensor(lua_State *L) {                    /* read_npy(path) -> tensor */
  cr_error err = { 0 };
  const char *path = check_path(L, 1);
  int64_t limit = check_count(L, 2, "max_pixels", CR_IMAGE_MAX_PIXELS);
  hold *h = push_hold(L);
  cr_tensor **box = cr_bind_box(L);
  if (!cr_file_read(path, 0, &h->bytes, &err)) return fail(L, h, &err);
  cr_tensor *t = this_format(L)->read(h->bytes.data, h->bytes.n, limit, &err);
  if (t == NULL) {
    cr_fail_in(&err, path);
    return fail(L, h, &err);
  }
  hold_clear(h);
  return push_tensor(L, box, t);
}

static int encode_tensor(lua_State *L) {                  /* encode_npy(tensor) -> string */
  cr_error err = { 0 };
  cr_tensor *t = cr_bind_check_tensor(L, 1, where(L), "the tensor");
  hold *h = push_hold(L);
  if (!this_format(L)->write(t, &h->bytes, &err)) return fail(L, h, &err);
  lua_pushlstring(L, (const char *)h->bytes.data, h->bytes.n);
  hold_clear(h);
  return 1;
}

static int write_tensor(lua_State *L) {                   /* write_npy(path, tensor) */
  cr_error err = { 0 };
  const char *path = check_path(L, 1);
  cr_tensor *t = cr_bind_check_tensor(L, 2, where(L), "the tensor");
  hold *h = push_hold(L);
  bool ok = this_format(L)->write(t, &h->bytes, &err) || cr_fail_in(&err, path);
  if (!ok || !cr_file_write(path, h->bytes.data, h->bytes.n, &err)) return fail(L, h, &err);
  hold_clear(h);
  return 0;
}

/* SAFETENSORS */

/* { name = tensor }, { key = text } of what h holds */
static int push_tensors(lua_State *L, hold *h, const char *path) {
  cr_error err = { 0 };
  const cr_safetensors *file = &h->tensors;
  lua_createtable(L, 0, (int)file->n);
  for (size_t i = 0; i < file->n; i++) {
    cr_tensor **box = cr_bind_box(L);
    *box = cr_safetensors_tensor(file, i, &err);
    if (*box == NULL) {
      if (path != NULL) cr_fail_in(&err, path);
      return fail(L, h, &err);
    }
    cr_bind_charge(L, *box);
    lua_setfield(L, -2, file->tensor[i].name);
  }
  lua_createtable(L, 0, (int)file->n_metadata);
  for (size_t i = 0; i < file->n_metadata; i++) {
    lua_pushstring(L, file->metadata[i].value);
    lua_setfield(L, -2, file->metadata[i].key);
  }
  hold_clear(h);
  return 2;
}

static int decode_safetensors(lua_State *L) {
  size_t n;
  cr_error err = { 0 };
  const char *bytes = check_bytes(L, 1, "the file's content", &n);
  hold *h = push_hold(L);
  if (!cr_safetensors_read(bytes, n, &h->tensors, &err)) return fail(L, h, &err);
  return push_tensors(L, h, NULL);
}

static int read_safetensors(lua_State *L) {
  cr_error err = { 0 };
  const char *path = check_path(L, 1);
  hold *h = push_hold(L);
  if (!cr_file_read(path, 0, &h->bytes, &err)) return fail(L, h, &err);
  if (!cr_safetensors_read(h->bytes.data, h->bytes.n, &h->tensors, &err)) {
    cr_fail_in(&err, path);
    return fail(L, h, &err);
  }
  return push_tensors(L, h, path);
}

static size_t count_entries(lua_State *L, int index) {
  size_t n = 0;
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) n++;
  return n;
}

/* The key at -2 of a walk over a table, as a C string. */
static const char *check_name(lua_State *L, const char *what) {
  if (lua_type(L, -2) != LUA_TSTRING)
    cr_bind_errorf(L, where(L), "%s must have strings as names, got %s", what,
                   cr_bind_type_name(L, -2));
  return check_text(L, -2, "a name");
}

/* The tensors and texts of two tables at `index` into h->bytes. The arrays and the texts made of
 * numbers live on the stack. */
static void encode_tensors(lua_State *L, int index, hold *h, cr_error *err) {
  lua_settop(L, index + 2);
  int tensors = index, metadata = index + 1;
  if (!lua_istable(L, tensors))
    cr_bind_errorf(L, where(L), "expected a table name = tensor, got %s",
                   cr_bind_type_name(L, tensors));
  if (!lua_isnoneornil(L, metadata) && !lua_istable(L, metadata))
    cr_bind_errorf(L, where(L), "metadata must be a table key = text, got %s",
                   cr_bind_type_name(L, metadata));
  size_t n = count_entries(L, tensors),
         n_pairs = lua_istable(L, metadata) ? count_entries(L, metadata) : 0;
  cr_named_tensor *item = lua_newuserdatauv(L, (n + 1) * sizeof *item, 0);
  cr_text_pair *pair = lua_newuserdatauv(L, (n_pairs + 1) * sizeof *pair, 0);
  size_t i = 0;
  for (lua_pushnil(L); lua_next(L, tensors); lua_pop(L, 1), i++) {
    item[i].name = check_name(L, "the table of tensors");
    item[i].tensor = cr_bind_to_tensor(L, -1);
    if (item[i].tensor == NULL)
      cr_bind_errorf(L, where(L), "'%s' must be a tensor, got %s", item[i].name,
                     cr_bind_type_name(L, -1));
  }
  lua_newtable(L);
  int texts = lua_gettop(L);
  i = 0;
  if (n_pairs > 0)
    for (lua_pushnil(L); lua_next(L, metadata); lua_pop(L, 1), i++) {
      pair[i].key = check_name(L, "metadata");
      int type = lua_type(L, -1);
      if (type != LUA_TSTRING && type != LUA_TNUMBER && type != LUA_TBOOLEAN)
        cr_bind_errorf(L, where(L), "metadata '%s' must be a text or a number, got %s", pair[i].key,
                       cr_bind_type_name(L, -1));
      luaL_tolstring(L, -1, NULL);
      pair[i].value = check_text(L, -1, pair[i].key);
      lua_rawseti(L, texts, (lua_Integer)i + 1);
    }
  if (!cr_safetensors_write(item, n, pair, n_pairs, &h->bytes, err)) fail(L, h, err);
}

static int write_safetensors(lua_State *L) {
  cr_error err = { 0 };
  const char *path = check_path(L, 1);
  lua_settop(L, 3);
  hold *h = push_hold(L);
  encode_tensors(L, 2, h, &err);
  if (!cr_file_write(path, h->bytes.data, h->bytes.n, &err)) return fail(L, h, &err);
  hold_clear(h);
  return 0;
}

static int encode_safetensors(lua_State *L) {
  cr_error err = { 0 };
  lua_settop(L, 2);
  hold *h = push_hold(L);
  encode_tensors(L, 1, h, &err);
  lua_pushlstring(L, (const char *)h->bytes.data, h->bytes.n);
  hold_clear(h);
  return 1;
}

/* WHOLE FILES */

static int read_file(lua_State *L) { /* read_file(path [, max_bytes]) -> string */
  cr_error err = { 0 };
  const char *path = check_path(L, 1);
  int64_t limit = check_count(L, 2, "max_bytes", 0);
  hold *h = push_hold(L);
  if (!cr_file_read(path, (size_t)limit, &h->bytes, &err)) return fail(L, h, &err);
  lua_pushlstring(L, (const char *)h->bytes.data, h->bytes.n);
  hold_clear(h);
  return 1;
}

static int write_file(lua_State *L) { /* write_file(path, string): all or nothing */
  size_t n;
  cr_error err = { 0 };
  const char *path = check_path(L, 1), *data = check_bytes(L, 2, "the content", &n);
  return cr_file_write(path, data, n, &err) ? 0 : fail(L, NULL, &err);
}

static int append_file(lua_State *L) {
  size_t n;
  cr_error err = { 0 };
  const char *path = check_path(L, 1), *data = check_bytes(L, 2, "the content", &n);
  return cr_file_append(path, data, n, &err) ? 0 : fail(L, NULL, &err);
}

static int truncate_file(lua_State *L) {
  cr_error err = { 0 };
  const char *path = check_path(L, 1);
  if (lua_isnoneornil(L, 2)) return cr_bind_errorf(L, where(L), "expected a length in bytes");
  size_t n = (size_t)check_count(L, 2, "the length", 0);
  return cr_file_truncate(path, n, &err) ? 0 : fail(L, NULL, &err);
}

static int sha256(lua_State *L) {
  size_t n;
  cr_sha256 h;
  char text[CR_SHA256_TEXT];
  const char *data = check_bytes(L, 1, "the content", &n);
  cr_sha256_init(&h);
  cr_sha256_add(&h, data, n);
  cr_sha256_text(&h, text);
  lua_pushstring(L, text);
  return 1;
}

static int sha256_file(lua_State *L) {
  cr_error err = { 0 };
  char text[CR_SHA256_TEXT];
  if (!cr_file_sha256(check_path(L, 1), text, &err)) return fail(L, NULL, &err);
  lua_pushstring(L, text);
  return 1;
}

static int crc32c(lua_State *L) {
  size_t n;
  const char *data = check_bytes(L, 1, "the content", &n);
  lua_pushinteger(L, (lua_Integer)cr_crc32c(data, n));
  return 1;
}

static int fail_at(lua_State *L) {                        /* for tests: see cr_file_fail_at */
  cr_file_fail_at((uint64_t)check_count(L, 1, "n", 0), lua_toboolean(L, 2));
  return 0;
}

/* PATHS AND FOLDERS */

static const char *const kinds[] = { NULL, "file", "folder", "link",
                                     "other" }; /* by cr_path_kind */

static int list(lua_State *L) { /* list(folder) -> names sorted by bytes, { name = kind } */
  cr_error err = { 0 };
  const char *path = check_path(L, 1);
  hold *h = push_hold(L);
  if (!cr_folder_list(path, &h->folder, &err)) return fail(L, h, &err);
  lua_createtable(L, (int)h->folder.n, 0);
  lua_createtable(L, 0, (int)h->folder.n);
  for (size_t i = 0; i < h->folder.n; i++) {
    lua_pushstring(L, h->folder.entry[i].name);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -4, (lua_Integer)i + 1);
    lua_pushstring(L, kinds[h->folder.entry[i].kind]);
    lua_rawset(L, -3);
  }
  hold_clear(h);
  return 2;
}

static int
look(lua_State *L) { /* kind(path) -> "file", "folder", "link", "other" or nil; bytes; seconds */
  int64_t bytes = 0;
  double modified = 0;
  cr_path_kind kind = cr_path_look(check_path(L, 1), &bytes, &modified);
  lua_pushstring(L, kinds[kind]);
  if (kind == CR_PATH_NONE || kind == CR_PATH_LINK) return 1;
  lua_pushinteger(L, bytes);
  lua_pushnumber(L, modified);
  return 3;
}

static int exists(lua_State *L) {
  lua_pushboolean(L, cr_path_look(check_path(L, 1), NULL, NULL) != CR_PATH_NONE);
  return 1;
}

static int is_dir(lua_State *L) {
  lua_pushboolean(L, cr_path_look(check_path(L, 1), NULL, NULL) == CR_PATH_FOLDER);
  return 1;
}

static int is_file(lua_State *L) {
  lua_pushboolean(L, cr_path_look(check_path(L, 1), NULL, NULL) == CR_PATH_FILE);
  return 1;
}

/* mkdir, remove, remove_tree: the second upvalue holds the function */
typedef struct path_action { bool (*act)(const char *path, cr_error *err); } path_action;
static const path_action make_folder = { cr_folder_make }, remove_path = { cr_path_remove },
                         remove_tree = { cr_path_remove_tree };

static int act_on_path(lua_State *L) {
  cr_error err = { 0 };
  const path_action *a = lua_touserdata(L, lua_upvalueindex(2));
  return a->act(check_path(L, 1), &err) ? 0 : fail(L, NULL, &err);
}

static int rename_path(lua_State *L) {
  cr_error err = { 0 };
  const char *from = check_path(L, 1), *to = check_path(L, 2);
  return cr_path_rename(from, to, &err) ? 0 : fail(L, NULL, &err);
}

static int real_path(lua_State *L) {
  char text[PATH_MAX];
  const char *path = check_path(L, 1);
  if (realpath(path, text) == NULL)
    return cr_bind_errorf(L, where(L), "cannot find '%s': %s", path, strerror(errno));
  lua_pushstring(L, text);
  return 1;
}

static int cwd(lua_State *L) {
  char text[PATH_MAX];
  if (getcwd(text, sizeof text) == NULL)
    return cr_bind_errorf(L, where(L), "the current folder has no name: %s", strerror(errno));
  lua_pushstring(L, text);
  return 1;
}

/* tmpname() -> an empty file, tmpdir() -> an empty folder, with a new name; the caller removes it
 */
static int temporary(lua_State *L) {
  char text[PATH_MAX];
  bool folder = lua_toboolean(L, lua_upvalueindex(2));
  const char *root = getenv("TMPDIR");
  if (root == NULL || root[0] == '\0') root = "/tmp";
  int n = snprintf(text, sizeof text, "%s/crun.XXXXXX", root), fd = -1;
  bool ok = n > 0 && (size_t)n < sizeof text;
  if (ok) ok = folder ? mkdtemp(text) != NULL : (fd = mkstemp(text)) >= 0;
  if (!ok)
    return cr_bind_errorf(L, where(L), "cannot make a name in '%.200s': %s", root, strerror(errno));
  if (fd >= 0) close(fd);
  lua_pushstring(L, text);
  return 1;
}

/* MACHINE */

static int clock_seconds(lua_State *L) { /* monotonic() and time(): seconds, a float */
  struct timespec t;
  clock_gettime((clockid_t)lua_tointeger(L, lua_upvalueindex(2)), &t);
  lua_pushnumber(L, (double)t.tv_sec + 1e-9 * (double)t.tv_nsec);
  return 1;
}

static int hostname(lua_State *L) {
  char text[256] = "localhost";
  gethostname(text, sizeof text - 1);
  lua_pushstring(L, text);
  return 1;
}

static int process_id(lua_State *L) {
  lua_pushinteger(L, getpid());
  return 1;
}

static int is_terminal(lua_State *L) {                    /* isatty([fd = 1]) */
  lua_pushboolean(L, isatty((int)check_count(L, 1, "fd", 1)));
  return 1;
}

static int terminal_width(lua_State *L) { /* terminal_width([fd = 1]) -> columns, or nil */
  struct winsize size = { 0 };
  const char *columns = getenv("COLUMNS");
  int given = columns != NULL ? atoi(columns) : 0;
  if (ioctl((int)check_count(L, 1, "fd", 1), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    given = size.ws_col;
  if (given > 0) lua_pushinteger(L, given);
  else lua_pushnil(L);
  return 1;
}

/* EVENT FILES */

typedef struct writer {
  cr_events events;
  bool open, in_session;
} writer;

static writer *check_writer(lua_State *L) {
  writer *w = luaL_testudata(L, 1, EVENTS);
  if (w == NULL)
    cr_bind_errorf(L, where(L), "call it as w:%s(...) on a writer", strrchr(where(L), '.') + 1);
  if (!w->open) cr_bind_errorf(L, where(L), "the writer is closed");
  return w;
}

static int events(lua_State *L) {                         /* events(folder) -> writer */
  cr_error err = { 0 };
  const char *folder = check_path(L, 1);
  writer *w = lua_newuserdatauv(L, sizeof *w, 0);
  memset(w, 0, sizeof *w);
  luaL_setmetatable(L, EVENTS);
  if (!cr_events_open(&w->events, folder, &err)) return fail(L, NULL, &err);
  w->open = true;
  return 1;
}

static int events_path(lua_State *L) {
  lua_pushstring(L, check_writer(L)->events.path);
  return 1;
}

static int events_scalar(lua_State *L) {                  /* w:scalar(tag, value, step) */
  cr_error err = { 0 };
  writer *w = check_writer(L);
  const char *tag = check_text(L, 2, "tag");
  const cr_tensor *t = cr_bind_to_tensor(L, 3);
  if (lua_type(L, 3) != LUA_TNUMBER && (t == NULL || cr_tensor_numel(t) != 1))
    return cr_bind_errorf(L, where(L), "value must be a number, got %s", cr_bind_type_name(L, 3));
  double value = t != NULL ? cr_tensor_get(t, 0) : lua_tonumber(L, 3);
  return cr_events_scalar(&w->events, tag, value, check_step(L, 4), &err) ? 0 : fail(L, NULL, &err);
}

static int events_histogram(lua_State *L) {               /* w:histogram(tag, tensor, step) */
  cr_error err = { 0 };
  writer *w = check_writer(L);
  const char *tag = check_text(L, 2, "tag");
  cr_tensor *t = cr_bind_check_tensor(L, 3, where(L), "the tensor");
  return cr_events_histogram(&w->events, tag, t, check_step(L, 4), &err) ? 0 : fail(L, NULL, &err);
}

static int events_image(lua_State *L) {                   /* w:image(tag, uint8 tensor, step) */
  cr_error err = { 0 };
  writer *w = check_writer(L);
  const char *tag = check_text(L, 2, "tag");
  cr_tensor *t = cr_bind_check_tensor(L, 3, where(L), "the image");
  return cr_events_image(&w->events, tag, t, check_step(L, 4), &err) ? 0 : fail(L, NULL, &err);
}

static int by_hparam_name(const void *a, const void *b) {
  return strcmp(((const cr_hparam *)a)->name, ((const cr_hparam *)b)->name);
}

/* { lr = 0.1, loss = "triplet", flip = true } at index, sorted, in a userdata that is left on the
 * stack */
static cr_hparam *push_hparams(lua_State *L, int index, size_t *n) {
  if (!lua_istable(L, index))
    cr_bind_errorf(L, where(L), "settings must be a table name = value, got %s",
                   cr_bind_type_name(L, index));
  *n = count_entries(L, index);
  cr_hparam *hparam = lua_newuserdatauv(L, (*n + 1) * sizeof *hparam, 0), *h = hparam;
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1), h++) {
    *h = (cr_hparam){ .name = check_name(L, "settings") };
    switch (lua_type(L, -1)) {
    case LUA_TNUMBER: h->kind = CR_HPARAM_NUMBER, h->number = lua_tonumber(L, -1); break;
    case LUA_TSTRING: h->kind = CR_HPARAM_TEXT, h->text = check_text(L, -1, h->name); break;
    case LUA_TBOOLEAN: h->kind = CR_HPARAM_FLAG, h->number = lua_toboolean(L, -1); break;
    default:
      cr_bind_errorf(L, where(L), "'%s' must be a number, a text or a flag, got %s", h->name,
                     cr_bind_type_name(L, -1));
    }
  }
  if (*n > 1) qsort(hparam, *n, sizeof *hparam, by_hparam_name);
  return hparam;
}

static int
events_experiment(lua_State *L) { /* w:experiment({ name = any value of its kind }, { "metric" }) */
  size_t n;
  cr_error err = { 0 };
  writer *w = check_writer(L);
  if (!lua_istable(L, 3))
    return cr_bind_errorf(L, where(L), "metrics must be a list of tags, got %s",
                          cr_bind_type_name(L, 3));
  size_t n_metrics = lua_rawlen(L, 3);
  cr_hparam *hparam = push_hparams(L, 2, &n);
  const char **metric = lua_newuserdatauv(L, (n_metrics + 1) * sizeof *metric, 0);
  for (size_t i = 0; i < n_metrics; i++) {
    lua_rawgeti(L, 3, (lua_Integer)i + 1);
    metric[i] = check_text(L, -1, "a metric's tag");
    lua_pop(L, 1);
  }
  bool ok = cr_events_experiment(&w->events, hparam, n, metric, n_metrics, &err);
  return ok ? 0 : fail(L, NULL, &err);
}

static int events_hparams(lua_State *L) { /* w:hparams({ name = value } [, group]) */
  size_t n;
  cr_error err = { 0 };
  writer *w = check_writer(L);
  const char *group = lua_isnoneornil(L, 3) ? NULL : check_text(L, 3, "group");
  cr_hparam *hparam = push_hparams(L, 2, &n);
  if (!cr_events_session_start(&w->events, hparam, n, group, &err)) return fail(L, NULL, &err);
  w->in_session = true;
  return 0;
}

/* w:close([success = true]), once; when hparams began a session, its end is written */
static int close_writer(lua_State *L, writer *w, bool success) {
  cr_error err = { 0 };
  bool ok = !w->open || !w->in_session || cr_events_session_end(&w->events, success, &err);
  w->open = false;
  return ok ? 0 : fail(L, NULL, &err);
}

static int events_close(lua_State *L) {
  writer *w = luaL_testudata(L, 1, EVENTS);
  if (w == NULL) return cr_bind_errorf(L, where(L), "call it as w:close() on a writer");
  return close_writer(L, w, lua_isnoneornil(L, 2) || lua_toboolean(L, 2));
}

static int events_scope_end(lua_State *L) {               /* __close(w, error) */
  return close_writer(L, luaL_checkudata(L, 1, EVENTS), lua_isnoneornil(L, 2));
}

/* OPENING */

/* sets table[name] on the top to a closure over "PREFIX.name" and the value of `more` (popped) */
static void add(lua_State *L, const char *prefix, const char *name, lua_CFunction f) {
  lua_pushfstring(L, "%s.%s", prefix, name);
  lua_insert(L, -2);
  lua_pushcclosure(L, f, 2);
  lua_setfield(L, -2, name);
}

static void add_all(lua_State *L, const char *prefix, const luaL_Reg *f) {
  for (; f->name != NULL; f++) {
    lua_pushnil(L);
    add(L, prefix, f->name, f->func);
  }
}

static void add_action(lua_State *L, const char *name, const path_action *a) {
  lua_pushlightuserdata(L, (void *)(uintptr_t)a);
  add(L, "io", name, act_on_path);
}

static void add_format(lua_State *L, const format *f) {
  const struct { const char *verb; lua_CFunction function; bool there; } verbs[] = {
    { "read", read_tensor, f->read != NULL }, { "decode", decode_tensor, f->read != NULL },
    { "write", write_tensor, f->write != NULL }, { "encode", encode_tensor, f->write != NULL }
  };
  for (size_t i = 0; i < 4; i++) {
    char name[32];
    if (!verbs[i].there) continue;
    snprintf(name, sizeof name, "%s_%s", verbs[i].verb, f->name);
    lua_pushlightuserdata(L, (void *)(uintptr_t)f);
    add(L, "io", name, verbs[i].function);
  }
}

int cr_bind_io(lua_State *L) {
  static const luaL_Reg functions[] = {
    { "read_safetensors", read_safetensors }, { "write_safetensors", write_safetensors },
    { "decode_safetensors", decode_safetensors }, { "encode_safetensors", encode_safetensors },
    { "read_file", read_file }, { "write_file", write_file }, { "append_file", append_file },
    { "truncate", truncate_file }, { "sha256", sha256 }, { "sha256_file", sha256_file },
    { "crc32c", crc32c }, { "list", list }, { "kind", look }, { "exists", exists },
    { "is_dir", is_dir }, { "is_file", is_file }, { "rename", rename_path },
    { "realpath", real_path }, { "cwd", cwd }, { "hostname", hostname }, { "getpid", process_id },
    { "isatty", is_terminal }, { "terminal_width", terminal_width }, { "events", events },
    { "fail_at", fail_at }, { NULL, NULL }
  };
  static const luaL_Reg methods[] = {
    { "path", events_path }, { "scalar", events_scalar }, { "histogram", events_histogram },
    { "image", events_image }, { "experiment", events_experiment }, { "hparams", events_hparams },
    { "close", events_close }, { "__close", events_scope_end }, { NULL, NULL }
  };
  luaL_newmetatable(L, HOLD);
  lua_pushcfunction(L, hold_gc);
  lua_setfield(L, -2, "__gc");
  luaL_newmetatable(L, EVENTS);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  add_all(L, "io.events", methods);
  lua_pop(L, 2);

  lua_newtable(L);
  add_all(L, "io", functions);
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) add_format(L, &formats[i]);
  add_action(L, "mkdir", &make_folder);
  add_action(L, "remove", &remove_path);
  add_action(L, "remove_tree", &remove_tree);
  lua_pushboolean(L, false);
  add(L, "io", "tmpname", temporary);
  lua_pushboolean(L, true);
  add(L, "io", "tmpdir", temporary);
  lua_pushinteger(L, CLOCK_MONOTONIC);
  add(L, "io", "monotonic", clock_seconds);
  lua_pushinteger(L, CLOCK_REALTIME);
  add(L, "io", "time", clock_seconds);
  cr_bind_json_open(L, -1);
  return 1;
}
