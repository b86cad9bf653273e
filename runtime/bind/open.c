/* open.c - puts the parts of bind/ together: the table that `require "crun.core"` returns */
#include "bind/bind.h"
#include "bind/capi.h"
#include "bind/scope.h"

__attribute__((weak)) int cr_bind_io(lua_State *L) {
  lua_newtable(L);
  return 1;
}

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
  lua_settop(L, crun);
  return 1;
}
