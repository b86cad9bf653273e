/* bind.h - Lua stack <-> runtime; the only room that sees lua.h
 *
 * A Lua error is a jump: whatever a C function holds at that moment is lost. So every function here reads and checks its
 * arguments first; then boxes first and fills second (push an empty userdata, then let it own something); and holds nothing
 * outside a box across a call into the Lua API that may raise. */
#ifndef CR_BIND_BIND_H
#define CR_BIND_BIND_H

#include <lua.h>
#include <lauxlib.h>

#if LUA_VERSION_NUM != 504
#error "crun is written for Lua 5.4"
#endif

#include "autograd/graph.h"
#include "base/error.h"
#include "tensor/tensor.h"

/* Raises "script.lua:41: WHERE: TEXT" at the first stack frame outside the library (lua/crun/). where may be NULL. */
int cr_bind_raise(lua_State *L, const char *where, const char *text);
bool cr_bind_in_script(lua_State *L);             /* whether a frame outside the library is on the stack */
int cr_bind_error(lua_State *L, const char *where, const cr_error *err);     /* the same, from an error */
int cr_bind_errorf(lua_State *L, const char *where, const char *format, ...)
  __attribute__((format(printf, 3, 4)));
/* "; did you mean 'margin'?" or "" into text, from names ended by NULL */
const char *cr_bind_nearest(const char *name, const char *const *names, char *text, size_t size);

/* Tensors. A box is a userdata that owns one reference, or nothing yet. */
cr_tensor **cr_bind_box(lua_State *L);                             /* pushes an empty box */
cr_tensor *cr_bind_to_tensor(lua_State *L, int index);             /* borrowed, or NULL: not a tensor */
cr_tensor *cr_bind_check_tensor(lua_State *L, int index, const char *where, const char *argument);
/* Tells the collector what the tensors it cannot see weigh. Call when everything is boxed. */
void cr_bind_charge(lua_State *L, const cr_tensor *t);
/* A shape from arguments first .. top (numbers), or from one array at `first`; returns ndim. */
int cr_bind_shape(lua_State *L, int first, const char *where, int64_t shape[CR_MAX_DIMS]);
const char *cr_bind_type_name(lua_State *L, int index);            /* "a tensor", "a string", "nothing" */

/* The parts; each pushes one table (or fills the one on the top) */
void cr_bind_tensor_open(lua_State *L, int crun);      /* tensor methods, factories, no_grad */
void cr_bind_ops_open(lua_State *L, int crun);         /* everything in the registry */
void cr_bind_push_maker(lua_State *L, const cr_op_info *info); /* f { options } of a loss or miner */
void cr_bind_rng_open(lua_State *L, int crun);
void cr_bind_system_open(lua_State *L, int crun);      /* memory, threads, signals, fail, version */
int cr_bind_io(lua_State *L);                          /* pushes crun.io */
void cr_bind_process_open(lua_State *L, int crun);     /* crun.process: programs started and watched */
void cr_bind_yaml_open(lua_State *L, int crun);        /* crun.yaml */
void cr_bind_db_open(lua_State *L, int crun);          /* crun.db: SQLite */
void cr_bind_archive_open(lua_State *L, int crun);     /* crun.archive: gzip, zip, IDX, JPEG, CSV */
void cr_bind_loader_open(lua_State *L, int crun);      /* samples made ahead on threads */
void cr_bind_probe_open(lua_State *L, int crun);       /* what the machine can do */
int cr_bind_open(lua_State *L);                        /* luaopen_crun_core */

/* The rng at index, which the caller may advance; raises when it is none. */
struct cr_rng *cr_bind_check_rng(lua_State *L, int index, const char *where);

/* Printing, for __tostring: pushes a string */
void cr_bind_push_text(lua_State *L, const cr_tensor *t);

/* Written by the Makefile from the file names. */
typedef struct cr_registered { const char *room; const cr_op *op; } cr_registered;
extern const cr_registered cr_registry[];              /* ends with { NULL, NULL } */

#endif
