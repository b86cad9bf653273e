/* crun.h - the public header: C modules that work on crun's tensors and add losses to it
 *
 * A module is a shared object that Lua's require loads, written against this header and lua.h, and
 * linked with neither crun nor Lua:
 *
 *   #include <crun.h>
 *   int luaopen_mine(lua_State *L) {
 *     const crun_api *crun = crun_open(L);
 *     crun->register_loss(L, &loss);         pushes its constructor; crun.losses.NAME is there too
 *     return 1;
 *   }
 *
 *   gcc -O2 -shared -fPIC -I$(PREFIX)/include -I/usr/include/lua5.4 mine.c -o mine.so
 *
 * tests/rock/ is a worked example with its rockspec. All of crun is reached through one table of
 * functions, so a module that was built once works with every later crun of the same CRUN_ABI: new
 * functions are added at the end, and `bytes` says how much of the table is there.
 *
 * Tensors hold float32, or float64 under crun --double: look at `type`, or read and write with
 * crun_get and crun_set. Row numbers in int64 tensors count from 1, as in Lua. Functions that take
 * a lua_State raise Lua errors; a loss's own functions get none and can fail by `check` only. */
#ifndef CRUN_H
#define CRUN_H

#include <lauxlib.h>
#include <lua.h>
#include <stddef.h>
#include <stdint.h>

#define CRUN_ABI 1

enum crun_type { CRUN_FLOAT32, CRUN_FLOAT64, CRUN_INT64, CRUN_UINT8 };

typedef struct crun_tensor crun_tensor;

/* What a tensor shows; good as long as the tensor lives. data is NULL for an optional one that is
 * absent. Strides count elements. */
typedef struct crun_view {
  void *data;
  enum crun_type type;
  int ndim;
  const int64_t *shape, *stride;
} crun_view;

/* ---- losses ---------------------------------------------------------------------------------- */

enum { CRUN_OPTIONAL = 1, CRUN_NO_GRADIENT = 2 };       /* flags of an input */

/* shape: letters separated by blanks; one letter is one size in all inputs: "B D" and "B".
 * integers: int64 in place of real numbers, and never with a gradient. */
typedef struct crun_input { const char *name, *shape; int integers, flags; } crun_input;
typedef struct crun_option {
  const char *name;
  double value, least, most;
  const char *help;
} crun_option;

/* One call of a loss. Inputs are packed: stride need not be looked at. */
typedef struct crun_call {
  const crun_view *in;          /* in the order of crun_loss.inputs */
  const double *option;
  void *saved, *scratch;        /* as many bytes as asked for; saved lives on till backward */
  int wants_gradient;           /* forward: backward will follow, perhaps */
  double *stat;                 /* forward: one number for each name in stats */
  double loss;                  /* forward: the result */
  double gloss;                 /* backward: the derivative by it */
  const crun_view *gin;         /* backward: write every element; data NULL where none is wanted */
} crun_call;

typedef struct crun_loss {
  int abi;                      /* CRUN_ABI */
  const char *name, *help, *formula, *paper;            /* formula and paper may be NULL */
  const crun_input *inputs;     /* end with { 0 } */
  const crun_option *options;   /* end with { 0 }; NULL: none */
  const char *const *stats;     /* end with NULL; NULL: none */
  /* NULL when all is well, or what is wrong. Sees in and option, and says how much memory the
   * other two need. May itself be NULL. */
  const char *(*check)(const crun_call *c, size_t *saved_bytes, size_t *scratch_bytes);
  void (*forward)(crun_call *c);
  void (*backward)(crun_call *c);
} crun_loss;

/* ---- the table ------------------------------------------------------------------------------- */

typedef struct crun_api {
  int abi;
  size_t bytes;                 /* of this table */
  const char *version;          /* of crun */
  enum crun_type real;          /* CRUN_FLOAT32 or CRUN_FLOAT64 */

  /* The tensor at an index of the Lua stack; raises "WHERE: NAME must be a tensor, got ..." */
  const crun_tensor *(*check_tensor)(lua_State *L, int index, const char *where, const char *name);
  /* A new packed tensor of zeros on top of the Lua stack. type: CRUN_INT64, CRUN_UINT8, or either
   * real type, which gives the one of this process. */
  crun_tensor *(*push_tensor)(lua_State *L, enum crun_type type, int ndim, const int64_t *shape);
  crun_view (*view)(const crun_tensor *t);
  int (*is_packed)(const crun_tensor *t);
  /* Raises "script.lua:41: WHERE: text" at the user's line. */
  int (*fail)(lua_State *L, const char *where, const char *format, ...);
  /* Adds crun.losses.NAME and pushes it. The loss must live as long as the process. */
  void (*register_loss)(lua_State *L, const crun_loss *loss);
} crun_api;

/* The table; raises when there is none or when it is of another ABI. */
static inline const crun_api *crun_open(lua_State *L) {
  if (lua_getfield(L, LUA_REGISTRYINDEX, "crun.api") == LUA_TNIL) {
    lua_pop(L, 1);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "crun.core");
    lua_call(L, 1, 0);
    lua_getfield(L, LUA_REGISTRYINDEX, "crun.api");
  }
  const crun_api *api = (const crun_api *)lua_touserdata(L, -1);
  lua_pop(L, 1);
  if (api == NULL) luaL_error(L, "this module works under crun only");
  if (api->abi != CRUN_ABI)
    luaL_error(L, "this module was built for ABI %d of crun, this crun has %d: build it again",
               CRUN_ABI, api->abi);
  return api;
}

/* Element i of a packed tensor, as a double. */
static inline double crun_get(crun_view v, int64_t i) {
  switch (v.type) {
    case CRUN_FLOAT32: return ((const float *)v.data)[i];
    case CRUN_FLOAT64: return ((const double *)v.data)[i];
    case CRUN_INT64: return (double)((const int64_t *)v.data)[i];
    default: return ((const uint8_t *)v.data)[i];
  }
}

static inline void crun_set(crun_view v, int64_t i, double x) {
  switch (v.type) {
    case CRUN_FLOAT32: ((float *)v.data)[i] = (float)x; break;
    case CRUN_FLOAT64: ((double *)v.data)[i] = x; break;
    case CRUN_INT64: ((int64_t *)v.data)[i] = (int64_t)x; break;
    default: ((uint8_t *)v.data)[i] = (uint8_t)x; break;
  }
}

#endif
