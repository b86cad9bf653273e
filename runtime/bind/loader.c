/* loader.c - batches of changed images, made on threads ahead of the step that needs them
 *
 *   core = crun.loader.open(images, augment, workers, batches [, files])
 *   core:put(rows, epoch [, samples])    asks for a batch; at most `batches` may be under way
 *   x, seconds = core:take()         the oldest, real [B C h w], and how long it was waited for
 *   core:clear()                     drops all that are under way
 *
 * files: paths of JPEG files, which workers read, decode and resize too; images is then one image of
 * that size, for its shape. A file that cannot be read is an error of take.
 *
 * lua/crun/loader.lua makes `for x, rows in crun.loader { ... }` of this. The main thread allocates
 * every batch before a worker sees it; workers only run cr_photo_read and cr_kernel_image_change. */
#include <math.h>
#include <string.h>
#include <time.h>

#include "base/worker.h"
#include "bind/bind.h"
#include "data/augment.h"
#include "io/photo.h"

enum { BATCHES_MOST = 64, OPTIONS_MOST = 32, PIXELS_A_PIECE = 16384 };
static const char LOADER[] = "crun.loader.core";

typedef struct batch {
  cr_job job;
  const struct loader *loader;
  cr_tensor *rows, *samples, *out;    /* NULL: not under way; samples may be rows again */
  cr_image_change how;
  bool bad;                           /* a file of it cannot be read */
} batch;

typedef struct loader {
  cr_workers workers;
  bool running;
  cr_tensor *images;                  /* [N C H W], contiguous */
  cr_image_change how;
  real *scratch;                      /* of each worker, and of the one who waits */
  size_t scratch_reals;
  int64_t rows_a_piece;
  int64_t n;                          /* images or files */
  const char *const *path;            /* of each file, or NULL: images are there */
  cr_photo_room *room;                /* of each worker, with files */
  int rooms;
  int batches, first, under_way;
  batch batch[BATCHES_MOST];
} loader;

/* the bytes of row (from 0); NULL when its file cannot be read */
static const uint8_t *image(const loader *l, int64_t row, int worker, cr_error *err) {
  int64_t pixels = l->how.C * l->how.H * l->how.W;
  if (l->path == NULL) return cr_bytes(l->images) + row * pixels;
  uint8_t *out = (uint8_t *)(l->scratch + (size_t)l->rooms * l->scratch_reals) + worker * pixels;
  return cr_photo_read(&l->room[worker], l->path[row], out, err) ? out : NULL;
}

static bool make(const batch *b, int64_t i, int worker, cr_error *err) {
  const loader *l = b->loader;
  const cr_image_change *how = &b->how;
  const uint8_t *in = image(l, cr_ints(b->rows)[i] - 1, worker, err);
  if (in == NULL) return false;
  cr_kernel_image_change(how, in, cr_ints(b->samples)[i],
                         cr_reals(b->out) + i * how->C * how->h * how->w,
                         l->scratch + (size_t)worker * l->scratch_reals);
  return true;
}

static void piece(void *context, int64_t index, int worker) {
  batch *b = context;
  int64_t B = b->rows->shape[0], begin = index * b->loader->rows_a_piece;
  int64_t end = begin + b->loader->rows_a_piece;
  for (int64_t i = begin; i < end && i < B; i++)
    if (!make(b, i, worker, NULL)) __atomic_store_n(&b->bad, true, __ATOMIC_RELAXED);
}

static void release(batch *b) {
  cr_tensor_release(b->rows);
  cr_tensor_release(b->samples);
  cr_tensor_release(b->out);
  b->rows = b->samples = b->out = NULL;
}

static void drop_all(loader *l) {
  for (; l->under_way > 0; l->under_way--) {
    batch *b = &l->batch[l->first];
    cr_workers_drop(&l->workers, &b->job);
    release(b);
    l->first = (l->first + 1) % l->batches;
  }
}

static int loader_gc(lua_State *L) {
  loader *l = luaL_checkudata(L, 1, LOADER);
  if (l->running) {
    drop_all(l);
    cr_workers_stop(&l->workers);
    l->running = false;
  }
  for (int i = 0; l->room != NULL && i < l->rooms; i++) cr_photo_room_clear(&l->room[i]);
  cr_free(l->room);
  l->room = NULL;
  cr_tensor_release(l->images);
  cr_free(l->scratch);
  l->images = NULL;
  l->scratch = NULL;
  return 0;
}

/* Options as the descriptor orders them, from a table that crun.data.augment has accepted. */
static void read_options(lua_State *L, int table, double *option, cr_list *list) {
  const cr_option *o = cr_data_augment.options;
  for (int i = 0; o[i].name != NULL && i < OPTIONS_MOST; i++) {
    option[i] = o[i].value;
    list[i].n = 0;
    lua_getfield(L, table, o[i].name);
    if (o[i].kind == CR_COUNTS && lua_istable(L, -1)) {
      list[i].n = (int)lua_rawlen(L, -1) > CR_MAX_DIMS ? CR_MAX_DIMS : (int)lua_rawlen(L, -1);
      for (int k = 0; k < list[i].n; k++) {
        lua_rawgeti(L, -1, k + 1);
        list[i].at[k] = (int64_t)lua_tonumber(L, -1);
        lua_pop(L, 1);
      }
    } else if (o[i].kind == CR_COUNTS && lua_isnumber(L, -1)) {
      list[i] = (cr_list){ 1, { (int64_t)lua_tonumber(L, -1) } };
    } else if (o[i].kind == CR_CHOICE && lua_isstring(L, -1)) {
      const char *name = lua_tostring(L, -1), *at = strstr(o[i].choices, name);
      option[i] = 0;
      for (const char *p = o[i].choices; at != NULL && p < at; p++) option[i] += *p == ' ';
    } else if (lua_isnumber(L, -1)) {
      option[i] = lua_tonumber(L, -1);
    }
    lua_pop(L, 1);
  }
}

/* Paths of argument 5, as an array that lives in the loader's user value, with the strings. */
static void keep_paths(lua_State *L, loader *l, int table) {
  l->n = (int64_t)lua_rawlen(L, table);
  const char **path = lua_newuserdatauv(L, (size_t)(l->n + 1) * sizeof *path, 0);
  lua_createtable(L, (int)l->n + 1, 0);
  for (int64_t i = 0; i < l->n; i++) {
    if (lua_rawgeti(L, table, (lua_Integer)i + 1) != LUA_TSTRING)
      cr_bind_errorf(L, "loader", "files[%d] must be a path, got %s", (int)i + 1,
                     cr_bind_type_name(L, -1));
    path[i] = lua_tostring(L, -1);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_insert(L, -2);
  lua_rawseti(L, -2, (lua_Integer)l->n + 1);
  l->path = path;
}

static int open_loader(lua_State *L) {
  static const char where[] = "loader";
  cr_error err = { 0 };
  double option[OPTIONS_MOST];
  cr_list list[OPTIONS_MOST];
  cr_tensor *images = cr_bind_check_tensor(L, 1, where, "images");
  if (images->dtype != CR_BYTE || images->ndim != 4)
    return cr_bind_errorf(L, where, "images must be uint8 [N, C, H, W]");
  luaL_checktype(L, 2, LUA_TTABLE);
  int workers = (int)luaL_checkinteger(L, 3), batches = (int)luaL_checkinteger(L, 4);
  lua_settop(L, 5);
  read_options(L, 2, option, list);
  loader *l = lua_newuserdatauv(L, sizeof *l, 1);
  memset(l, 0, sizeof *l);
  luaL_setmetatable(L, LOADER);
  if (!cr_augment_how(option, list, images, &l->how, &err)) return cr_bind_error(L, where, &err);
  l->batches = batches < 1 ? 1 : batches > BATCHES_MOST ? BATCHES_MOST : batches;
  workers = workers < 0 ? 0 : workers > CR_WORKERS_MOST ? CR_WORKERS_MOST : workers;
  l->n = images->shape[0];
  if (lua_istable(L, 5)) {
    keep_paths(L, l, 5);
    lua_setiuservalue(L, 6, 1);
  }
  l->rooms = workers + 1;
  l->scratch_reals = cr_kernel_image_change_scratch(&l->how);
  l->rows_a_piece = PIXELS_A_PIECE / (l->how.C * l->how.h * l->how.w);
  if (l->rows_a_piece < 1 || l->path != NULL) l->rows_a_piece = 1;
  size_t bytes = l->scratch_reals * sizeof(real) + (size_t)(l->how.C * l->how.H * l->how.W);
  l->images = cr_tensor_contiguous(images, &err);
  l->scratch = cr_alloc((size_t)l->rooms * bytes, &err);
  bool ok = l->images != NULL && l->scratch != NULL;
  if (ok && l->path != NULL) {
    l->room = cr_alloc_zero((size_t)l->rooms * sizeof *l->room, &err);
    ok = l->room != NULL;
    for (int i = 0; ok && i < l->rooms; i++)
      ok = cr_photo_room_init(&l->room[i], l->how.H, l->how.W, &err);
  }
  if (!ok) return cr_bind_error(L, where, &err);
  cr_workers_start(&l->workers, workers);
  l->running = true;
  return 1;
}

static loader *check(lua_State *L) {
  loader *l = luaL_checkudata(L, 1, LOADER);
  if (!l->running) cr_bind_errorf(L, "loader", "it is closed");
  return l;
}

static int put(lua_State *L) {
  static const char where[] = "loader";
  cr_error err = { 0 };
  loader *l = check(L);
  cr_tensor *rows = cr_bind_check_tensor(L, 2, where, "the sampler's rows");
  if (rows->dtype != CR_INT || rows->ndim != 1)
    return cr_bind_errorf(L, where, "the sampler must give int64 rows [B], got %s of %d dimensions",
                          cr_dtype_name(rows->dtype), rows->ndim);
  cr_tensor *samples = lua_isnoneornil(L, 4) ? rows
    : cr_bind_check_tensor(L, 4, where, "samples");
  if (samples->dtype != CR_INT || !cr_tensor_same_shape(samples, rows))
    return cr_bind_errorf(L, where, "samples must be int64, one for each row");
  if (l->under_way == l->batches) return cr_bind_errorf(L, where, "too many batches under way");
  for (int64_t i = 0; i < rows->shape[0]; i++) {
    int64_t row = (int64_t)cr_ints(rows)[i * rows->stride[0]];
    if (row < 1 || row > l->n)
      return cr_bind_errorf(L, where, "rows[%d] must be in 1 .. %lld, got %lld", (int)i + 1,
                            (long long)l->n, (long long)row);
  }
  batch *b = &l->batch[(l->first + l->under_way) % l->batches];
  int64_t B = rows->shape[0], shape[4] = { B, l->how.C, l->how.h, l->how.w };
  b->rows = cr_tensor_contiguous(rows, &err);
  b->samples = b->rows == NULL ? NULL : cr_tensor_contiguous(samples, &err);
  b->out = b->samples == NULL ? NULL : cr_tensor_new(CR_REAL, 4, shape, &err);
  if (b->out == NULL) {
    release(b);
    return cr_bind_error(L, where, &err);
  }
  b->loader = l;
  b->bad = false;
  b->how = l->how;
  b->how.epoch = (uint64_t)luaL_checkinteger(L, 3);
  b->job = (cr_job){ .fn = piece, .context = b,
    .pieces = (B + l->rows_a_piece - 1) / l->rows_a_piece };
  l->under_way++;
  cr_workers_add(&l->workers, &b->job);
  return 0;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int take(lua_State *L) {
  loader *l = check(L);
  if (l->under_way == 0) return cr_bind_errorf(L, "loader", "no batch is under way");
  cr_tensor **box = cr_bind_box(L);
  batch *b = &l->batch[l->first];
  double began = now();
  cr_workers_wait(&l->workers, &b->job);
  cr_error err = { 0 };
  for (int64_t i = 0; b->bad && i < b->rows->shape[0]; i++) /* once more, for the reason */
    if (!make(b, i, l->workers.threads, &err)) return cr_bind_error(L, "loader", &err);
  *box = b->out;
  b->out = NULL;
  release(b);
  l->first = (l->first + 1) % l->batches;
  l->under_way--;
  double waited = now() - began;
  cr_bind_charge(L, *box);
  lua_pushnumber(L, waited);
  return 2;
}

static int clear(lua_State *L) {
  drop_all(check(L));
  return 0;
}

/* crun.loader { ... } is written in Lua, loaded when it is first called */
static int call(lua_State *L) {
  lua_settop(L, 2);
  lua_getglobal(L, "require");
  lua_pushstring(L, "crun.loader");
  lua_call(L, 1, 1);
  lua_insert(L, 2);
  lua_call(L, 1, 1);
  return 1;
}


void cr_bind_loader_open(lua_State *L, int crun) {
  static const luaL_Reg methods[] = {
    { "put", put }, { "take", take }, { "clear", clear }, { "close", loader_gc },
    { "__gc", loader_gc }, { NULL, NULL }
  };
  luaL_newmetatable(L, LOADER);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  lua_newtable(L);
  lua_pushcfunction(L, open_loader);
  lua_setfield(L, -2, "open");
  lua_newtable(L);
  lua_pushcfunction(L, call);
  lua_setfield(L, -2, "__call");
  lua_setmetatable(L, -2);
  lua_setfield(L, crun, "loader");
}
