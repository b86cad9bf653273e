/* main.c - crun SCRIPT [ARGS...]: a Lua 5.4 interpreter with crun inside
 *
 * For plain scripts it is a drop-in for lua5.4: -e -l -i -v -E -W -, LUA_PATH, LUA_CPATH, LUA_INIT, arg, exit status. Its own
 * options are read into a table for the Lua side; commands (crun help, crun resume ...) live in lua/crun/cli.lua. */
#define _GNU_SOURCE
#include <errno.h>
#include <lauxlib.h>
#include <libgen.h>
#include <limits.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/pool.h"
#include "bind/bind.h"
#include "bind/system.h"

enum { EXIT_SCRIPT = 1, EXIT_USAGE = 2 };

/* ---- the command line --------------------------------------------------------------------------------- */

typedef struct command_line {
  bool interactive, version, no_environment, warnings;
  bool ran_something;                   /* -e, -l or -v came: no prompt without a script */
  int script;                           /* index of the script, command or "-" in argv; argc: none */
} command_line;

static void complain(const char *text) { fprintf(stderr, "crun: %s\n", text); }

static bool usage(const char *option) {
  fprintf(stderr, "crun: unrecognised option '%s'; crun --help lists them\n", option);
  return false;
}

/* "2G", "512M", "64k" or bytes */
static bool parse_bytes(const char *text, size_t *bytes) {
  char *end;
  errno = 0;
  double v = strtod(text, &end);
  double unit = *end == 'k' || *end == 'K' ? 0x1p10 : *end == 'M' ? 0x1p20 : *end == 'G' ? 0x1p30 : 1;
  if (unit > 1) end++;
  if (errno != 0 || *end != '\0' || end == text || !(v * unit >= 1 && v * unit < 0x1p60)) return false;
  *bytes = (size_t)(v * unit);
  return true;
}

/* Options with a value that only the Lua side reads, and those that are flags. */
static const char *const value_options[] = { "name", "out", "tag", "note", "progress", "color", "seed",
                                             "max-time", "strict-globals", "checkpoint-every", NULL };
static const char *const flag_options[] = { "resume", "config", "dry-run", "needed", "json", "debug",
                                            "quiet", NULL };

static bool is_in(const char *const *list, const char *name, size_t n) {
  for (; *list != NULL; list++)
    if (strlen(*list) == n && strncmp(*list, name, n) == 0) return true;
  return false;
}

static void set_option(lua_State *L, const char *name, size_t n, const char *value) {
  luaL_Buffer key;
  luaL_buffinit(L, &key);
  for (size_t i = 0; i < n; i++) luaL_addchar(&key, name[i] == '-' ? '_' : name[i]);
  luaL_pushresult(&key);
  if (value != NULL) lua_pushstring(L, value);
  else lua_pushboolean(L, 1);
  lua_rawset(L, -3);
}

/* One of crun's own options at argv[*i]. 1: taken, 0: not ours, -1: wrong. The options table is on the top. */
static int own_option(lua_State *L, char **argv, int *i) {
  const char *name = argv[*i] + 2, *equal = strchr(name, '=');
  size_t n = equal ? (size_t)(equal - name) : strlen(name);
  if (is_in(flag_options, name, n)) {
    set_option(L, name, n, equal ? equal + 1 : NULL);
    return 1;
  }
  static const char *const engine[] = { "threads", "memory", NULL };
  bool engine_option = is_in(engine, name, n);
  if (!engine_option && !is_in(value_options, name, n)) return 0;
  const char *value = equal ? equal + 1 : argv[*i + 1];
  if (value == NULL) {
    fprintf(stderr, "crun: --%s needs a value\n", name);
    return -1;
  }
  if (!equal) ++*i;
  set_option(L, name, n, value);
  if (!engine_option) return 1;
  size_t bytes;
  if (name[0] == 'm') {
    if (!parse_bytes(value, &bytes)) {
      fprintf(stderr, "crun: --memory takes a size such as 512M or 2G, got '%s'\n", value);
      return -1;
    }
    cr_memory_set_ceiling(bytes);
    return 1;
  }
  char *end;
  long threads = strtol(value, &end, 10);
  cr_error err;
  if (strcmp(value, "auto") == 0) return 1;
  if (*end != '\0' || end == value) {
    fprintf(stderr, "crun: --threads takes a number or auto, got '%s'\n", value);
    return -1;
  }
  if (!cr_pool_set_threads((int)(threads > INT_MAX ? INT_MAX : threads), &err)) {
    complain(err.text);
    return -1;
  }
  return 1;
}

static bool parse_arguments(lua_State *L, int argc, char **argv, command_line *line) {
  int i = 1;
  for (; i < argc && argv[i][0] == '-'; i++) {
    const char *a = argv[i];
    if (a[1] == '\0') break;                                    /* "-": standard input */
    if (a[1] == '-') {
      if (a[2] == '\0') { i++; break; }
      if (strcmp(a, "--double") == 0) continue;                 /* main() has seen it */
      if (strcmp(a, "--help") == 0 || strcmp(a, "--version") == 0) break;
      int taken = own_option(L, argv, &i);
      if (taken < 0) return false;
      if (taken == 0) {
        if (strcmp(a, "--root") == 0 || strcmp(a, "--systemd-cgroup") == 0 ||
            strncmp(a, "--log-format", 12) == 0) {
          complain("this is crun, the experiment runtime, not the OCI container runtime of that name");
          return false;
        }
        return usage(a);
      }
      continue;
    }
    switch (a[1]) {
      case 'E': line->no_environment = true; break;
      case 'W': line->warnings = true; break;
      case 'i': line->interactive = line->version = true; break;
      case 'v': line->version = true; line->ran_something = true; break;
      case 'q': set_option(L, "quiet", 5, NULL); break;
      case 'e':
      case 'l':
        line->ran_something = true;
        if (a[2] == '\0' && ++i >= argc) {
          fprintf(stderr, "crun: '-%c' needs an argument\n", a[1]);
          return false;
        }
        break;
      default: return usage(a);
    }
  }
  line->script = i;
  return true;
}

/* ---- running Lua -------------------------------------------------------------------------------------- */

static int with_traceback(lua_State *L) {
  const char *text = lua_tostring(L, 1);
  if (text == NULL) {
    if (luaL_callmeta(L, 1, "__tostring") && lua_type(L, -1) == LUA_TSTRING) return 1;
    text = lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
  }
  luaL_traceback(L, L, text, 1);
  return 1;
}

/* How the script ended, for finalizers that want to know: "" or the message. */
static void note_end(lua_State *L, const char *text) {
  lua_pushstring(L, text);
  lua_setfield(L, LUA_REGISTRYINDEX, "crun.ended");
}

static int report(lua_State *L, int status) {
  if (status == LUA_OK) {
    note_end(L, "");
    return status;
  }
  const char *text = lua_tostring(L, -1);
  note_end(L, text ? text : "(no message)");
  /* an error with its own exit status is a message to the user, not a fault to trace */
  if (lua_getfield(L, LUA_REGISTRYINDEX, "crun.exit_code") != LUA_TNIL && text != NULL) {
    const char *trace = strstr(text, "\nstack traceback:");
    fprintf(stderr, "crun: %.*s\n", trace ? (int)(trace - text) : (int)strlen(text), text);
  } else {
    complain(text ? text : "(no message)");
  }
  lua_pop(L, 2);
  return status;
}

static int protected_call(lua_State *L, int arguments, int results) {
  int base = lua_gettop(L) - arguments;
  lua_pushcfunction(L, with_traceback);
  lua_insert(L, base);
  cr_signals_install(L);
  int status = lua_pcall(L, arguments, results, base);
  lua_remove(L, base);
  return status;
}

static int run_loaded(lua_State *L, int load_status) {
  if (load_status == LUA_OK) load_status = protected_call(L, 0, 0);
  return report(L, load_status);
}

static int run_string(lua_State *L, const char *code, const char *name) {
  return run_loaded(L, luaL_loadbufferx(L, code, strlen(code), name, "t"));
}

static int require_module(lua_State *L, const char *name) {
  lua_getglobal(L, "require");
  lua_pushstring(L, name);
  int status = protected_call(L, 1, 1);
  if (status == LUA_OK) lua_setglobal(L, name);
  return report(L, status);
}

static bool run_early_options(lua_State *L, char **argv, int script) {
  for (int i = 1; i < script; i++) {
    if (argv[i][0] != '-') continue;                            /* the value of an option of ours */
    if (argv[i][1] == 'W') lua_warning(L, "@on", 0);
    if (argv[i][1] != 'e' && argv[i][1] != 'l') continue;
    char kind = argv[i][1];
    const char *extra = argv[i][2] != '\0' ? argv[i] + 2 : argv[++i];
    int status = kind == 'e' ? run_string(L, extra, "=(command line)") : require_module(L, extra);
    if (status != LUA_OK) return false;
  }
  return true;
}

static bool run_init(lua_State *L) {
  const char *name = "=LUA_INIT_5_4", *init = getenv(name + 1);
  if (init == NULL) init = getenv((name = "=LUA_INIT") + 1);
  if (init == NULL) return true;
  if (init[0] == '@') return run_loaded(L, luaL_loadfilex(L, init + 1, "t")) == LUA_OK;
  return run_string(L, init, name) == LUA_OK;
}

static void push_arg(lua_State *L, int argc, char **argv, int script) {
  lua_createtable(L, argc - script, script + 1);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i - (script < argc ? script : 0));
  }
  lua_setglobal(L, "arg");
}

/* A script in strict mode sees the globals through a table that refuses undeclared names (lua/crun/strict.lua). */
static int make_strict(lua_State *L) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "crun.strict");
  if (lua_pcall(L, 1, 1, 0) != LUA_OK) return LUA_ERRRUN;
  if (lua_setupvalue(L, -2, 1) == NULL) lua_pop(L, 1);
  return LUA_OK;
}

static int run_script(lua_State *L, char **argv, int argc, int script, bool strict) {
  const char *path = argv[script];
  int status = luaL_loadfilex(L, strcmp(path, "-") == 0 ? NULL : path, "t");
  if (status == LUA_OK && strict) status = make_strict(L);
  if (status == LUA_OK) {
    int n = argc - script - 1;
    luaL_checkstack(L, n + 3, "too many arguments to the script");
    for (int i = 1; i <= n; i++) lua_pushstring(L, argv[script + i]);
    status = protected_call(L, n, 0);
  }
  return report(L, status);
}

/* ---- paths -------------------------------------------------------------------------------------------- */

static bool is_file(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

static bool is_directory(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Where lua/crun/ is: beside the program in a source tree, in ../share/crun when installed. */
static bool find_library(char *path, size_t size) {
  char exe[PATH_MAX];
  ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
  if (n < 0) return false;
  exe[n] = '\0';
  const char *folder = dirname(exe);
  static const char *const places[] = { "lua", "../share/crun/lua", "../lua", "../../lua" };
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    char candidate[PATH_MAX + 64], probe[PATH_MAX + 128];
    snprintf(candidate, sizeof candidate, "%s/%s", folder, places[i]);
    snprintf(probe, sizeof probe, "%s/crun/init.lua", candidate);
    char real_path[PATH_MAX];
    if (!is_file(probe) || realpath(candidate, real_path) == NULL) continue;
    snprintf(path, size, "%s", real_path);
    return true;
  }
  return false;
}

/* The library (which holds nothing but crun) first, so that nothing shadows it; then the script's folder, what Lua has,
 * rocks of this folder and of the user. */
static void set_paths(lua_State *L, const char *library, const char *script) {
  char folder[PATH_MAX] = ".";
  if (script != NULL) {
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", script);
    snprintf(folder, sizeof folder, "%s", dirname(copy));
  }
  const char *home = getenv("HOME");
  if (home == NULL) home = "/nonexistent";
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "path");
  lua_pushfstring(L, "%s/?.lua;%s/?/init.lua;%s/?.lua;%s/?/init.lua;%s"
                  ";lua_modules/share/lua/5.4/?.lua;lua_modules/share/lua/5.4/?/init.lua"
                  ";%s/.luarocks/share/lua/5.4/?.lua;%s/.luarocks/share/lua/5.4/?/init.lua",
                  library, library, folder, folder, lua_tostring(L, -1), home, home);
  lua_setfield(L, -3, "path");
  lua_getfield(L, -2, "cpath");
  lua_pushfstring(L, "%s/?.so;%s;lua_modules/lib/lua/5.4/?.so;%s/.luarocks/lib/lua/5.4/?.so", folder,
                  lua_tostring(L, -1), home);
  lua_setfield(L, -4, "cpath");
  lua_settop(L, 0);
}

/* ---- main --------------------------------------------------------------------------------------------- */

static void print_version(void) {
  printf("crun %s, the experiment runtime (not the OCI runtime)  %s, %s\n", CR_VERSION, LUA_RELEASE,
         CR_REAL_NAME);
}

static int exit_status(lua_State *L, bool ok) {
  if (ok) return EXIT_SUCCESS;
  if (cr_signals_exit_code() != 0) return cr_signals_exit_code();
  lua_getfield(L, LUA_REGISTRYINDEX, "crun.exit_code");
  int code = (int)lua_tointeger(L, -1);
  return code != 0 ? code : EXIT_SCRIPT;
}

/* Commands and everything else that is not a script: lua/crun/cli.lua. */
static int run_command(lua_State *L, char **argv, int argc, int at) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "crun.cli");
  int status = protected_call(L, 1, 1);
  if (status != LUA_OK) return report(L, status);
  lua_getfield(L, -1, "main");
  lua_remove(L, -2);
  lua_pushstring(L, argv[at]);
  lua_createtable(L, argc - at - 1, 0);
  for (int i = at + 1; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i - at);
  }
  return report(L, protected_call(L, 2, 0));
}

static int run_repl(lua_State *L) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "crun.repl");
  int status = protected_call(L, 1, 1);
  if (status != LUA_OK) return report(L, status);
  lua_getfield(L, -1, "run");
  lua_remove(L, -2);
  return report(L, protected_call(L, 0, 0));
}

/* The script DIR/main.lua for a folder; the word itself for a file or anything that looks like one; NULL: a command */
static const char *script_path(const char *word, char *path, size_t size) {
  size_t n = strlen(word);
  if (is_directory(word)) {
    snprintf(path, size, "%s/main.lua", word);
    if (is_file(path)) return path;
  }
  bool named = n > 4 && strcmp(word + n - 4, ".lua") == 0;
  return named || strcmp(word, "-") == 0 || strchr(word, '/') != NULL || is_file(word) ? word : NULL;
}

/* Text only: bytecode can crash the interpreter, and nothing here needs it. */
static int text_only_load(lua_State *L) {
  if (lua_gettop(L) < 3) lua_settop(L, 3);
  lua_pushliteral(L, "t");
  lua_replace(L, 3);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

static void forbid_bytecode(lua_State *L) {
  lua_getglobal(L, "load");
  lua_pushcclosure(L, text_only_load, 1);
  lua_setglobal(L, "load");
}

static int protected_main(lua_State *L) {
  int argc = (int)lua_tointeger(L, 1);
  char **argv = lua_touserdata(L, 2);
  command_line line = { 0 };
  luaL_checkversion(L);
  lua_newtable(L);                                              /* crun.options */
  if (!parse_arguments(L, argc, argv, &line)) return lua_pushinteger(L, EXIT_USAGE), 1;
  lua_setfield(L, LUA_REGISTRYINDEX, "crun.options");
  if (line.no_environment) {
    lua_pushboolean(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
  }
  luaL_openlibs(L);
  forbid_bytecode(L);

  char folder_script[PATH_MAX], library[PATH_MAX];
  bool has_word = line.script < argc;
  const char *word = has_word ? argv[line.script] : NULL;
  const char *script = has_word ? script_path(word, folder_script, sizeof folder_script) : NULL;
  if (has_word && word[0] == '-' && word[1] == '-') script = NULL;   /* --help, --version */
  if (script == folder_script) argv[line.script] = folder_script;
  if (!find_library(library, sizeof library)) {
    complain("cannot find its Lua library (lua/crun/) beside the program or in ../share/crun");
    return lua_pushinteger(L, 70), 1;
  }
  set_paths(L, library, script && strcmp(script, "-") != 0 ? script : NULL);

  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, cr_bind_open);
  lua_setfield(L, -2, "crun.core");
  lua_settop(L, 0);
  lua_pushstring(L, library);
  lua_setfield(L, LUA_REGISTRYINDEX, "crun.library");
  lua_pushstring(L, script ? script : "");
  lua_setfield(L, LUA_REGISTRYINDEX, "crun.script");
  push_arg(L, argc, argv, line.script);
  lua_gc(L, LUA_GCINC, 0, 0, 0);

  bool ok = line.no_environment || run_init(L);
  ok = ok && run_early_options(L, argv, line.script);
  lua_getfield(L, LUA_REGISTRYINDEX, "crun.options");
  lua_getfield(L, -1, "strict_globals");
  bool strict = lua_tostring(L, -1) == NULL || strcmp(lua_tostring(L, -1), "off") != 0;
  lua_settop(L, 0);
  if (ok && line.version) print_version();
  if (ok && script != NULL) ok = run_script(L, argv, argc, line.script, strict) == LUA_OK;
  else if (ok && has_word) ok = run_command(L, argv, argc, line.script) == LUA_OK;
  else if (ok && !line.ran_something && !line.interactive) {
    if (isatty(STDIN_FILENO)) ok = run_repl(L) == LUA_OK;
    else ok = run_loaded(L, luaL_loadfilex(L, NULL, "t")) == LUA_OK;
  }
  if (ok && line.interactive) ok = run_repl(L) == LUA_OK;
  return lua_pushinteger(L, exit_status(L, ok)), 1;
}

static void *lua_memory(void *context, void *block, size_t old_bytes, size_t new_bytes) {
  (void)context;
  if (new_bytes == 0) {
    free(block);
    return NULL;
  }
  (void)old_bytes;
  return realloc(block, new_bytes);
}

static int panic(lua_State *L) {
  fprintf(stderr, "crun: internal error: %s\n", lua_tostring(L, -1));
  exit(70);
}

static void warn_off(void *context, const char *text, int to_continue);
static void warn_on(void *context, const char *text, int to_continue) {
  static bool continued;
  if (!continued && !to_continue && text[0] == '@') {
    if (strcmp(text, "@off") == 0) lua_setwarnf(context, warn_off, context);
    return;
  }
  if (!continued) fputs("crun: warning: ", stderr);
  fputs(text, stderr);
  if (!to_continue) fputc('\n', stderr);
  continued = to_continue != 0;
}

static void warn_off(void *context, const char *text, int to_continue) {
  if (!to_continue && strcmp(text, "@on") == 0) lua_setwarnf(context, warn_on, context);
}

int cr_main(int argc, char **argv);

int cr_main(int argc, char **argv) {
  lua_State *L = lua_newstate(lua_memory, NULL);
  if (L == NULL) {
    complain("not enough memory to start");
    return EXIT_SCRIPT;
  }
  lua_atpanic(L, panic);
  lua_setwarnf(L, warn_off, L);
  cr_signals_install(L);
  lua_pushcfunction(L, protected_main);
  lua_pushinteger(L, argc);
  lua_pushlightuserdata(L, argv);
  int status = lua_pcall(L, 2, 1, 0);
  int code = status == LUA_OK ? (int)lua_tointeger(L, -1) : (report(L, status), EXIT_SCRIPT);
  lua_close(L);
  return code;
}
