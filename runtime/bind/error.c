/* error.c - the one place where an error of the runtime becomes a Lua error
 *
 * The position is the first stack frame outside the library, so people see their own line, never ours. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bind/bind.h"

static bool in_library(const char *source) {
  return strstr(source, "/lua/crun/") != NULL || strstr(source, "/share/crun/") != NULL;
}

static bool script_frame(lua_State *L, lua_Debug *ar) {
  for (int level = 0; lua_getstack(L, level, ar); level++) {
    lua_getinfo(L, "Sl", ar);
    if (ar->currentline > 0 && !in_library(ar->source)) return true;
  }
  return false;
}

bool cr_bind_in_script(lua_State *L) {
  lua_Debug ar;
  return script_frame(L, &ar);
}

static void push_position(lua_State *L) {
  lua_Debug ar;
  if (script_frame(L, &ar)) lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
  else lua_pushliteral(L, "");
}

int cr_bind_raise(lua_State *L, const char *where, const char *text) {
  push_position(L);
  if (where != NULL && where[0] != '\0') lua_pushfstring(L, "%s: %s", where, text);
  else lua_pushstring(L, text);
  lua_concat(L, 2);
  return lua_error(L);
}

int cr_bind_error(lua_State *L, const char *where, const cr_error *err) {
  char text[sizeof err->text];
  memcpy(text, err->text, sizeof text);
  return cr_bind_raise(L, where, text);
}

int cr_bind_errorf(lua_State *L, const char *where, const char *format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return cr_bind_raise(L, where, text);
}

/* Levenshtein distance of two short words. */
static int word_distance(const char *a, const char *b) {
  int row[64];
  int n = (int)strlen(b);
  if (n > 62) n = 62;
  for (int j = 0; j <= n; j++) row[j] = j;
  for (int i = 1; a[i - 1] != '\0' && i < 64; i++) {
    int corner = row[0];
    row[0] = i;
    for (int j = 1; j <= n; j++) {
      int best = corner + (a[i - 1] != b[j - 1]);
      if (row[j] + 1 < best) best = row[j] + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      corner = row[j];
      row[j] = best;
    }
  }
  return row[n];
}

const char *cr_bind_nearest(const char *name, const char *const *names, char *text, size_t size) {
  int best = 4;
  text[0] = '\0';
  for (; *names != NULL; names++) {
    int d = word_distance(name, *names);
    if (d >= best || d * 2 > (int)strlen(*names)) continue;
    best = d;
    snprintf(text, size, "; did you mean '%s'?", *names);
  }
  return text;
}

const char *cr_bind_type_name(lua_State *L, int index) {
  if (cr_bind_to_tensor(L, index) != NULL) return "a tensor";
  switch (lua_type(L, index)) {
    case LUA_TNONE:
    case LUA_TNIL: return "nothing";
    case LUA_TNUMBER: return "a number";
    case LUA_TSTRING: return "a string";
    case LUA_TBOOLEAN: return "a boolean";
    case LUA_TTABLE: return "a table";
    case LUA_TFUNCTION: return "a function";
    default: return "another value";
  }
}
