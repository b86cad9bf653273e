/* rng.c - crun.rng(seed [, stream [, place]]): random numbers with an address
 *
 * Equal addresses give equal numbers. stream is a name or a number, one for each purpose; place is which sample, step
 * or row. The generator advances as it draws; state() and restore() are for checkpoints. */
#include "base/rng.h"

#include <math.h>
#include <string.h>

#include "bind/bind.h"

static const char RNG[] = "crun.rng";

cr_rng *cr_bind_check_rng(lua_State *L, int index, const char *where) {
  cr_rng *rng = luaL_testudata(L, index, RNG);
  if (rng == NULL)
    cr_bind_errorf(L, where, "takes a generator, crun.rng(seed, \"stream\"), first; got %s",
                   cr_bind_type_name(L, index));
  return rng;
}

static uint64_t check_whole(lua_State *L, int index, const char *argument) {
  int whole;
  lua_Integer v = lua_tointegerx(L, index, &whole);
  if (!whole || v < 0)
    cr_bind_errorf(L, "rng", "%s must be a whole number of at least 0, got %s", argument,
                   whole ? "a negative one" : cr_bind_type_name(L, index));
  return (uint64_t)v;
}

static int new(lua_State *L) {
  uint64_t seed = check_whole(L, 1, "seed"), stream = 0, place = 0;
  if (lua_type(L, 2) == LUA_TSTRING) stream = cr_rng_hash(lua_tostring(L, 2));
  else if (!lua_isnoneornil(L, 2)) stream = check_whole(L, 2, "stream");
  if (!lua_isnoneornil(L, 3)) place = check_whole(L, 3, "place");
  cr_rng *rng = lua_newuserdatauv(L, sizeof *rng, 0);
  *rng = cr_rng_at(seed, stream, place);
  luaL_setmetatable(L, RNG);
  return 1;
}

/* rng:uniform([low, high]): [0, 1) unless told */
static int uniform(lua_State *L) {
  cr_rng *rng = cr_bind_check_rng(L, 1, "rng:uniform");
  double low = luaL_optnumber(L, 2, 0), high = luaL_optnumber(L, 3, 1);
  return lua_pushnumber(L, low + (high - low) * cr_rng_uniform(rng)), 1;
}

static int normal(lua_State *L) {
  return lua_pushnumber(L, cr_rng_normal(cr_bind_check_rng(L, 1, "rng:normal"))), 1;
}

/* rng:below(n): uniform in 1 .. n */
static int below(lua_State *L) {
  cr_rng *rng = cr_bind_check_rng(L, 1, "rng:below");
  lua_Integer n = luaL_checkinteger(L, 2);
  if (n < 1) return cr_bind_errorf(L, "rng:below", "n must be at least 1, got %lld", (long long)n);
  return lua_pushinteger(L, 1 + (lua_Integer)cr_rng_below(rng, (uint64_t)n)), 1;
}

/* rng:at(place): a fresh generator of the same seed and stream at another place */
static int at(lua_State *L) {
  cr_rng *rng = cr_bind_check_rng(L, 1, "rng:at");
  uint64_t place = check_whole(L, 2, "place");
  cr_rng *other = lua_newuserdatauv(L, sizeof *other, 0);
  *other = *rng;
  other->place = place;
  other->draw = 0;
  luaL_setmetatable(L, RNG);
  return 1;
}

static int shuffle(lua_State *L) {
  cr_rng *rng = cr_bind_check_rng(L, 1, "rng:shuffle");
  luaL_checktype(L, 2, LUA_TTABLE);
  for (lua_Integer i = (lua_Integer)lua_rawlen(L, 2); i > 1; i--) {
    lua_Integer j = 1 + (lua_Integer)cr_rng_below(rng, (uint64_t)i);
    lua_rawgeti(L, 2, i);
    lua_rawgeti(L, 2, j);
    lua_rawseti(L, 2, i);
    lua_rawseti(L, 2, j);
  }
  return lua_settop(L, 2), 1;
}

static int state(lua_State *L) {
  cr_rng *rng = cr_bind_check_rng(L, 1, "rng:state");
  lua_pushfstring(L, "%I %I %I %I", (LUAI_UACINT)rng->key[0], (LUAI_UACINT)rng->key[1],
                  (LUAI_UACINT)rng->place, (LUAI_UACINT)rng->draw);
  return 1;
}

static int restore(lua_State *L) {
  cr_rng *rng = cr_bind_check_rng(L, 1, "rng:restore");
  const char *text = luaL_checkstring(L, 2);
  long long key0, key1, place, draw;
  char rest;
  if (sscanf(text, "%lld %lld %lld %lld%c", &key0, &key1, &place, &draw, &rest) != 4)
    return cr_bind_errorf(L, "rng:restore", "that is not the state of a generator");
  rng->key[0] = (uint32_t)key0;
  rng->key[1] = (uint32_t)key1;
  rng->place = (uint64_t)place;
  rng->draw = (uint64_t)draw & ~(uint64_t)3;
  while (rng->draw < (uint64_t)draw) cr_rng_u32(rng);       /* at most three: fills the block of words */
  return lua_settop(L, 1), 1;
}

static const luaL_Reg methods[] = {
  { "uniform", uniform }, { "normal", normal }, { "below", below }, { "at", at },
  { "shuffle", shuffle }, { "state", state }, { "restore", restore }, { NULL, NULL }
};

void cr_bind_rng_open(lua_State *L, int crun) {
  luaL_newmetatable(L, RNG);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  lua_pushcfunction(L, new);
  lua_setfield(L, crun, "rng");
}
