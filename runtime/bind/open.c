/* open.c - puts the parts of bind/ together: the table that `require "crun.core"` returns */
#include "bind/bind.h"
#include "bind/capi.h"
#include "bind/scope.h"

/* parts that add their own table to crun, where they are built in */
typedef void (*part)(lua_State *L, int crun);
#define PART(name) extern __attribute__((weak)) void name(lua_State *L, int crun)
PART(cr_bind_process_open);                     /* crun.process: programs started and watched */
PART(cr_bind_yaml_open);                        /* crun.yaml */
PART(cr_bind_db_open);                          /* crun.db: SQLite */
PART(cr_bind_archive_open);                     /* crun.archive: gzip, zip, IDX, JPEG, CSV */
PART(cr_bind_loader_open);                      /* crun.loader: samples made ahead on threads */
PART(cr_bind_probe_open);                       /* crun.limits: what the machine can do */

int cr_bind_open(lua_State *L) {
  lua_newtable(L);
  int crun = lua_gettop(L);
  cr_bind_tensor_open(L, crun);
  cr_bind_ops_open(L, crun);
  cr_bind_rng_open(L, crun);
  cr_bind_system_open(L, crun);
  cr_scope_open(L, crun);
  cr_capi_open(L);
  cr_bind_io(L);
  lua_setfield(L, crun, "io");
  const part parts[] = { cr_bind_process_open, cr_bind_yaml_open, cr_bind_db_open,
    cr_bind_archive_open, cr_bind_loader_open, cr_bind_probe_open };
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    if (parts[i] != NULL) parts[i](L, crun);
  lua_settop(L, crun);
  return 1;
}
