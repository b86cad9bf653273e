/* archive.c - crun.archive: what data sets come packed in, and as
 *
 *   a = crun.archive.open(path)      a zip, tar or gzipped tar file; #a members
 *   a:names()                        their names; a folder's ends with "/"
 *   a:read(i)                        the bytes of member i
 *   a:unpack(folder)                 all of them, below a folder that is not there yet
 *   crun.archive.gunzip(bytes), decode_idx(bytes), decode_jpeg(bytes), decode_strokes(bytes),
 *   decode_cifar(bytes), decode_csv(bytes [, label])
 *
 * The formats are parsed in io/, without Lua; here they meet strings and tensors. */
#include <math.h>
#include <string.h>

#include "bind/bind.h"
#include "io/archive.h"
#include "io/cifar.h"
#include "io/csv.h"
#include "io/file.h"
#include "io/gzip.h"
#include "io/idx.h"
#include "io/image.h"
#include "io/inflate.h"
#include "io/jpeg.h"
#include "io/strokes.h"

static const char ARCHIVE[] = "crun.archive", HOLD[] = "crun.archive.hold";

/* What a call may hold, boxed so that a Lua error loses nothing. */
typedef struct hold {
  cr_buffer bytes, more;
  cr_archive archive;
  cr_csv csv;
} hold;

static int hold_clear(hold *h) {
  cr_archive_clear(&h->archive);
  cr_csv_clear(&h->csv);
  cr_buffer_clear(&h->bytes);
  cr_buffer_clear(&h->more);
  return 0;
}

static int hold_gc(lua_State *L) { return hold_clear(lua_touserdata(L, 1)); }

static hold *push_hold(lua_State *L, const char *kind) {
  hold *h = lua_newuserdatauv(L, sizeof *h, 0);
  memset(h, 0, sizeof *h);
  luaL_setmetatable(L, kind);
  return h;
}

static const char *where(lua_State *L) { return lua_tostring(L, lua_upvalueindex(1)); }

static int fail(lua_State *L, hold *h, cr_error *err) {
  if (h != NULL) hold_clear(h);
  return cr_bind_error(L, where(L), err);
}

static const char *check_bytes(lua_State *L, int index, const char *name, size_t *n) {
  if (lua_type(L, index) != LUA_TSTRING)
    cr_bind_errorf(L, where(L), "%s must be a string, got %s", name, cr_bind_type_name(L, index));
  return lua_tolstring(L, index, n);
}

static const char *check_path(lua_State *L, int index) {
  size_t n;
  const char *path = check_bytes(L, index, "the path", &n);
  if (n == 0 || strlen(path) != n)
    cr_bind_errorf(L, where(L), "the path is empty or has a NUL character in it");
  return path;
}

/* ARCHIVES */

static int open_archive(lua_State *L) {
  cr_error err = { 0 };
  const char *path = check_path(L, 1);
  hold *h = push_hold(L, ARCHIVE);
  bool ok = cr_file_read(path, 0, &h->bytes, &err);
  if (!ok) return fail(L, h, &err);
  if (cr_is_gzip(h->bytes.data, h->bytes.n)) {
    ok = cr_gzip_read(h->bytes.data, h->bytes.n, CR_UNPACKED_MOST, &h->more, &err);
    cr_buffer_clear(&h->bytes);
    h->bytes = h->more;
    h->more = (cr_buffer){ 0 };
  }
  ok = ok && cr_archive_open(h->bytes.data, h->bytes.n, &h->archive, &err);
  if (ok) return 1;
  cr_fail_in(&err, path);
  return fail(L, h, &err);
}

static hold *check_archive(lua_State *L) {
  hold *h = luaL_testudata(L, 1, ARCHIVE);
  if (h == NULL || h->bytes.data == NULL)
    cr_bind_errorf(L, where(L), "call it on an archive that is open, as a:names()");
  return h;
}

static int archive_count(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)check_archive(L)->archive.n);
  return 1;
}

static int archive_names(lua_State *L) {
  const cr_archive *a = &check_archive(L)->archive;
  lua_createtable(L, (int)a->n, 0);
  for (size_t i = 0; i < a->n; i++) {
    lua_pushfstring(L, "%s%s", a->member[i].name, a->member[i].folder ? "/" : "");
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

static int archive_read(lua_State *L) {
  cr_error err = { 0 };
  const cr_archive *a = &check_archive(L)->archive;
  int whole;
  lua_Integer i = lua_tointegerx(L, 2, &whole);
  if (!whole || i < 1 || i > (lua_Integer)a->n)
    return cr_bind_errorf(L, where(L), "expected the number of a member, 1 to %d", (int)a->n);
  hold *h = push_hold(L, HOLD);
  if (!cr_archive_read(&a->member[i - 1], &h->bytes, &err)) return fail(L, h, &err);
  lua_pushlstring(L, (const char *)h->bytes.data, h->bytes.n);
  hold_clear(h);
  return 1;
}

static int archive_unpack(lua_State *L) {
  cr_error err = { 0 };
  hold *h = check_archive(L);
  const char *folder = check_path(L, 2);
  return cr_archive_unpack(&h->archive, folder, &err) ? 0 : fail(L, NULL, &err);
}

static int archive_close(lua_State *L) { return hold_clear(luaL_checkudata(L, 1, ARCHIVE)); }

/* FORMATS */

static int gunzip(lua_State *L) {
  size_t n;
  cr_error err = { 0 };
  const char *bytes = check_bytes(L, 1, "the file's content", &n);
  hold *h = push_hold(L, HOLD);
  if (!cr_gzip_read(bytes, n, CR_UNPACKED_MOST, &h->bytes, &err)) return fail(L, h, &err);
  lua_pushlstring(L, (const char *)h->bytes.data, h->bytes.n);
  hold_clear(h);
  return 1;
}

static cr_tensor *jpeg_read(const void *bytes, size_t n, cr_error *err) {
  return cr_jpeg_read(bytes, n, CR_IMAGE_MAX_PIXELS, err);
}

typedef struct decoder { cr_tensor *(*read)(const void *bytes, size_t n, cr_error *err); } decoder;
static const decoder idx = { cr_idx_read }, jpeg = { jpeg_read }, strokes = { cr_strokes_read };

static int decode(lua_State *L) {                         /* decode_idx(bytes) -> tensor */
  size_t n;
  cr_error err = { 0 };
  const char *bytes = check_bytes(L, 1, "the file's content", &n);
  const decoder *d = lua_touserdata(L, lua_upvalueindex(2));
  cr_tensor **box = cr_bind_box(L);
  *box = d->read(bytes, n, &err);
  if (*box == NULL) return fail(L, NULL, &err);
  cr_bind_charge(L, *box);
  return 1;
}

static int decode_cifar(lua_State *L) {                   /* -> images, labels */
  size_t n;
  cr_error err = { 0 };
  const char *bytes = check_bytes(L, 1, "the file's content", &n);
  cr_tensor **images = cr_bind_box(L), **labels = cr_bind_box(L);
  if (!cr_cifar_read(bytes, n, images, labels, &err)) {
    *images = *labels = NULL;
    return fail(L, NULL, &err);
  }
  cr_bind_charge(L, *images);
  return 2;
}

/* CSV */

/* appends a cell's text to the list on the top of the stack */
static bool take_text(void *context, const char *text, size_t n, cr_error *err) {
  lua_State *L = context;
  (void)err;
  lua_pushlstring(L, text != NULL ? text : "", n);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  return true;
}

/* the column that argument 2 means, from 0; -1: none. names: the list on the top, or nil */
static int64_t label_column(lua_State *L, const cr_csv *csv) {
  int whole;
  lua_Integer number = lua_tointegerx(L, 2, &whole);
  if (whole && lua_type(L, 2) == LUA_TNUMBER) {
    if (number < 1 || number > csv->columns)
      cr_bind_errorf(L, where(L), "column %d does not exist, there are %d", (int)number,
                     (int)csv->columns);
    return number - 1;
  }
  if (!lua_isstring(L, 2) || !csv->header) return -1;
  for (int64_t k = 0; k < csv->columns; k++) {
    lua_rawgeti(L, -1, (lua_Integer)k + 1);
    bool same = lua_compare(L, 2, -1, LUA_OPEQ);
    lua_pop(L, 1);
    if (same) return k;
  }
  return -1;
}

/* decode_csv(bytes [, label]) -> real [N D] of the numeric columns but the label's, names of these
 * columns, names of the columns left out, and the texts of the label column (nil when there is
 * none). label: name or number of a column. */
static int decode_csv(lua_State *L) {
  size_t n;
  cr_error err = { 0 };
  const char *bytes = check_bytes(L, 1, "the file's content", &n);
  lua_settop(L, 2);
  hold *h = push_hold(L, HOLD);
  cr_csv *csv = &h->csv;
  if (!cr_csv_open(bytes, n, csv, &err)) return fail(L, h, &err);
  lua_newtable(L);
  if (csv->header && !cr_csv_names(csv, take_text, L, &err)) return fail(L, h, &err);
  int64_t label = label_column(L, csv), wanted = 0;
  int64_t *column = lua_newuserdatauv(L, (size_t)csv->columns * sizeof *column, 0);
  for (int64_t k = 0; k < csv->columns; k++)
    if (csv->numeric[k] && k != label) column[wanted++] = k;
  cr_tensor **box = cr_bind_box(L);
  *box = cr_tensor_new(CR_REAL, 2, (int64_t[]){ csv->rows, wanted }, &err);
  if (*box == NULL || !cr_csv_numbers(csv, column, wanted, cr_reals(*box), &err))
    return fail(L, h, &err);
  cr_bind_charge(L, *box);

  lua_newtable(L);                                        /* columns taken, columns left out */
  lua_newtable(L);
  for (int64_t k = 0; k < csv->columns; k++) {
    if (csv->header) lua_rawgeti(L, 4, (lua_Integer)k + 1);
    else lua_pushfstring(L, "%d", (int)k + 1);
    bool taken = csv->numeric[k] && k != label;
    int to = taken ? -3 : -2;
    if (k == label) lua_pop(L, 1);
    else lua_rawseti(L, to, (lua_Integer)lua_rawlen(L, to) + 1);
  }
  lua_pushnil(L);
  if (label >= 0) {
    lua_pop(L, 1);
    lua_newtable(L);
    if (!cr_csv_texts(csv, label, take_text, L, &err)) return fail(L, h, &err);
    if (csv->header) {                                    /* its first text is the header's */
      lua_getglobal(L, "table");
      lua_getfield(L, -1, "remove");
      lua_pushvalue(L, -3);
      lua_pushinteger(L, 1);
      lua_call(L, 2, 0);
      lua_pop(L, 1);
    }
  }
  hold_clear(h);
  return 4;
}

/* OPENING */

static void add(lua_State *L, const char *prefix, const char *name, lua_CFunction f,
                const decoder *d) {
  lua_pushfstring(L, "%s.%s", prefix, name);
  lua_pushlightuserdata(L, (void *)(uintptr_t)d);
  lua_pushcclosure(L, f, 2);
  lua_setfield(L, -2, name);
}


void cr_bind_archive_open(lua_State *L, int crun) {
  luaL_newmetatable(L, HOLD);
  lua_pushcfunction(L, hold_gc);
  lua_setfield(L, -2, "__gc");
  luaL_newmetatable(L, ARCHIVE);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, hold_gc);
  lua_setfield(L, -2, "__gc");
  add(L, "archive", "__len", archive_count, NULL);
  add(L, "archive", "names", archive_names, NULL);
  add(L, "archive", "read", archive_read, NULL);
  add(L, "archive", "unpack", archive_unpack, NULL);
  add(L, "archive", "close", archive_close, NULL);
  lua_pushcfunction(L, archive_close);
  lua_setfield(L, -2, "__close");
  lua_pop(L, 2);

  lua_newtable(L);
  add(L, "archive", "open", open_archive, NULL);
  add(L, "archive", "gunzip", gunzip, NULL);
  add(L, "archive", "decode_idx", decode, &idx);
  add(L, "archive", "decode_jpeg", decode, &jpeg);
  add(L, "archive", "decode_strokes", decode, &strokes);
  add(L, "archive", "decode_cifar", decode_cifar, NULL);
  add(L, "archive", "decode_csv", decode_csv, NULL);
  lua_setfield(L, crun, "archive");
}
