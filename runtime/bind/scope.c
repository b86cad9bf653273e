/* scope.c - crun.open_scope(): frees at its end the tensors that were made inside it
 *
 * While a scope is open every box is noted in its list, weakly, so that the collector may still take it earlier. Closing releases
 * what is left but for what keep() named, which passes to the scope around it, if there is one. */
#include "bind/bind.h"
#include "bind/scope.h"

static const char SCOPE[] = "crun.scope";
static const char key = 0;              /* registry[&key]: the innermost open scope */
static int open_scopes;

enum { LIST = 1, KEPT = 2, OUTER = 3 };

typedef struct scope { lua_Integer count; bool open; } scope;

/* Notes the box at the top of the stack in the scope at `at`. */
static void note(lua_State *L, int at, scope *s) {
  lua_getiuservalue(L, at, LIST);
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, ++s->count);
  lua_pop(L, 1);
}

void cr_scope_note(lua_State *L) {
  if (open_scopes == 0) return;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key);
  lua_insert(L, -2);
  note(L, lua_gettop(L) - 1, lua_touserdata(L, -2));
  lua_remove(L, -2);
}

static int open_scope(lua_State *L) {
  scope *s = lua_newuserdatauv(L, sizeof *s, 3);
  *s = (scope){ 0, false };
  luaL_setmetatable(L, SCOPE);
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_setiuservalue(L, -2, LIST);
  lua_newtable(L);
  lua_setiuservalue(L, -2, KEPT);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key);
  lua_setiuservalue(L, -2, OUTER);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
  s->open = true;
  open_scopes++;
  return 1;
}

/* Puts the tensor at the top into the table below it as a key, and pops it. */
static void keep_one(lua_State *L, int kept) {
  if (cr_bind_to_tensor(L, -1) == NULL) {
    lua_pop(L, 1);
    return;
  }
  lua_pushboolean(L, 1);
  lua_rawset(L, kept);
}

/* guard:keep(...): its arguments, and tensors in tables among them, outlive the scope; returns them */
static int keep(lua_State *L) {
  luaL_checkudata(L, 1, SCOPE);
  int n = lua_gettop(L);
  lua_getiuservalue(L, 1, KEPT);
  int kept = n + 1;
  for (int i = 2; i <= n; i++) {
    if (lua_istable(L, i)) {
      for (lua_pushnil(L); lua_next(L, i) != 0;) keep_one(L, kept);
    } else {
      lua_pushvalue(L, i);
      keep_one(L, kept);
    }
  }
  lua_settop(L, n);
  return n - 1;
}

static int close_scope(lua_State *L) {
  scope *s = luaL_checkudata(L, 1, SCOPE);
  if (!s->open) return 0;
  s->open = false;
  open_scopes--;
  lua_settop(L, 1);
  lua_getiuservalue(L, 1, LIST);
  lua_getiuservalue(L, 1, KEPT);
  lua_getiuservalue(L, 1, OUTER);
  lua_pushvalue(L, 4);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
  for (lua_Integer i = 1; i <= s->count; i++) {
    if (lua_rawgeti(L, 2, i) == LUA_TUSERDATA) {
      lua_pushvalue(L, -1);
      bool kept = lua_rawget(L, 3) != LUA_TNIL;
      lua_pop(L, 1);
      cr_tensor **box = lua_touserdata(L, -1);
      if (!kept) {
        cr_tensor *t = *box;
        *box = NULL;
        cr_tensor_release(t);
      } else if (lua_isuserdata(L, 4)) {
        note(L, 4, lua_touserdata(L, 4));
      }
    }
    lua_pop(L, 1);
  }
  return 0;
}

void cr_scope_open(lua_State *L, int crun) {
  luaL_newmetatable(L, SCOPE);
  lua_pushcfunction(L, close_scope);
  lua_setfield(L, -2, "__close");
  lua_newtable(L);
  lua_pushcfunction(L, keep);
  lua_setfield(L, -2, "keep");
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  lua_pushcfunction(L, open_scope);
  lua_setfield(L, crun, "open_scope");
}
