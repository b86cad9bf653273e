/* json.c - Lua values <-> JSON text
 *
 *   json_encode(value [, { indent = 2, order = { "name", "seed" } }])     json_decode(text [,
 * source])
 *
 * Encoding. Keys are sorted by their bytes, those of `order` first, so equal tables give equal
 * texts. Integers stay integers and floats keep a point (3 and 3.0 differ); NaN and infinities
 * become "NaN", "Infinity", "-Infinity". A table with entries 1..n is an array, one with string
 * keys an object, an empty one an object unless json_array marked it. Holes, mixed keys, functions,
 * userdata, cycles (65 levels) are errors that name the place.
 *
 * Decoding. Arrays come back marked, so an empty one stays an array. null is the value json_null,
 * which is not nil and so keeps its place in an array. A key twice in one object is an error.
 * `source` names the text in errors. */
#include "bind/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind/bind.h"
#include "io/json.h"

static const char ARRAY[] = "crun.json.array", BUFFER[] = "crun.json.buffer";

static void *null_value(void) { return NULL; }        /* json_null is this light userdata */

/* ENCODING */

typedef struct key {
  const char *text;                   /* lives as long as the table has the key */
  size_t n;
  lua_Integer rank;                   /* its place in `order`, or past all of them */
} key;

typedef struct encoder {
  lua_State *L;
  cr_buffer *out;                     /* boxed: an error anywhere loses nothing */
  int indent, ranks;                  /* stack index of { name = place }, or 0 */
  int depth;
  char path[200];                     /* to the value at hand, for messages */
} encoder;

static int refuse(encoder *e, const char *what) {
  const char *at = e->path[0] == '\0' ? "" : e->path[0] == '.' ? e->path + 1 : e->path;
  return cr_bind_errorf(e->L, "io.json_encode", "%s%s%s%s", what, at[0] != '\0' ? " at '" : "", at,
                        at[0] != '\0' ? "'" : "");
}

static void encode(encoder *e);

static void new_line(encoder *e, int depth) {
  if (e->indent == 0) return;
  cr_buffer_add_byte(e->out, '\n');
  cr_buffer_fill(e->out, ' ', (size_t)(e->indent * depth));
}

/* The value on the top of the stack, under a longer path; pops it. */
static void encode_below(encoder *e, const char *format, const char *name, lua_Integer i) {
  size_t n = strlen(e->path);
  if (name != NULL) snprintf(e->path + n, sizeof e->path - n, format, name);
  else snprintf(e->path + n, sizeof e->path - n, "[%lld]", (long long)i);
  e->depth++;
  encode(e);
  e->depth--;
  e->path[n] = '\0';
  lua_pop(e->L, 1);
}

/* Looks at all keys of the table on the top: how many, and whether they are all strings or all
 * integers. */
static lua_Integer survey(lua_State *L, bool *strings, bool *integers, bool *flat) {
  lua_Integer n = 0;
  *strings = *integers = *flat = true;
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1), n++) {
    *strings = *strings && lua_type(L, -2) == LUA_TSTRING;
    *integers = *integers && lua_isinteger(L, -2);
    *flat = *flat && !lua_istable(L, -1);
  }
  return n;
}

static void encode_array(encoder *e, lua_Integer n, bool flat) {
  cr_buffer_add_byte(e->out, '[');
  for (lua_Integer i = 1; i <= n; i++) {
    if (i > 1) cr_buffer_add_text(e->out, flat && e->indent > 0 ? ", " : ",");
    if (!flat) new_line(e, e->depth + 1);
    lua_rawgeti(e->L, -1, i);
    encode_below(e, NULL, NULL, i);
  }
  if (!flat) new_line(e, e->depth);
  cr_buffer_add_byte(e->out, ']');
}

static int by_rank_and_bytes(const void *a, const void *b) {
  const key *x = a, *y = b;
  if (x->rank != y->rank) return x->rank < y->rank ? -1 : 1;
  int order = memcmp(x->text, y->text, x->n < y->n ? x->n : y->n);
  return order != 0 ? order : (x->n > y->n) - (x->n < y->n);
}

static void encode_object(encoder *e, lua_Integer n) {
  lua_State *L = e->L;
  key *keys = lua_newuserdatauv(L, (size_t)n * sizeof *keys, 0);
  key *k = keys;
  for (lua_pushnil(L); lua_next(L, -3); lua_pop(L, 1), k++) {
    *k = (key){ .rank = LUA_MAXINTEGER };
    k->text = lua_tolstring(L, -2, &k->n);
    if (e->ranks == 0) continue;
    lua_pushvalue(L, -2);
    if (lua_rawget(L, e->ranks) != LUA_TNIL) k->rank = lua_tointeger(L, -1);
    lua_pop(L, 1);
  }
  if (n > 1) qsort(keys, (size_t)n, sizeof *keys, by_rank_and_bytes);

  cr_buffer_add_byte(e->out, '{');
  for (lua_Integer i = 0; i < n; i++) {
    cr_error err = { 0 };
    if (i > 0) cr_buffer_add_byte(e->out, ',');
    new_line(e, e->depth + 1);
    if (!cr_json_add_string(e->out, keys[i].text, keys[i].n, &err)) refuse(e, err.text);
    cr_buffer_add_text(e->out, e->indent > 0 ? ": " : ":");
    lua_pushlstring(L, keys[i].text, keys[i].n);
    lua_rawget(L, -3);
    encode_below(e, ".%s", keys[i].text, 0);
  }
  if (n > 0) new_line(e, e->depth);
  cr_buffer_add_byte(e->out, '}');
  lua_pop(L, 1);
}

static void encode_table(encoder *e) {
  lua_State *L = e->L;
  bool strings, integers, flat, marked = false;
  if (e->depth >= CR_JSON_DEPTH)
    refuse(e, "more than 64 levels deep (does the table contain itself?)");
  luaL_checkstack(L, 8, "deep table");
  if (lua_getmetatable(L, -1)) {
    luaL_getmetatable(L, ARRAY);
    marked = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
  }
  lua_Integer n = survey(L, &strings, &integers, &flat);
  if (n > 0 ? integers : marked) {
    if ((lua_Unsigned)n != lua_rawlen(L, -1)) refuse(e, "a list with holes");
    encode_array(e, n, flat);
  } else if (strings && (n == 0 || !marked)) {
    encode_object(e, n);
  } else {
    refuse(e, marked ? "an array with keys that are not 1, 2, 3..."
                     : "keys must be all strings, or 1, 2, 3...; got a mixture");
  }
}

/* the value on the top of the stack, which stays */
static void encode(encoder *e) {
  lua_State *L = e->L;
  cr_error err = { 0 };
  size_t n;
  const char *text;
  char message[64];
  switch (lua_type(L, -1)) {
  case LUA_TNIL: cr_buffer_add_text(e->out, "null"); return;
  case LUA_TBOOLEAN: cr_buffer_add_text(e->out, lua_toboolean(L, -1) ? "true" : "false"); return;
  case LUA_TNUMBER:
    if (lua_isinteger(L, -1)) cr_json_add_integer(e->out, lua_tointeger(L, -1));
    else cr_json_add_number(e->out, lua_tonumber(L, -1));
    return;
  case LUA_TSTRING:
    text = lua_tolstring(L, -1, &n);
    if (!cr_json_add_string(e->out, text, n, &err)) refuse(e, err.text);
    return;
  case LUA_TTABLE: encode_table(e); return;
  case LUA_TLIGHTUSERDATA:
    if (lua_touserdata(L, -1) != null_value()) break;
    cr_buffer_add_text(e->out, "null");
    return;
  default: break;
  }
  snprintf(message, sizeof message, "JSON cannot hold %s", cr_bind_type_name(L, -1));
  refuse(e, message);
}

static int buffer_gc(lua_State *L) {
  cr_buffer_clear(lua_touserdata(L, 1));
  return 0;
}

/* { "a", "b" } at index becomes { a = 1, b = 2 } on the top */
static void push_ranks(lua_State *L, int index) {
  if (!lua_istable(L, index))
    cr_bind_errorf(L, "io.json_encode", "order must be a list of names, got %s",
                   cr_bind_type_name(L, index));
  lua_newtable(L);
  for (lua_Integer i = 1, n = (lua_Integer)lua_rawlen(L, index); i <= n; i++) {
    if (lua_rawgeti(L, index, i) != LUA_TSTRING)
      cr_bind_errorf(L, "io.json_encode", "order must be a list of names, got %s in it",
                     cr_bind_type_name(L, -1));
    lua_pushinteger(L, i);
    lua_rawset(L, -3);
  }
}

static int json_encode(lua_State *L) {
  encoder e = { .L = L };
  cr_error err = { 0 };
  lua_settop(L, 2);
  if (!lua_isnil(L, 2)) {
    if (!lua_istable(L, 2))
      return cr_bind_errorf(L, "io.json_encode", "options must be a table, got %s",
                            cr_bind_type_name(L, 2));
    for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1)) {
      const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
      if (strcmp(name, "indent") != 0 && strcmp(name, "order") != 0)
        return cr_bind_errorf(L, "io.json_encode", "unknown option '%s', expected indent or order",
                              name);
    }
    lua_getfield(L, 2, "indent");
    lua_Integer indent = lua_tointeger(L, -1);
    if (!lua_isnil(L, -1) && (!lua_isinteger(L, -1) || indent < 0 || indent > 16))
      return cr_bind_errorf(L, "io.json_encode", "indent must be a whole number in 0 .. 16");
    e.indent = (int)indent;
    if (lua_getfield(L, 2, "order") != LUA_TNIL) {
      push_ranks(L, lua_gettop(L));
      e.ranks = lua_gettop(L);
    }
  }
  e.out = lua_newuserdatauv(L, sizeof *e.out, 0);
  *e.out = (cr_buffer){ 0 };
  luaL_setmetatable(L, BUFFER);
  lua_pushvalue(L, 1);
  encode(&e);
  if (!cr_buffer_ok(e.out, &err)) return cr_bind_error(L, "io.json_encode", &err);
  lua_pushlstring(L, (const char *)e.out->data, e.out->n);
  cr_buffer_clear(e.out);
  return 1;
}

/* DECODING: with a loop. Each open level has its table on the stack, an object with a key read that
 * key above it. */

static void push_string(lua_State *L, const cr_json_token *token) {
  luaL_Buffer b;
  if (memchr(token->string, '\\', token->string_bytes) == NULL) {
    lua_pushlstring(L, token->string, token->string_bytes);
    return;
  }
  char *to = luaL_buffinitsize(L, &b, token->string_bytes);
  luaL_pushresultsize(&b, cr_json_unescape(token->string, token->string_bytes, to));
}

static void push_scalar(lua_State *L, const cr_json_token *token) {
  switch (token->kind) {
  case CR_JSON_TRUE: case CR_JSON_FALSE: lua_pushboolean(L, token->kind == CR_JSON_TRUE); return;
  case CR_JSON_INT: lua_pushinteger(L, token->integer); return;
  case CR_JSON_FLOAT: lua_pushnumber(L, token->number); return;
  case CR_JSON_STRING: push_string(L, token); return;
  default: lua_pushlightuserdata(L, null_value()); return;
  }
}

static int json_decode(lua_State *L) {
  size_t n;
  cr_error err = { 0 };
  cr_json_token token;
  lua_Integer count[CR_JSON_DEPTH + 1] = { 0 };     /* entries so far, of arrays */
  if (lua_type(L, 1) != LUA_TSTRING)
    return cr_bind_errorf(L, "io.json_decode", "expected a string, got %s",
                          cr_bind_type_name(L, 1));
  const char *text = lua_tolstring(L, 1, &n), *source = lua_tostring(L, 2);
  cr_json_reader r = cr_json_read(text, n);
  lua_settop(L, 2);
  luaL_checkstack(L, 2 * CR_JSON_DEPTH + 8, "deep JSON");

  bool ok;
  while ((ok = cr_json_next(&r, &token, &err)) && token.kind != CR_JSON_END) {
    if (token.kind == CR_JSON_KEY) {
      push_string(L, &token);
      lua_pushvalue(L, -1);
      if (lua_rawget(L, -3) != LUA_TNIL) {
        ok = cr_json_fail(&r, token.at, &err, "the key '%.100s' twice in one object",
                          lua_tostring(L, -2));
        break;
      }
      lua_pop(L, 1);
      continue;
    }
    if (token.kind == CR_JSON_ARRAY || token.kind == CR_JSON_OBJECT) {
      lua_newtable(L);
      if (token.kind == CR_JSON_ARRAY) luaL_setmetatable(L, ARRAY);
      count[r.depth] = 0;
      continue;
    }
    if (token.kind != CR_JSON_ARRAY_END && token.kind != CR_JSON_OBJECT_END) push_scalar(L, &token);
    /* a value is complete and on the top: put it into what surrounds it */
    if (r.depth == 0) continue;
    if (r.in_object[r.depth - 1]) lua_rawset(L, -3);
    else lua_rawseti(L, -2, ++count[r.depth]);
  }
  if (ok) return 1;
  if (source != NULL) cr_fail_in(&err, source);
  return cr_bind_error(L, "io.json_decode", &err);
}

static int json_array(lua_State *L) {
  lua_settop(L, 1);
  if (lua_isnil(L, 1)) {
    lua_newtable(L);
    lua_replace(L, 1);
  }
  if (!lua_istable(L, 1))
    return cr_bind_errorf(L, "io.json_array", "expected a table, got %s", cr_bind_type_name(L, 1));
  luaL_setmetatable(L, ARRAY);
  return 1;
}

void cr_bind_json_open(lua_State *L, int index) {
  static const luaL_Reg functions[] = { { "json_encode", json_encode },
                                        { "json_decode", json_decode },
                                        { "json_array", json_array },
                                        { NULL, NULL } };
  index = lua_absindex(L, index);
  luaL_newmetatable(L, ARRAY);
  luaL_newmetatable(L, BUFFER);
  lua_pushcfunction(L, buffer_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 2);
  lua_pushvalue(L, index);
  luaL_setfuncs(L, functions, 0);
  lua_pushlightuserdata(L, null_value());
  lua_setfield(L, -2, "json_null");
  lua_pop(L, 1);
}
