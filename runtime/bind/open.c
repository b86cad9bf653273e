/* open.c - puts the parts of bind/ together: the table that `require "crun.core"` returns */
#include "bind/bind.h"
#include "bind/capi.h"
#include "bind/scope.h"

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
  cr_bind_process_open(L, crun);
  cr_bind_yaml_open(L, crun);
  cr_bind_db_open(L, crun);
  cr_bind_archive_open(L, crun);
  cr_bind_loader_open(L, crun);
  cr_bind_probe_open(L, crun);
  lua_settop(L, crun);
  return 1;
}
