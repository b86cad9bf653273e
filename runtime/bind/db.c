/* db.c - crun.db: SQLite databases
 *
 *   db = crun.db.open(path)             nil and why when it cannot be opened; ":memory:" for none
 *   db:run(sql, ...) -> changes         one statement; the values fill its ? in order
 *   db:query(sql, ...) -> rows          all its rows as tables { column = value }
 *   db:rows(sql, ...)                   an iterator over its rows, the values of the columns
 *   db:script(sql)                      several statements without values
 *   db:close()                          also at the end of its scope, or when it is collected
 *
 * A database is opened with a write-ahead log (readers and one writer at once), waits 30 s for
 * another writer, and checks references. Statements are prepared once and kept by their text.
 * Values: nil is NULL, true and false are 1 and 0, whole numbers, floats and texts stay what they
 * are. SQLite would turn a NaN into NULL, so it is refused. Errors say what SQLite says, with the
 * file's name. */
#include <math.h>
#include <sqlite3.h>
#include <string.h>

#include "bind/bind.h"

static const char DB[] = "crun.db", STATEMENT[] = "crun.db.statement";

enum { BUSY_MS = 30000 };

typedef struct database {
  sqlite3 *handle;                     /* NULL when closed */
} database;

typedef struct statement {
  sqlite3_stmt *handle;
} statement;

static int fail(lua_State *L, sqlite3 *handle, const char *what) {
  const char *path = handle != NULL ? sqlite3_db_filename(handle, "main") : NULL;
  int code = handle != NULL ? sqlite3_errcode(handle) : SQLITE_NOMEM;
  const char *hint = code == SQLITE_BUSY ? " for more than 30 s: another process is writing" : "";
  return cr_bind_errorf(L, what, "%s: %s%s",
                        path != NULL && path[0] != '\0' ? path : "in memory",
                        handle != NULL ? sqlite3_errmsg(handle) : "not enough memory", hint);
}

static database *check(lua_State *L) {
  database *db = luaL_testudata(L, 1, DB);
  if (db == NULL)
    cr_bind_errorf(L, "db", "call its functions as db:run(...), on what db.open returned");
  if (db->handle == NULL) cr_bind_errorf(L, "db", "the database is closed");
  return db;
}

/* STATEMENTS */

static int statement_gc(lua_State *L) {
  statement *s = lua_touserdata(L, 1);
  sqlite3_finalize(s->handle);         /* of NULL: nothing */
  s->handle = NULL;
  return 0;
}

/* pushes a new boxed statement */
static statement *prepare(lua_State *L, sqlite3 *handle, const char *sql, size_t n,
                          const char *where) {
  statement *s = lua_newuserdatauv(L, sizeof *s, 1);
  const char *tail = NULL;
  s->handle = NULL;
  luaL_setmetatable(L, STATEMENT);
  if (sqlite3_prepare_v3(handle, sql, (int)n + 1, SQLITE_PREPARE_PERSISTENT, &s->handle, &tail) !=
      SQLITE_OK)
    fail(L, handle, where);
  if (s->handle == NULL) cr_bind_errorf(L, where, "there is no statement in the text");
  if (tail[strspn(tail, " \n\t;")] != '\0')
    cr_bind_errorf(L, where, "takes one statement; db:script takes several");
  return s;
}

/* Pushes the statement of the text at index 2, prepared now or before, ready to be bound. */
static statement *ready(lua_State *L, database *db, const char *where) {
  size_t n;
  if (lua_type(L, 2) != LUA_TSTRING)
    cr_bind_errorf(L, where, "the statement must be a text, got %s", cr_bind_type_name(L, 2));
  const char *sql = lua_tolstring(L, 2, &n);
  lua_getiuservalue(L, 1, 1);
  lua_pushvalue(L, 2);
  lua_rawget(L, -2);
  statement *s = luaL_testudata(L, -1, STATEMENT);
  if (s == NULL) {
    lua_pop(L, 1);
    s = prepare(L, db->handle, sql, n, where);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, -2);
    lua_rawset(L, -4);
  }
  lua_remove(L, -2);
  sqlite3_reset(s->handle);
  return s;
}

/* binds the values from index 3 up to `last` */
static void bind(lua_State *L, sqlite3 *handle, sqlite3_stmt *s, int last, const char *where) {
  int n = sqlite3_bind_parameter_count(s), given = last - 2;
  if (given > n) cr_bind_errorf(L, where, "the statement takes %d values, got %d", n, given);
  for (int i = 1; i <= n; i++) {
    int at = i + 2, ok = SQLITE_OK;
    size_t bytes;
    const char *text;
    switch (i <= given ? lua_type(L, at) : LUA_TNIL) {
    case LUA_TNIL: ok = sqlite3_bind_null(s, i); break;
    case LUA_TBOOLEAN: ok = sqlite3_bind_int(s, i, lua_toboolean(L, at)); break;
    case LUA_TNUMBER:
      if (lua_isinteger(L, at)) ok = sqlite3_bind_int64(s, i, lua_tointeger(L, at));
      else if (isnan(lua_tonumber(L, at)))
        cr_bind_errorf(L, where, "value %d is NaN, which SQLite would turn into NULL", i);
      else ok = sqlite3_bind_double(s, i, lua_tonumber(L, at));
      break;
    case LUA_TSTRING:
      text = lua_tolstring(L, at, &bytes);
      ok = sqlite3_bind_text64(s, i, text, bytes, SQLITE_TRANSIENT, SQLITE_UTF8);
      break;
    default:
      cr_bind_errorf(L, where, "value %d must be a number, a text, true, false or nil, got %s", i,
                     cr_bind_type_name(L, at));
    }
    if (ok != SQLITE_OK) fail(L, handle, where);
  }
}

static void push_column(lua_State *L, sqlite3_stmt *s, int i) {
  switch (sqlite3_column_type(s, i)) {
  case SQLITE_INTEGER: lua_pushinteger(L, sqlite3_column_int64(s, i)); return;
  case SQLITE_FLOAT: lua_pushnumber(L, sqlite3_column_double(s, i)); return;
  case SQLITE_NULL: lua_pushnil(L); return;
  default: {
    const char *text = (const char *)sqlite3_column_text(s, i);
    lua_pushlstring(L, text != NULL ? text : "", (size_t)sqlite3_column_bytes(s, i));
  }
  }
}

static int run(lua_State *L) {
  database *db = check(L);
  int top = lua_gettop(L);
  statement *s = ready(L, db, "db:run");
  bind(L, db->handle, s->handle, top, "db:run");
  int code;
  while ((code = sqlite3_step(s->handle)) == SQLITE_ROW) continue;
  if (code != SQLITE_DONE) {
    sqlite3_reset(s->handle);          /* the error stays readable */
    return fail(L, db->handle, "db:run");
  }
  sqlite3_reset(s->handle);
  lua_pushinteger(L, sqlite3_changes64(db->handle));
  return 1;
}

static int query(lua_State *L) {
  database *db = check(L);
  int top = lua_gettop(L), code;
  statement *s = ready(L, db, "db:query");
  bind(L, db->handle, s->handle, top, "db:query");
  lua_newtable(L);
  for (lua_Integer i = 1; (code = sqlite3_step(s->handle)) == SQLITE_ROW; i++) {
    int n = sqlite3_column_count(s->handle);
    lua_createtable(L, 0, n);
    for (int k = 0; k < n; k++) {
      push_column(L, s->handle, k);
      lua_setfield(L, -2, sqlite3_column_name(s->handle, k));
    }
    lua_rawseti(L, -2, i);
  }
  sqlite3_reset(s->handle);
  return code == SQLITE_DONE ? 1 : fail(L, db->handle, "db:query");
}

static int next_row(lua_State *L) {              /* upvalues: the statement, the database */
  statement *s = lua_touserdata(L, lua_upvalueindex(1));
  database *db = lua_touserdata(L, lua_upvalueindex(2));
  if (s->handle == NULL) return 0;
  if (db->handle == NULL) return cr_bind_errorf(L, "db:rows", "the database is closed");
  int code = sqlite3_step(s->handle), n = sqlite3_column_count(s->handle);
  if (code == SQLITE_ROW) {
    luaL_checkstack(L, n, "columns");
    for (int i = 0; i < n; i++) push_column(L, s->handle, i);
    return n;
  }
  sqlite3_finalize(s->handle);
  s->handle = NULL;
  return code == SQLITE_DONE ? 0 : fail(L, db->handle, "db:rows");
}

/* The statement is the closing value of the loop, so a `break` ends the read too. */
static int rows(lua_State *L) {
  size_t n;
  database *db = check(L);
  int top = lua_gettop(L);
  if (lua_type(L, 2) != LUA_TSTRING)
    return cr_bind_errorf(L, "db:rows", "the statement must be a text, got %s",
                          cr_bind_type_name(L, 2));
  const char *sql = lua_tolstring(L, 2, &n);
  statement *s = prepare(L, db->handle, sql, n, "db:rows");
  bind(L, db->handle, s->handle, top, "db:rows");
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);         /* a statement keeps its database alive */
  lua_pushvalue(L, -1);
  lua_pushvalue(L, 1);
  lua_pushcclosure(L, next_row, 2);    /* statement, closure */
  lua_pushnil(L);
  lua_pushnil(L);
  lua_pushvalue(L, -4);
  return 4;
}

static int script(lua_State *L) {
  database *db = check(L);
  if (lua_type(L, 2) != LUA_TSTRING)
    return cr_bind_errorf(L, "db:script", "expected a text, got %s", cr_bind_type_name(L, 2));
  if (sqlite3_exec(db->handle, lua_tostring(L, 2), NULL, NULL, NULL) != SQLITE_OK)
    return fail(L, db->handle, "db:script");
  return 0;
}

/* OPENING AND CLOSING */

static int close_database(lua_State *L) {
  database *db = luaL_checkudata(L, 1, DB);
  /* the kept statements go first; those of loops are zombies until they are collected */
  if (db->handle != NULL && lua_getiuservalue(L, 1, 1) == LUA_TTABLE) {
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
      statement *s = lua_touserdata(L, -1);
      sqlite3_finalize(s->handle);
      s->handle = NULL;
    }
    lua_newtable(L);
    lua_setiuservalue(L, 1, 1);
  }
  sqlite3_close_v2(db->handle);
  db->handle = NULL;
  return 0;
}

/* the collector may have taken the statements already: only the handle is touched */
static int collect_database(lua_State *L) {
  database *db = lua_touserdata(L, 1);
  sqlite3_close_v2(db->handle);
  db->handle = NULL;
  return 0;
}

static int open(lua_State *L) {
  if (lua_type(L, 1) != LUA_TSTRING)
    return cr_bind_errorf(L, "db.open", "expected a path, got %s", cr_bind_type_name(L, 1));
  const char *path = lua_tostring(L, 1);
  database *db = lua_newuserdatauv(L, sizeof *db, 1);
  db->handle = NULL;
  luaL_setmetatable(L, DB);
  lua_newtable(L);
  lua_setiuservalue(L, -2, 1);
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  int code = sqlite3_open_v2(path, &db->handle, flags, NULL);
  if (code == SQLITE_OK) {
    sqlite3_busy_timeout(db->handle, BUSY_MS);
    /* where two open a new file at once, SQLite does not wait by itself for the change to WAL */
    for (int ms = 0;; ms += sqlite3_sleep(10)) {
      code = sqlite3_exec(db->handle, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
                                      "PRAGMA foreign_keys=ON;", NULL, NULL, NULL);
      if (code != SQLITE_BUSY || ms >= BUSY_MS) break;
    }
  }
  if (code == SQLITE_OK) return 1;
  lua_pushnil(L);
  lua_pushfstring(L, "%s: %s", path,
                  db->handle != NULL ? sqlite3_errmsg(db->handle) : "not enough memory");
  sqlite3_close_v2(db->handle);
  db->handle = NULL;
  return 2;
}

void cr_bind_db_open(lua_State *L, int crun) {
  static const luaL_Reg methods[] = { { "run", run }, { "query", query }, { "rows", rows },
    { "script", script }, { "close", close_database }, { "__close", close_database },
    { "__gc", collect_database }, { NULL, NULL } };
  luaL_newmetatable(L, STATEMENT);
  lua_pushcfunction(L, statement_gc);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, statement_gc);
  lua_setfield(L, -2, "__close");
  luaL_newmetatable(L, DB);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 2);
  lua_newtable(L);
  lua_pushcfunction(L, open);
  lua_setfield(L, -2, "open");
  lua_setfield(L, crun, "db");
}
