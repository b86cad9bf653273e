/* system.c - the process as Lua sees it: memory, threads, signals, errors, version */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/pool.h"
#include "bind/bind.h"
#include "bind/system.h"

#ifndef CR_VERSION
#define CR_VERSION "0.0"
#endif

/* ---- signals ------------------------------------------------------------------------------------------ */

static lua_State *volatile main_state;
static volatile sig_atomic_t caught;           /* the first signal, when a run asked to be told */
static volatile sig_atomic_t graceful;
static volatile sig_atomic_t stop_code;        /* exit status of a script that was stopped at once */

static void stop_hook(lua_State *L, lua_Debug *ar) {
  (void)ar;
  lua_sethook(L, NULL, 0, 0);
  luaL_error(L, "interrupted");
}

/* A hook is armed only here: one that is always on costs more than the script itself. */
static void on_signal(int number) {
  if (graceful && caught == 0) {
    caught = number;
    return;
  }
  stop_code = 128 + number;
  struct sigaction plain = { .sa_handler = SIG_DFL };
  sigaction(number, &plain, NULL);             /* once more, and the process ends */
  int when = LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT;
  if (main_state != NULL) lua_sethook(main_state, stop_hook, when, 1);
}

void cr_signals_install(lua_State *L) {
  main_state = L;
  struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
  sigaction(SIGINT, &action, NULL);
}

int cr_signals_exit_code(void) { return stop_code; }

/* catch_signals(on): the first SIGINT, SIGTERM or SIGUSR1 is only remembered; a second one stops the script at once. */
static int catch_signals(lua_State *L) {
  graceful = lua_toboolean(L, 1);
  caught = 0;
  struct sigaction action = { .sa_handler = graceful ? on_signal : SIG_DFL, .sa_flags = SA_RESTART };
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGUSR1, &action, NULL);
  action.sa_handler = on_signal;
  sigaction(SIGINT, &action, NULL);
  return 0;
}

static int interrupted(lua_State *L) {
  int number = caught;
  if (number == 0) return lua_pushnil(L), 1;
  return lua_pushstring(L, number == SIGINT ? "SIGINT" : number == SIGTERM ? "SIGTERM" : "SIGUSR1"), 1;
}

/* ---- errors ------------------------------------------------------------------------------------------- */

/* fail(where, text [, code]): raises at the script's own line; code becomes the exit status if nobody catches it.
 * With no script on the stack the text answers a command line: exit status 2, as every bad argument has. */
static int fail(lua_State *L) {
  const char *where = luaL_optstring(L, 1, NULL), *text = luaL_checkstring(L, 2);
  if (lua_isnoneornil(L, 3) && !cr_bind_in_script(L)) {
    lua_settop(L, 2);
    lua_pushinteger(L, 2);
  }
  if (!lua_isnoneornil(L, 3)) {
    lua_pushvalue(L, 3);
    lua_setfield(L, LUA_REGISTRYINDEX, "crun.exit_code");
    lua_pushstring(L, text);
    lua_setfield(L, LUA_REGISTRYINDEX, "crun.exit_text");
  }
  return cr_bind_raise(L, where, text);
}

static int leave(lua_State *L) {
  int code = (int)luaL_optinteger(L, 1, 0);
  lua_getglobal(L, "os");
  lua_getfield(L, -1, "exit");
  lua_pushinteger(L, code);
  lua_pushboolean(L, 1);
  lua_call(L, 2, 0);
  return 0;
}

/* ---- memory and threads --------------------------------------------------------------------------------- */

static int memory(lua_State *L) {
  cr_memory_stats m = cr_memory();
  lua_createtable(L, 0, 6);
  const struct { const char *name; uint64_t value; } fields[] = {
    { "live", m.live_bytes }, { "peak", m.peak_bytes }, { "held", m.held_bytes },
    { "ceiling", m.ceiling_bytes }, { "allocations", m.allocations }, { "system_calls", m.system_calls }
  };
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    lua_pushinteger(L, (lua_Integer)fields[i].value);
    lua_setfield(L, -2, fields[i].name);
  }
  return 1;
}

static int reset_peak(lua_State *L) {
  (void)L;
  cr_memory_reset_peak();
  return 0;
}

static int set_ceiling(lua_State *L) {
  lua_Integer bytes = luaL_optinteger(L, 1, 0);
  if (bytes < 0) return cr_bind_errorf(L, "memory_ceiling", "must be at least 0 bytes");
  cr_memory_set_ceiling((size_t)bytes);
  return 0;
}

/* fail_at(n [, all]): for tests: the n-th allocation from now on fails */
static int fail_at(lua_State *L) {
  cr_memory_fail_at((uint64_t)luaL_checkinteger(L, 1), lua_toboolean(L, 2));
  return 0;
}

static int threads(lua_State *L) {
  if (!lua_isnoneornil(L, 1)) {
    cr_error err;
    if (!cr_pool_set_threads((int)luaL_checkinteger(L, 1), &err)) return cr_bind_error(L, "threads", &err);
  }
  return lua_pushinteger(L, cr_pool_threads()), 1;
}

static const char *vector_level(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq"))
    return "avx512";
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "avx2";
#endif
  return "plain";
}

static const luaL_Reg functions[] = {
  { "catch_signals", catch_signals }, { "interrupted", interrupted }, { "fail", fail },
  { "exit", leave }, { "memory", memory }, { "memory_reset_peak", reset_peak },
  { "memory_ceiling", set_ceiling }, { "fail_at", fail_at }, { "threads", threads }, { NULL, NULL }
};

void cr_bind_system_open(lua_State *L, int crun) {
  lua_pushvalue(L, crun);
  luaL_setfuncs(L, functions, 0);
  lua_pushliteral(L, CR_VERSION);
  lua_setfield(L, -2, "version");
  lua_pushliteral(L, CR_REAL_NAME);
  lua_setfield(L, -2, "precision");
  lua_pushstring(L, vector_level());
  lua_setfield(L, -2, "vector");
  /* what main.c learnt from the command line */
  static const char *const fields[] = { "options", "script", "library", NULL };
  for (int i = 0; fields[i] != NULL; i++) {
    lua_pushfstring(L, "crun.%s", fields[i]);
    lua_gettable(L, LUA_REGISTRYINDEX);
    lua_setfield(L, -2, fields[i]);
  }
  lua_pop(L, 1);
}
