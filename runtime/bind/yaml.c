/* yaml.c - crun.yaml: YAML text -> Lua values
 *
 *   value, places = crun.yaml.decode(text [, source])
 *
 * Lists and maps become tables, null becomes crun.io.json_null; a list is marked as by
 * crun.io.json_array. places[t], for each table t in value, is { line, column, keys = { names in the order of
 * the file }, at = { key -> { line, column } } }: what an error about a value names. Errors are
 * "SOURCE:LINE:COLUMN: text". What is read and what is refused: io/yaml.h. */
#include <stdio.h>
#include <string.h>

#include "bind/bind.h"
#include "io/yaml.h"

static const char DOCUMENT[] = "crun.yaml.document", ARRAY[] = "crun.json.array";

static int document_gc(lua_State *L) {
  cr_yaml_clear(lua_touserdata(L, 1));
  return 0;
}


static int raise_at(lua_State *L, cr_error *err) {
  const char *source = lua_tostring(L, 2);
  if (source == NULL) return cr_bind_error(L, "yaml.decode", err);
  char text[800];
  snprintf(text, sizeof text, "%.280s:%s", source, err->text);
  return cr_bind_raise(L, "yaml.decode", text);
}

static void push_place(lua_State *L, const cr_yaml_node *node) {
  lua_createtable(L, 2, 2);
  lua_pushinteger(L, node->line);
  lua_rawseti(L, -2, 1);
  lua_pushinteger(L, node->column);
  lua_rawseti(L, -2, 2);
}

/* A table, and on top of it what `places` (stack index) holds of it. */
static void push_container(lua_State *L, const cr_yaml_node *node, int places) {
  lua_newtable(L);
  if (node->kind == CR_YAML_LIST) luaL_setmetatable(L, ARRAY);
  lua_pushvalue(L, -1);
  push_place(L, node);
  lua_newtable(L);
  lua_setfield(L, -2, "keys");
  lua_newtable(L);
  lua_setfield(L, -2, "at");
  lua_pushvalue(L, -1);
  lua_insert(L, -3);
  lua_rawset(L, places);              /* places[table] = place; leaves table, place */
}

/* Notes in the place table at `index` that `key` (on the top) stands there. */
static void note_key(lua_State *L, int index, const cr_yaml_node *node) {
  index = lua_absindex(L, index);
  lua_getfield(L, index, "at");
  lua_pushvalue(L, -2);
  push_place(L, node);
  lua_rawset(L, -3);
  lua_pop(L, 1);
  lua_getfield(L, index, "keys");
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  lua_pop(L, 1);
}

static void push_scalar(lua_State *L, const cr_yaml *doc, const cr_yaml_node *node) {
  switch (node->kind) {
    case CR_YAML_FALSE: case CR_YAML_TRUE: lua_pushboolean(L, node->kind == CR_YAML_TRUE); return;
    case CR_YAML_INT: lua_pushinteger(L, node->integer); return;
    case CR_YAML_FLOAT: lua_pushnumber(L, node->number); return;
    case CR_YAML_STRING:
      lua_pushlstring(L, node->bytes > 0 ? (const char *)doc->text.data + node->text : "", node->bytes);
      return;
    default: lua_pushlightuserdata(L, NULL); return;          /* json_null */
  }
}

static int decode(lua_State *L) {
  cr_error err = { 0 };
  size_t n;
  if (lua_type(L, 1) != LUA_TSTRING)
    return cr_bind_errorf(L, "yaml.decode", "expected a string, got %s", cr_bind_type_name(L, 1));
  const char *text = lua_tolstring(L, 1, &n);
  lua_settop(L, 2);
  cr_yaml *doc = lua_newuserdatauv(L, sizeof *doc, 0);
  memset(doc, 0, sizeof *doc);
  luaL_setmetatable(L, DOCUMENT);
  if (!cr_yaml_parse(text, n, doc, &err)) return raise_at(L, &err);
  luaL_checkstack(L, 3 * CR_YAML_DEPTH + 16, "deep YAML");
  lua_newtable(L);
  int places = lua_gettop(L);
  /* of every open container its table and its place lie on the stack, in a map also the key at hand */
  int depth = 0;
  bool map[CR_YAML_DEPTH + 1] = { false }, has_key[CR_YAML_DEPTH + 1] = { false };
  const cr_yaml_node *nodes = cr_yaml_nodes(doc);
  for (size_t i = 0, count = cr_yaml_count(doc); i < count; i++) {
    const cr_yaml_node *node = nodes + i;
    if (depth > 0 && map[depth] && !has_key[depth] && node->kind != CR_YAML_END) {
      push_scalar(L, doc, node);
      lua_pushvalue(L, -1);
      if (lua_rawget(L, -4) != LUA_TNIL) {
        cr_fail(&err, CR_EFORMAT, "%d:%d: the key '%.100s' stands twice in one map", node->line, node->column,
                lua_tostring(L, -2));
        return raise_at(L, &err);
      }
      lua_pop(L, 1);
      note_key(L, -2, node);
      has_key[depth] = true;
      continue;
    }
    if (node->kind == CR_YAML_LIST || node->kind == CR_YAML_MAP) {
      if (depth > 0 && !map[depth]) {                         /* items of a list are noted by number */
        lua_pushinteger(L, (lua_Integer)lua_rawlen(L, -2) + 1);
        note_key(L, -2, node);
        lua_pop(L, 1);
      }
      push_container(L, node, places);
      depth++;
      map[depth] = node->kind == CR_YAML_MAP;
      has_key[depth] = false;
      continue;
    }
    if (node->kind == CR_YAML_END) {
      depth--;
      lua_pop(L, 1);                                          /* its place; the table itself is the value */
    } else {
      if (depth > 0 && !map[depth]) {
        lua_pushinteger(L, (lua_Integer)lua_rawlen(L, -2) + 1);
        note_key(L, -2, node);
        lua_pop(L, 1);
      }
      push_scalar(L, doc, node);
    }
    if (depth == 0) break;
    if (map[depth]) {                                         /* table place key value */
      lua_rawset(L, -4);
      has_key[depth] = false;
    } else {                                                  /* table place value */
      lua_rawseti(L, -3, (lua_Integer)lua_rawlen(L, -3) + 1);
    }
  }
  cr_yaml_clear(doc);
  lua_pushvalue(L, places);
  return 2;
}

void cr_bind_yaml_open(lua_State *L, int crun) {
  luaL_newmetatable(L, DOCUMENT);
  lua_pushcfunction(L, document_gc);
  lua_setfield(L, -2, "__gc");
  lua_newtable(L);
  lua_pushcfunction(L, decode);
  lua_setfield(L, -2, "decode");
  lua_setfield(L, crun, "yaml");
  lua_pop(L, 1);
}
