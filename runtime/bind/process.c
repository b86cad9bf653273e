/* process.c - crun.process: programs started, watched and ended; locks that die with their holder
 *
 *   local pid = crun.process.spawn { command = { "/bin/ls", "-l" }, env = { LANG = "C" },
 *                                    output = "log.txt", folder = "/tmp" }
 *   crun.process.poll(pid)      nil while it runs; then, once, how it ended
 *
 * posix_spawn, never a bare fork: a child of fork has one thread and the locks of all others. A child
 * leads a process group of its own (Ctrl-C at the terminal is for us alone), has no file of ours open,
 * /dev/null as its input, both outputs at the end of one file, and no signal ignored or blocked. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bind/bind.h"

extern char **environ;


static const char LOCK[] = "crun.process.lock";

/* ---- starting ------------------------------------------------------------------------------------- */

static const char *text_field(lua_State *L, const char *name) {
  int type = lua_getfield(L, 1, name);
  if (type != LUA_TNIL && type != LUA_TSTRING)
    cr_bind_errorf(L, "process.spawn", "%s must be a string, got %s", name, cr_bind_type_name(L, -1));
  return lua_tostring(L, -1);                   /* stays on the stack, and so alive */
}

/* The command as an array for exec; its strings live in the table at the top. */
static char **push_command(lua_State *L) {
  if (lua_getfield(L, 1, "command") != LUA_TTABLE || lua_rawlen(L, -1) == 0)
    cr_bind_errorf(L, "process.spawn", "command must be a list of a program and its arguments");
  lua_Integer n = (lua_Integer)lua_rawlen(L, -1);
  char **list = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof *list, 0);
  for (lua_Integer i = 1; i <= n; i++) {
    if (lua_rawgeti(L, -2, i) != LUA_TSTRING)
      cr_bind_errorf(L, "process.spawn", "argument %d of command must be a string, got %s", (int)i,
                     cr_bind_type_name(L, -1));
    list[i - 1] = (char *)(uintptr_t)lua_tostring(L, -1);
    lua_pop(L, 1);
  }
  list[n] = NULL;
  return list;
}

/* Our environment with the changes in field env. */
static char **push_environment(lua_State *L) {
  size_t n = 0, changes = 0;
  while (environ[n] != NULL) n++;
  bool has = lua_getfield(L, 1, "env") == LUA_TTABLE;
  if (has)
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) changes++;
  char **list = lua_newuserdatauv(L, (n + changes + 1) * sizeof *list, 0);
  size_t count = 0;
  lua_newtable(L);                              /* keeps the new strings alive: env, list, kept */
  if (has) {
    for (lua_pushnil(L); lua_next(L, -4); lua_pop(L, 1)) {
      if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
        cr_bind_errorf(L, "process.spawn", "env must map names to strings");
      list[count++] = (char *)(uintptr_t)lua_pushfstring(L, "%s=%s", lua_tostring(L, -2), lua_tostring(L, -1));
      lua_rawseti(L, -4, (lua_Integer)count);
    }
  }
  size_t given = count;
  for (size_t i = 0; i < n; i++) {
    const char *equal = strchr(environ[i], '=');
    size_t name = equal ? (size_t)(equal - environ[i]) + 1 : 0;
    bool changed = false;
    for (size_t k = 0; k < given && name > 0; k++) changed = changed || strncmp(list[k], environ[i], name) == 0;
    if (!changed) list[count++] = environ[i];
  }
  list[count] = NULL;
  return list;
}

static int start(pid_t *pid, char **command, char **environment, const char *output, const char *folder) {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t how;
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  int error = posix_spawn_file_actions_init(&files);
  if (error != 0) return error;
  error = posix_spawnattr_init(&how);
  if (error != 0) {
    posix_spawn_file_actions_destroy(&files);
    return error;
  }
  if (folder != NULL) error = posix_spawn_file_actions_addchdir_np(&files, folder);
  if (error == 0) error = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  if (error == 0)
    error = posix_spawn_file_actions_addopen(&files, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0666);
  if (error == 0) error = posix_spawn_file_actions_adddup2(&files, 1, 2);
  if (error == 0) error = posix_spawn_file_actions_addclosefrom_np(&files, 3);
  if (error == 0)
    error = posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                             POSIX_SPAWN_SETSIGDEF);
  if (error == 0) error = posix_spawnattr_setpgroup(&how, 0);
  if (error == 0) error = posix_spawnattr_setsigmask(&how, &none);
  if (error == 0) error = posix_spawnattr_setsigdefault(&how, &all);
  if (error == 0) error = posix_spawnp(pid, command[0], &files, &how, command, environment);
  posix_spawnattr_destroy(&how);
  posix_spawn_file_actions_destroy(&files);
  return error;
}

/* spawn { command = { ... }, env = , output = , folder = } -> process id */
static int spawn(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  const char *output = text_field(L, "output"), *folder = text_field(L, "folder");
  char **command = push_command(L), **environment = push_environment(L);
  pid_t pid;
  int error = start(&pid, command, environment, output ? output : "/dev/null", folder);
  if (error != 0)
    return cr_bind_errorf(L, "process.spawn", "cannot start %s%s%s: %s", command[0],
                          output ? " with output to " : "", output ? output : "", strerror(error));
  lua_pushinteger(L, pid);
  return 1;
}

/* ---- watching and ending -------------------------------------------------------------------------- */

static pid_t check_pid(lua_State *L) {
  lua_Integer pid = luaL_checkinteger(L, 1);
  luaL_argcheck(L, pid > 1 && pid <= INT_MAX, 1, "a process id is greater than 1");
  return (pid_t)pid;
}

static void set_number(lua_State *L, const char *name, double value) {
  lua_pushnumber(L, value);
  lua_setfield(L, -2, name);
}

static double seconds(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec * 1e-6; }

/* poll(pid) -> nil while the child runs, or { code = or signal = , user = , system = (seconds), peak_mb = }; the
 * second time, and for a process that is no child: false */
static int poll_child(lua_State *L) {
  int status;
  struct rusage use;
  pid_t pid = check_pid(L), got = wait4(pid, &status, WNOHANG, &use);
  if (got == 0 || (got < 0 && errno == EINTR)) return lua_pushnil(L), 1;
  if (got < 0) return lua_pushboolean(L, 0), 1;
  lua_createtable(L, 0, 4);
  lua_pushinteger(L, WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
  lua_setfield(L, -2, WIFSIGNALED(status) ? "signal" : "code");
  set_number(L, "user", seconds(use.ru_utime));
  set_number(L, "system", seconds(use.ru_stime));
  set_number(L, "peak_mb", (double)use.ru_maxrss / 1024);
  return 1;
}

/* kill(pid, "TERM" [, group]) -> whether there was somebody to tell */
static int kill_process(lua_State *L) {
  static const char *const names[] = { "TERM", "KILL", "INT", "USR1", "STOP", "CONT", NULL };
  static const int numbers[] = { SIGTERM, SIGKILL, SIGINT, SIGUSR1, SIGSTOP, SIGCONT };
  pid_t pid = check_pid(L);
  int number = numbers[luaL_checkoption(L, 2, "TERM", names)];
  lua_pushboolean(L, kill(lua_toboolean(L, 3) ? -pid : pid, number) == 0);
  return 1;
}

/* look(pid) -> { state = "R", parent = , start = (clock ticks since boot), rss_mb = }, or nil: no such process */
static int look(lua_State *L) {
  char path[64], line[1024], state;
  snprintf(path, sizeof path, "/proc/%d/stat", (int)check_pid(L));
  FILE *file = fopen(path, "re");
  if (file == NULL) return lua_pushnil(L), 1;
  size_t n = fread(line, 1, sizeof line - 1, file);
  fclose(file);
  line[n] = '\0';
  const char *rest = strrchr(line, ')');        /* the name may hold anything */
  int parent;
  unsigned long long started;
  long pages;
  if (rest == NULL || sscanf(rest + 1, " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
                             "%*d %*d %llu %*u %ld", &state, &parent, &started, &pages) != 4)
    return lua_pushnil(L), 1;
  lua_createtable(L, 0, 4);
  lua_pushlstring(L, &state, 1);
  lua_setfield(L, -2, "state");
  lua_pushinteger(L, parent);
  lua_setfield(L, -2, "parent");
  lua_pushinteger(L, (lua_Integer)started);
  lua_setfield(L, -2, "start");
  set_number(L, "rss_mb", (double)pages * (double)sysconf(_SC_PAGESIZE) / 1048576);
  return 1;
}

/* sleep(seconds): shorter when a signal comes */
static int sleep_for(lua_State *L) {
  double s = luaL_checknumber(L, 1);
  if (!(s > 0)) return 0;
  if (s > 3600) s = 3600;
  struct timespec time = { .tv_sec = (time_t)s };
  time.tv_nsec = (long)((s - (double)time.tv_sec) * 1e9);
  nanosleep(&time, NULL);
  return 0;
}

/* cores(): those this process may run on */
static int cores(lua_State *L) {
  cpu_set_t set;
  int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  lua_pushinteger(L, n);
  return 1;
}

/* ---- locks ---------------------------------------------------------------------------------------- */

/* lock(path, text) -> a lock, or nil and what its holder wrote. The system lets go of it when the process ends,
 * however it ends, so a lock is never stale. :release(), or to-be-closed. The file stays. */
static int lock(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  size_t n;
  const char *text = luaL_optlstring(L, 2, "", &n);
  int *fd = lua_newuserdatauv(L, sizeof *fd, 0);
  *fd = -1;
  luaL_setmetatable(L, LOCK);
  *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (*fd < 0) return cr_bind_errorf(L, "process.lock", "cannot open '%.300s': %s", path, strerror(errno));
  if (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK)
      return cr_bind_errorf(L, "process.lock", "cannot lock '%.300s': %s", path, strerror(errno));
    char holder[512];
    ssize_t got = pread(*fd, holder, sizeof holder, 0);
    close(*fd);
    *fd = -1;
    lua_pushnil(L);
    lua_pushlstring(L, holder, got > 0 ? (size_t)got : 0);
    return 2;
  }
  if (n > 0 && (ftruncate(*fd, 0) != 0 || pwrite(*fd, text, n, 0) != (ssize_t)n))
    return cr_bind_errorf(L, "process.lock", "cannot write '%.300s': %s", path, strerror(errno));
  return 1;
}

static int release(lua_State *L) {
  int *fd = luaL_checkudata(L, 1, LOCK);
  if (*fd >= 0) close(*fd);
  *fd = -1;
  return 0;
}

void cr_bind_process_open(lua_State *L, int crun) {
  static const luaL_Reg functions[] = { { "spawn", spawn }, { "poll", poll_child }, { "kill", kill_process },
    { "look", look }, { "sleep", sleep_for }, { "cores", cores }, { "lock", lock }, { NULL, NULL } };
  static const luaL_Reg methods[] = { { "release", release }, { "__gc", release }, { "__close", release },
    { NULL, NULL } };
  luaL_newmetatable(L, LOCK);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  luaL_newlib(L, functions);
  char exe[PATH_MAX];
  ssize_t n = readlink("/proc/self/exe", exe, sizeof exe);
  if (n > 0) {
    lua_pushlstring(L, exe, (size_t)n);
    lua_setfield(L, -2, "executable");
  }
  lua_setfield(L, crun, "process");
}
