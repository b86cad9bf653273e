/* call.c - one file binds every operator, loss, miner, metric, optimiser step and data operation
 *
 * What a Lua call says is read into a `request` on the C stack, which owns nothing; then the result boxes are pushed; then
 * the call is made and run, and no Lua function that can raise is called while it lives. */
#include <lua.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "bind/bind.h"

enum { MAX_INPUTS = 16, MAX_OPTIONS = 40 };

static const char CRITERION[] = "crun.criterion";

/* Option values, and which of them were given. */
typedef struct option_set {
  double number[MAX_OPTIONS];
  cr_list list[MAX_OPTIONS];
  const char *text[MAX_OPTIONS];
  bool given[MAX_OPTIONS];
} option_set;

typedef struct request {
  const cr_op_info *info;
  const char *where;
  cr_tensor *in[MAX_INPUTS];          /* borrowed from the Lua stack */
  double number[MAX_INPUTS];          /* a number where a tensor may stand */
  int64_t integer[MAX_INPUTS];        /* the same, when it is whole */
  bool is_number[MAX_INPUTS], is_whole[MAX_INPUTS];
  int list_at, n_list;                /* the stack index of a CR_LIST input */
} request;

/* ---- options ------------------------------------------------------------------------------------------ */

static int unknown_option(lua_State *L, const cr_op_info *info, const char *where, const char *name) {
  const char *names[MAX_OPTIONS + 1] = { 0 };
  for (int i = 0; i < info->n_options; i++) names[i] = info->op->options[i].name;
  char hint[96];
  return cr_bind_errorf(L, where, "unknown option '%s'%s", name,
                        cr_bind_nearest(name, names, hint, sizeof hint));
}

static int find_option(const cr_op_info *info, const char *name) {
  for (int i = 0; i < info->n_options; i++)
    if (strcmp(info->op->options[i].name, name) == 0) return i;
  return -1;
}

static void check_range(lua_State *L, const cr_option *o, double v, const char *where) {
  bool ranged = o->least != 0 || o->most != 0;
  if (isnan(v)) cr_bind_errorf(L, where, "%s must be a number, got nan", o->name);
  if (!ranged || (v >= o->least && v <= o->most)) return;
  if (isinf(o->most) && o->most > 0)
    cr_bind_errorf(L, where, "%s must be at least %g, got %g", o->name, o->least, v);
  if (isinf(o->least))
    cr_bind_errorf(L, where, "%s must be at most %g, got %g", o->name, o->most, v);
  cr_bind_errorf(L, where, "%s must be in %g .. %g, got %g", o->name, o->least, o->most, v);
}

static double check_number(lua_State *L, int index, const cr_option *o, const char *where) {
  if (lua_type(L, index) != LUA_TNUMBER) {
    cr_tensor *t = cr_bind_to_tensor(L, index);         /* a learnt scalar is read as it stands */
    if (t == NULL || cr_tensor_numel(t) != 1)
      cr_bind_errorf(L, where, "%s must be a number, got %s", o->name, cr_bind_type_name(L, index));
    return cr_tensor_get(t, 0);
  }
  return lua_tonumber(L, index);
}

static double check_whole(lua_State *L, int index, const cr_option *o, const char *where) {
  double v = check_number(L, index, o, where);
  if (v != floor(v) || fabs(v) > 0x1p53)
    cr_bind_errorf(L, where, "%s must be a whole number, got %g", o->name, v);
  return v;
}

/* 1-based in Lua, 0-based below; negative counts from the end and stays */
static double check_position(lua_State *L, int index, const cr_option *o, const char *where) {
  double v = check_whole(L, index, o, where);
  if (v == 0) cr_bind_errorf(L, where, "%s counts from 1, got 0", o->name);
  return v > 0 ? v - 1 : v;
}

static double check_choice(lua_State *L, int index, const cr_option *o, const char *where) {
  if (lua_type(L, index) != LUA_TSTRING)
    cr_bind_errorf(L, where, "%s must be one of: %s; got %s", o->name, o->choices,
                   cr_bind_type_name(L, index));
  size_t length;
  const char *name = lua_tolstring(L, index, &length);
  int k = 0;
  for (const char *p = o->choices; *p != '\0'; k++) {
    size_t n = strcspn(p, " ");
    if (n == length && strncmp(p, name, n) == 0) return k;
    p += n;
    p += strspn(p, " ");
  }
  return cr_bind_errorf(L, where, "%s must be one of: %s; got '%s'", o->name, o->choices, name);
}

static void check_list(lua_State *L, int index, const cr_option *o, const char *where, cr_list *list) {
  bool dims = o->kind == CR_DIMS;
  if (lua_type(L, index) != LUA_TTABLE) {
    list->n = 1;
    list->at[0] = (int64_t)(dims ? check_position(L, index, o, where) : check_whole(L, index, o, where));
    if (!dims) check_range(L, o, (double)list->at[0], where);
    return;
  }
  lua_Unsigned n = lua_rawlen(L, index);
  if (n > CR_MAX_DIMS)
    cr_bind_errorf(L, where, "%s takes at most %d numbers, got %d", o->name, CR_MAX_DIMS, (int)n);
  list->n = (int)n;
  for (int i = 0; i < list->n; i++) {
    lua_rawgeti(L, index, i + 1);
    list->at[i] = (int64_t)(dims ? check_position(L, -1, o, where) : check_whole(L, -1, o, where));
    if (!dims) check_range(L, o, (double)list->at[i], where);
    lua_pop(L, 1);
  }
}

static void read_option(lua_State *L, int index, const cr_op_info *info, int k, option_set *set,
                        const char *where) {
  const cr_option *o = &info->op->options[k];
  if (lua_isnil(L, index)) return;
  double *v = &set->number[k];
  switch (o->kind) {
    case CR_NUMBER:
      *v = check_number(L, index, o, where);
      check_range(L, o, *v, where);
      break;
    case CR_COUNT:
      *v = check_whole(L, index, o, where);
      check_range(L, o, *v, where);
      break;
    case CR_FLAG:
      if (!lua_isboolean(L, index))
        cr_bind_errorf(L, where, "%s must be true or false, got %s", o->name,
                       cr_bind_type_name(L, index));
      *v = lua_toboolean(L, index);
      break;
    case CR_CHOICE: *v = check_choice(L, index, o, where); break;
    case CR_DIM:
    case CR_INDEX: *v = check_position(L, index, o, where); break;
    case CR_DIMS:
    case CR_COUNTS: check_list(L, index, o, where, &set->list[k]); break;
    case CR_TEXT:
      if (lua_type(L, index) != LUA_TSTRING)
        cr_bind_errorf(L, where, "%s must be a string, got %s", o->name, cr_bind_type_name(L, index));
      set->text[k] = lua_tostring(L, index);
      break;
  }
  set->given[k] = true;
}

static void read_named(lua_State *L, int index, const cr_op_info *info, option_set *set,
                       const char *where) {
  for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING) {
      if (info->n_options == 0) cr_bind_errorf(L, where, "takes no options");
      cr_bind_errorf(L, where, "options are named, as in { %s = ... }", info->op->options[0].name);
    }
    const char *name = lua_tostring(L, -2);
    int k = find_option(info, name);
    if (k < 0) unknown_option(L, info, where, name);
    read_option(L, lua_gettop(L), info, k, set, where);
  }
}

static bool is_list_kind(const cr_option *o) { return o->kind == CR_DIMS || o->kind == CR_COUNTS; }

static bool is_list_value(lua_State *L, int index) {
  bool is = lua_rawgeti(L, index, 1) != LUA_TNIL;
  lua_pop(L, 1);
  return is || lua_rawlen(L, index) > 0;
}

/* x:reshape(2, 3): the first option may be spread over arguments when no other takes a number */
static bool spreads(const cr_op_info *info) {
  if (info->n_options == 0 || !is_list_kind(&info->op->options[0])) return false;
  for (int i = 1; i < info->n_options; i++)
    if (info->op->options[i].kind != CR_FLAG && info->op->options[i].kind != CR_CHOICE) return false;
  return true;
}

/* Arguments from `at` on: positional options, then perhaps a table of named ones. */
static void read_options(lua_State *L, int at, const cr_op_info *info, option_set *set,
                         const char *where) {
  int top = lua_gettop(L), k = 0;
  memset(set->given, 0, sizeof(bool) * (size_t)info->n_options);
  if (at <= top && spreads(info) && lua_type(L, at) == LUA_TNUMBER) {
    cr_list *list = &set->list[0];
    const cr_option *o = &info->op->options[0];
    for (list->n = 0; at <= top && lua_type(L, at) == LUA_TNUMBER; at++) {
      if (list->n == CR_MAX_DIMS)
        cr_bind_errorf(L, where, "%s takes at most %d numbers", o->name, CR_MAX_DIMS);
      cr_list one;
      check_list(L, at, o, where, &one);
      list->at[list->n++] = one.at[0];
    }
    set->given[0] = true;
    k = 1;
  }
  for (; at <= top; at++) {
    bool table = lua_type(L, at) == LUA_TTABLE;
    bool value = table && k < info->n_options && is_list_kind(&info->op->options[k]) &&
                 is_list_value(L, at);
    if (table && !value && !(k < info->n_options && is_list_kind(&info->op->options[k]) &&
                             lua_rawlen(L, at) == 0 && at < top)) {
      if (at < top) cr_bind_errorf(L, where, "the table of options comes last");
      read_named(L, at, info, set, where);
      return;
    }
    if (k >= info->n_options) {
      if (lua_isnil(L, at)) continue;
      if (cr_bind_to_tensor(L, at) != NULL)
        cr_bind_errorf(L, where, "takes %d tensor%s, got more", info->n_inputs,
                       info->n_inputs == 1 ? "" : "s");
      cr_bind_errorf(L, where, "too many arguments: got %s after the last option",
                     cr_bind_type_name(L, at));
    }
    read_option(L, at, info, k++, set, where);
  }
}

static void require_options(lua_State *L, const cr_op_info *info, const option_set *set,
                            const char *where) {
  for (int k = 0; k < info->n_options; k++)
    if (info->op->options[k].required && !set->given[k])
      cr_bind_errorf(L, where, "%s is missing", info->op->options[k].name);
}

static void apply_options(cr_call *c, const cr_op_info *info, const option_set *set) {
  for (int k = 0; k < info->n_options; k++) {
    if (!set->given[k]) continue;
    const cr_option *o = &info->op->options[k];
    if (is_list_kind(o)) c->list[k] = set->list[k];
    else if (o->kind == CR_TEXT) c->text[k] = set->text[k];
    else c->option[k] = set->number[k];
  }
}

/* ---- inputs ------------------------------------------------------------------------------------------- */

/* Reads the inputs from argument `first` on; returns the index of the first argument after them. */
static int read_inputs(lua_State *L, int first, request *r) {
  const cr_input *inputs = r->info->op->inputs;
  int n = r->info->n_inputs, top = lua_gettop(L), i;
  r->n_list = 0;
  if (r->info->takes_list) {
    if (lua_type(L, first) != LUA_TTABLE)
      cr_bind_errorf(L, r->where, "%s must be an array of tensors, got %s", inputs[0].name,
                     cr_bind_type_name(L, first));
    lua_Unsigned count = lua_rawlen(L, first);
    if (count > 1 << 20) cr_bind_errorf(L, r->where, "%s has too many entries", inputs[0].name);
    r->list_at = first;
    r->n_list = (int)count;
    for (int j = 1; j <= r->n_list; j++) {
      lua_rawgeti(L, first, j);
      if (cr_bind_to_tensor(L, -1) == NULL)
        cr_bind_errorf(L, r->where, "%s[%d] must be a tensor, got %s", inputs[0].name, j,
                       cr_bind_type_name(L, -1));
      lua_pop(L, 1);
    }
    return first + 1;
  }
  for (i = 0; i < n; i++) {
    int at = first + i;
    r->in[i] = at <= top ? cr_bind_to_tensor(L, at) : NULL;
    r->is_number[i] = false;
    if (r->in[i] != NULL) continue;
    bool optional = (inputs[i].flags & CR_OPTIONAL) != 0;
    int type = lua_type(L, at);
    if (type == LUA_TNUMBER && !optional) {
      if (inputs[i].flags & CR_INPLACE)
        cr_bind_errorf(L, r->where, "%s must be a tensor, got a number", inputs[i].name);
      int whole;
      r->number[i] = lua_tonumber(L, at);
      r->integer[i] = lua_tointegerx(L, at, &whole);
      r->is_whole[i] = whole != 0;
      r->is_number[i] = true;
    } else if (optional && (type == LUA_TTABLE || type == LUA_TNUMBER || type == LUA_TBOOLEAN ||
                            type == LUA_TSTRING)) {
      /* the options begin here; the rest of the inputs are absent */
      int rest = i;
      for (; i < n; i++) {
        if (!(inputs[i].flags & CR_OPTIONAL))
          cr_bind_errorf(L, r->where, "%s must be a tensor, got %s", inputs[i].name,
                         cr_bind_type_name(L, first + i));
        r->in[i] = NULL;
        r->is_number[i] = false;
      }
      return first + rest;
    } else if (type != LUA_TNIL && type != LUA_TNONE) {
      cr_bind_errorf(L, r->where, "%s must be a tensor, got %s", inputs[i].name,
                     cr_bind_type_name(L, at));
    } else if (!optional) {
      cr_bind_errorf(L, r->where, "%s must be a tensor, got nothing", inputs[i].name);
    }
  }
  return first + n;
}

/* A call with its inputs in place; NULL with err filled. Raises nothing. */
static cr_call *make_call(lua_State *L, const request *r, cr_error *err) {
  int n = r->info->takes_list ? r->n_list : r->info->n_inputs;
  cr_call *c = cr_call_new(r->info, n, err);
  if (c == NULL) return NULL;
  for (int i = 0; i < n; i++) {
    if (r->info->takes_list) {
      lua_rawgeti(L, r->list_at, i + 1);
      c->in[i] = cr_tensor_retain(cr_bind_to_tensor(L, -1));
      lua_pop(L, 1);
    } else if (r->is_number[i]) {
      c->in[i] = cr_tensor_scalar(r->number[i], err);
      if (c->in[i] == NULL) {
        cr_call_release(c);
        return NULL;
      }
    } else if (r->in[i] != NULL) {
      c->in[i] = cr_tensor_retain(r->in[i]);
    }
  }
  return c;
}

/* A number beside int64 tensors is an int64: labels + 1, labels:eq(3). */
static void match_numbers(cr_call *c, const request *r) {
  bool all_int = true, any = false;
  for (int i = 0; i < c->n_in && !r->info->takes_list; i++) {
    if (r->info->op->inputs[i].type != CR_TSAME) return;
    if (r->is_number[i]) {
      any = true;
      all_int &= r->is_whole[i];
    } else {
      all_int &= c->in[i] != NULL && c->in[i]->dtype == CR_INT;
    }
  }
  if (!any || !all_int) return;
  for (int i = 0; i < c->n_in; i++) {
    if (!r->is_number[i]) continue;
    cr_error ignored;
    cr_tensor *t = cr_tensor_new(CR_INT, 0, NULL, &ignored);
    if (t == NULL) return;
    *cr_ints(t) = r->integer[i];
    cr_tensor_release(c->in[i]);
    c->in[i] = t;
  }
}

/* Runs c, moves its results into the boxes at stack indices box .. ; pushes nothing, frees c. Returns n_out or -1. */
static int run_into(lua_State *L, cr_call *c, int box, double *stats, int n_stats, cr_error *err) {
  bool ok = cr_call_run(c, err);
  int n = ok ? c->n_out : -1;
  for (int k = 0; ok && k < n; k++) *(cr_tensor **)lua_touserdata(L, box + k) = cr_call_take(c, k);
  if (ok && stats != NULL) memcpy(stats, c->stat, (size_t)n_stats * sizeof(double));
  cr_call_release(c);
  return n;
}

static int push_results(lua_State *L, int box, int n) {
  lua_settop(L, box + n - 1);
  for (int k = 0; k < n; k++) cr_bind_charge(L, *(cr_tensor **)lua_touserdata(L, box + k));
  return n;
}

static void push_stats(lua_State *L, const cr_op_info *info, const double *stats) {
  lua_createtable(L, 0, info->n_stats);
  for (int i = 0; i < info->n_stats; i++) {
    double v = stats[i];
    if (v == floor(v) && fabs(v) < 0x1p53) lua_pushinteger(L, (lua_Integer)v);
    else lua_pushnumber(L, v);
    lua_setfield(L, -2, info->op->stats[i]);
  }
}

/* ---- operators, metrics, steps: plain functions --------------------------------------------------------- */

static int call_op(lua_State *L) {
  request r;
  r.info = lua_touserdata(L, lua_upvalueindex(1));
  const cr_op_info *info = r.info;
  r.where = info->where;
  int at = read_inputs(L, 1, &r);
  option_set set;
  bool options = lua_gettop(L) >= at;
  if (options) read_options(L, at, info, &set, r.where);
  else memset(set.given, 0, sizeof(bool) * (size_t)info->n_options);
  if (info->n_options > 0) require_options(L, info, &set, r.where);

  luaL_checkstack(L, info->n_outputs + 4, "too many results");
  int box = lua_gettop(L) + 1;
  for (int k = 0; k < info->n_outputs; k++) cr_bind_box(L);
  double stats[64];
  cr_error err;
  cr_call *c = make_call(L, &r, &err);
  if (c == NULL) return cr_bind_error(L, r.where, &err);
  match_numbers(c, &r);
  if (options) apply_options(c, info, &set);
  int n = run_into(L, c, box, stats, info->n_stats, &err);
  if (n < 0) return cr_bind_error(L, r.where, &err);
  push_results(L, box, n);
  if (info->n_stats == 0) return n;
  push_stats(L, info, stats);
  return n + 1;
}

/* A step of an optimiser over many parameters: crun.optim_step.adam({ p1, p2 }, { g1, g2 }, { m1, m2 }, { v1, v2 }, { ... }) is
 * adam(p1, g1, m1, v1, { ... }) and then p2, its options read once. nil stands for an optional state that is not there, and
 * in place of the gradients for those of the parameters; where one has none, nothing is done and the result is false. */
enum { STEP_PARAM, STEP_GRAD };

static bool step_arrays(lua_State *L, const request *r, lua_Integer n) {
  for (int i = 0; i < r->info->n_inputs; i++) {
    const cr_input *input = &r->info->op->inputs[i];
    if (lua_isnoneornil(L, i + 1) && (i == STEP_GRAD || (input->flags & CR_OPTIONAL))) continue;
    if (lua_type(L, i + 1) != LUA_TTABLE || (lua_Integer)lua_rawlen(L, i + 1) != n)
      cr_bind_errorf(L, r->where, "%s must be an array of %d tensors, as %s is", input->name, (int)n,
                     r->info->op->inputs[STEP_PARAM].name);
  }
  for (lua_Integer k = 1; k <= n && lua_isnil(L, STEP_GRAD + 1); k++) {
    lua_rawgeti(L, STEP_PARAM + 1, k);
    const cr_tensor *t = cr_bind_check_tensor(L, -1, r->where, "param");
    lua_pop(L, 1);
    if (t->grad == NULL) return false;
  }
  return true;
}

static int call_step(lua_State *L) {
  if (lua_type(L, 1) != LUA_TTABLE) return call_op(L);
  request r;
  r.info = lua_touserdata(L, lua_upvalueindex(1));
  r.where = r.info->where;
  lua_Integer n = (lua_Integer)lua_rawlen(L, 1);
  bool own_gradients = lua_isnoneornil(L, STEP_GRAD + 1);
  if (!step_arrays(L, &r, n)) return lua_pushboolean(L, false), 1;
  option_set set;
  read_options(L, r.info->n_inputs + 1, r.info, &set, r.where);
  require_options(L, r.info, &set, r.where);
  int base = lua_gettop(L);
  luaL_checkstack(L, r.info->n_inputs, "too many inputs");
  for (lua_Integer k = 1; k <= n; k++) {
    for (int i = 0; i < r.info->n_inputs; i++) {
      if (lua_isnil(L, i + 1)) lua_pushvalue(L, own_gradients && i == STEP_GRAD ? base + 1 : i + 1);
      else lua_rawgeti(L, i + 1, k);
    }
    read_inputs(L, base + 1, &r);
    if (own_gradients) r.in[STEP_GRAD] = r.in[STEP_PARAM]->grad;
    cr_error err;
    cr_call *c = make_call(L, &r, &err);
    if (c == NULL) return cr_bind_error(L, r.where, &err);
    apply_options(c, r.info, &set);
    if (run_into(L, c, 0, NULL, 0, &err) < 0) return cr_bind_error(L, r.where, &err);
    lua_settop(L, base);
  }
  return lua_pushboolean(L, true), 1;
}

/* ---- losses and miners: objects that hold their options ------------------------------------------------- */

typedef struct criterion {
  const cr_op_info *info;
  double stat[64];
  option_set set;
} criterion;

static int new_criterion(lua_State *L) {
  const cr_op_info *info = lua_touserdata(L, lua_upvalueindex(1));
  const char *where = info->where;
  if (cr_bind_to_tensor(L, 1) != NULL)
    return cr_bind_errorf(L, where, "make it first, with its options: local f = crun.%s { }, "
                          "then call f(...)", where);
  if (!lua_isnoneornil(L, 1) && !lua_istable(L, 1))
    return cr_bind_errorf(L, where, "takes a table of options, got %s", cr_bind_type_name(L, 1));
  criterion *f = lua_newuserdatauv(L, sizeof *f, 0);
  memset(f, 0, sizeof *f);
  f->info = info;
  luaL_setmetatable(L, CRITERION);
  if (lua_istable(L, 1)) read_named(L, 1, info, &f->set, where);
  for (int k = 0; k < info->n_options; k++)
    if (f->set.text[k] != NULL) cr_bind_errorf(L, where, "text options are not for losses");
  require_options(L, info, &f->set, where);
  return 1;
}

static int call_criterion(lua_State *L) {
  criterion *f = luaL_checkudata(L, 1, CRITERION);
  const cr_op_info *info = f->info;
  request r;
  r.info = info;
  r.where = info->where;
  int at = read_inputs(L, 2, &r);
  for (; at <= lua_gettop(L); at++)
    if (!lua_isnil(L, at))
      return cr_bind_errorf(L, r.where, "too many arguments: got %s after %s",
                            cr_bind_type_name(L, at), info->op->inputs[info->n_inputs - 1].name);
  luaL_checkstack(L, info->n_outputs + 4, "too many results");
  int box = lua_gettop(L) + 1;
  for (int k = 0; k < info->n_outputs; k++) cr_bind_box(L);
  cr_error err;
  cr_call *c = make_call(L, &r, &err);
  if (c == NULL) return cr_bind_error(L, r.where, &err);
  match_numbers(c, &r);
  apply_options(c, info, &f->set);
  int n = run_into(L, c, box, f->stat, info->n_stats, &err);
  if (n < 0) return cr_bind_error(L, r.where, &err);
  return push_results(L, box, n);
}

void cr_bind_push_maker(lua_State *L, const cr_op_info *info) {
  lua_pushlightuserdata(L, (void *)(uintptr_t)info);
  lua_pushcclosure(L, new_criterion, 1);
}

static void push_choice(lua_State *L, const cr_option *o, int k) {
  const char *p = o->choices;
  for (; k > 0; k--) {
    p += strcspn(p, " ");
    p += strspn(p, " ");
  }
  lua_pushlstring(L, p, strcspn(p, " "));
}

/* The value of option k as Lua would write it; nil for one that was not given and has no default. */
static void push_option(lua_State *L, const cr_op_info *info, int k, const option_set *set) {
  const cr_option *o = &info->op->options[k];
  bool given = set != NULL && set->given[k];
  double v = given ? set->number[k] : o->value;
  if (is_list_kind(o)) {
    if (!given) {
      lua_pushnil(L);
      return;
    }
    lua_createtable(L, set->list[k].n, 0);
    for (int i = 0; i < set->list[k].n; i++) {
      int64_t x = set->list[k].at[i];
      lua_pushinteger(L, o->kind == CR_DIMS && x >= 0 ? x + 1 : x);
      lua_rawseti(L, -2, i + 1);
    }
  } else if (o->kind == CR_TEXT || isnan(v)) {
    lua_pushnil(L);
  } else if (o->kind == CR_FLAG) {
    lua_pushboolean(L, v != 0);
  } else if (o->kind == CR_CHOICE) {
    push_choice(L, o, (int)v);
  } else if (o->kind == CR_NUMBER) {
    lua_pushnumber(L, v);
  } else {
    bool position = o->kind == CR_DIM || o->kind == CR_INDEX;
    lua_pushinteger(L, (lua_Integer)v + (position && v >= 0 ? 1 : 0));
  }
}

static int index_criterion(lua_State *L) {
  criterion *f = luaL_checkudata(L, 1, CRITERION);
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  int k = find_option(f->info, name);
  if (k >= 0) {
    push_option(L, f->info, k, &f->set);
  } else if (strcmp(name, "stats") == 0) {
    push_stats(L, f->info, f->stat);
  } else if (strcmp(name, "name") == 0) {
    lua_pushstring(L, f->info->op->name);
  } else if (strcmp(name, "room") == 0) {
    lua_pushstring(L, f->info->room);
  } else if (strcmp(name, "options") == 0) {
    lua_createtable(L, 0, f->info->n_options);
    for (int i = 0; i < f->info->n_options; i++) {
      push_option(L, f->info, i, &f->set);
      lua_setfield(L, -2, f->info->op->options[i].name);
    }
  } else {
    lua_pushnil(L);                       /* so that `criterion.parameters` can be asked for */
  }
  return 1;
}

static int newindex_criterion(lua_State *L) {
  criterion *f = luaL_checkudata(L, 1, CRITERION);
  const char *where = f->info->where;
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "?";
  int k = find_option(f->info, name);
  if (k < 0) return unknown_option(L, f->info, where, name);
  if (lua_isnil(L, 3)) f->set.given[k] = f->info->op->options[k].required;
  else read_option(L, 3, f->info, k, &f->set, where);
  return 0;
}

static int criterion_text(lua_State *L) {
  criterion *f = luaL_checkudata(L, 1, CRITERION);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  luaL_addstring(&b, f->info->where);
  luaL_addstring(&b, " {");
  bool first = true;
  for (int k = 0; k < f->info->n_options; k++) {
    if (!f->set.given[k] || is_list_kind(&f->info->op->options[k])) continue;
    luaL_addstring(&b, first ? " " : ", ");
    luaL_addstring(&b, f->info->op->options[k].name);
    luaL_addstring(&b, " = ");
    push_option(L, f->info, k, &f->set);
    if (lua_isboolean(L, -1)) {
      lua_pushstring(L, lua_toboolean(L, -1) ? "true" : "false");
      lua_remove(L, -2);
    }
    luaL_addvalue(&b);
    first = false;
  }
  luaL_addstring(&b, " }");
  luaL_pushresult(&b);
  return 1;
}

static const luaL_Reg criterion_methods[] = {
  { "__call", call_criterion }, { "__index", index_criterion }, { "__newindex", newindex_criterion },
  { "__tostring", criterion_text }, { NULL, NULL }
};

/* ---- describe: what `crun help` prints ------------------------------------------------------------------ */

static void set_string(lua_State *L, const char *key, const char *value) {
  if (value == NULL) return;
  lua_pushstring(L, value);
  lua_setfield(L, -2, key);
}

static void push_inputs(lua_State *L, const cr_op *op) {
  static const char *const types[] = { "real", "int64", "uint8", "any", "same" };
  lua_newtable(L);
  for (int i = 0; op->inputs && op->inputs[i].name; i++) {
    lua_newtable(L);
    set_string(L, "name", op->inputs[i].name);
    set_string(L, "shape", op->inputs[i].shape);
    set_string(L, "type", types[op->inputs[i].type]);
    static const struct { unsigned bit; const char *name; } flags[] = {
      { CR_OPTIONAL, "optional" }, { CR_LIST, "list" }, { CR_NOGRAD, "nograd" }, { CR_INPLACE, "inplace" }
    };
    for (size_t f = 0; f < sizeof flags / sizeof *flags; f++) {
      lua_pushboolean(L, (op->inputs[i].flags & flags[f].bit) != 0);
      lua_setfield(L, -2, flags[f].name);
    }
    lua_rawseti(L, -2, i + 1);
  }
}

static void push_options(lua_State *L, const cr_op_info *info) {
  static const char *const kinds[] = { "number", "count", "flag", "choice", "dim", "dims", "counts",
                                       "index", "text" };
  lua_newtable(L);
  for (int k = 0; k < info->n_options; k++) {
    const cr_option *o = &info->op->options[k];
    lua_newtable(L);
    set_string(L, "name", o->name);
    set_string(L, "help", o->help);
    set_string(L, "kind", kinds[o->kind]);
    set_string(L, "choices", o->choices);
    lua_pushboolean(L, o->required);
    lua_setfield(L, -2, "required");
    push_option(L, info, k, NULL);
    lua_setfield(L, -2, "default");
    if (o->least != 0 || o->most != 0) {
      lua_pushnumber(L, o->least);
      lua_setfield(L, -2, "least");
      lua_pushnumber(L, o->most);
      lua_setfield(L, -2, "most");
    }
    lua_rawseti(L, -2, k + 1);
  }
}

static cr_op_info *infos;              /* one for each line of the registry; lives as long as the process */

static const cr_op_info *find_info(const char *room, const char *name) {
  for (int i = 0; cr_registry[i].op != NULL; i++)
    if (strcmp(cr_registry[i].room, room) == 0 && strcmp(cr_registry[i].op->name, name) == 0)
      return &infos[i];
  return NULL;
}

/* describe(): { ops = { names... }, losses = ... }; describe(room, name): everything about one, or nil */
static int describe(lua_State *L) {
  if (lua_isnoneornil(L, 1)) {
    lua_newtable(L);
    for (int i = 0; cr_registry[i].op != NULL; i++) {
      if (lua_getfield(L, -1, cr_registry[i].room) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_setfield(L, -3, cr_registry[i].room);
      }
      lua_pushstring(L, cr_registry[i].op->name);
      lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
      lua_pop(L, 1);
    }
    return 1;
  }
  const cr_op_info *info = find_info(luaL_checkstring(L, 1), luaL_checkstring(L, 2));
  if (info == NULL) {
    lua_pushnil(L);
    return 1;
  }
  const cr_op *op = info->op;
  lua_newtable(L);
  set_string(L, "name", op->name);
  set_string(L, "room", info->room);
  set_string(L, "help", op->help);
  set_string(L, "formula", op->formula);
  set_string(L, "paper", op->paper);
  set_string(L, "differs", op->differs);
  lua_pushboolean(L, op->backward != NULL);
  lua_setfield(L, -2, "differentiable");
  push_inputs(L, op);
  lua_setfield(L, -2, "inputs");
  lua_newtable(L);
  for (int i = 0; op->outputs && op->outputs[i].name; i++) {
    lua_pushstring(L, op->outputs[i].name);
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "outputs");
  push_options(L, info);
  lua_setfield(L, -2, "options");
  lua_newtable(L);
  for (int i = 0; i < info->n_stats; i++) {
    lua_pushstring(L, op->stats[i]);
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "stats");
  return 1;
}

/* ---- opening ------------------------------------------------------------------------------------------ */

/* Pushes crun.ROOM, made when missing ("optim" lives in crun.optim.step so that lua/crun/optim.lua may have the name). */
static void push_room(lua_State *L, int crun, const char *room) {
  const char *field = strcmp(room, "optim") == 0 ? "optim_step" : room;
  if (lua_getfield(L, crun, field) == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_setfield(L, crun, field);
}

void cr_bind_ops_open(lua_State *L, int crun) {
  luaL_newmetatable(L, CRITERION);
  luaL_setfuncs(L, criterion_methods, 0);
  lua_pop(L, 1);
  int n = 0;
  while (cr_registry[n].op != NULL) n++;
  if (infos == NULL) {
    infos = calloc((size_t)n, sizeof *infos);
    if (infos == NULL) luaL_error(L, "not enough memory");
    for (int i = 0; i < n; i++) infos[i] = cr_op_info_of(cr_registry[i].op, cr_registry[i].room);
  }
  luaL_getmetatable(L, "crun.tensor");
  lua_getfield(L, -1, "methods");
  int methods = lua_gettop(L);
  for (int i = 0; i < n; i++) {
    const char *room = infos[i].room, *name = infos[i].op->name;
    bool op = strcmp(room, "ops") == 0;
    bool object = strcmp(room, "losses") == 0 || strcmp(room, "miners") == 0;
    if (infos[i].n_inputs > MAX_INPUTS || infos[i].n_options > MAX_OPTIONS || infos[i].n_stats > 64)
      luaL_error(L, "%s.%s has more inputs, options or stats than call.c holds", room, name);
    lua_pushlightuserdata(L, &infos[i]);
    bool step = strcmp(room, "optim") == 0 && infos[i].n_outputs == 0;
    lua_pushcclosure(L, object ? new_criterion : step ? call_step : call_op, 1);
    if (op) {
      if (!infos[i].takes_list) {
        lua_pushvalue(L, -1);
        lua_setfield(L, methods, name);
      }
      lua_setfield(L, crun, name);
    } else {
      push_room(L, crun, room);
      lua_insert(L, -2);
      lua_setfield(L, -2, name);
      lua_pop(L, 1);
    }
  }
  /* a + b and the rest are the operators' own functions */
  static const char *const events[][2] = {
    { "__add", "add" }, { "__sub", "sub" }, { "__mul", "mul" }, { "__div", "div" }, { "__pow", "pow" },
    { NULL, NULL }
  };
  for (int i = 0; events[i][0] != NULL; i++) {
    if (lua_getfield(L, methods, events[i][1]) == LUA_TFUNCTION) lua_setfield(L, methods - 1, events[i][0]);
    else lua_pop(L, 1);
  }
  lua_settop(L, methods - 2);
  lua_pushcfunction(L, describe);
  lua_setfield(L, crun, "describe");
}
