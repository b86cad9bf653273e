/* tensor.c - tensors in Lua: the box, its methods, and the functions that make one */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "bind/bind.h"
#include "bind/scope.h"

static const char TENSOR[] = "crun.tensor";
static const void *tensor_meta;         /* the metatable's address: one Lua state to a process */

/* ---- the box ------------------------------------------------------------------------------------------ */

cr_tensor **cr_bind_box(lua_State *L) {
  cr_tensor **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  luaL_setmetatable(L, TENSOR);
  cr_scope_note(L);
  return box;
}

static cr_tensor **to_box(lua_State *L, int index) {
  if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index)) return NULL;
  bool is = lua_topointer(L, -1) == tensor_meta;
  lua_pop(L, 1);
  return is ? lua_touserdata(L, index) : NULL;
}

cr_tensor *cr_bind_to_tensor(lua_State *L, int index) {
  cr_tensor **box = to_box(L, index);
  if (box == NULL) return NULL;
  if (*box == NULL) cr_bind_raise(L, NULL, "this tensor has been released (by its scope or by close)");
  return *box;
}

cr_tensor *cr_bind_check_tensor(lua_State *L, int index, const char *where, const char *argument) {
  cr_tensor *t = cr_bind_to_tensor(L, index);
  if (t == NULL)
    cr_bind_errorf(L, where, "%s must be a tensor, got %s", argument, cr_bind_type_name(L, index));
  return t;
}

/* The collector sees small userdata where there are megabytes: it is stepped when as much was handed to Lua as half of
 * what lives, 8 MiB at least, since a step of this size walks all of Lua's own objects: 0.1 to 0.3 ms. Tensors below a
 * page do not count: their userdata alone make the collector run often enough. */
void cr_bind_charge(lua_State *L, const cr_tensor *t) {
  static const size_t LEAST = 8u << 20, PAGE = 4096;
  static size_t uncollected;
  if (t->storage->bytes < PAGE) return;
  uncollected += t->storage->bytes;
  if (uncollected < LEAST || uncollected < cr_memory().live_bytes / 2) return;
  size_t kib = uncollected / 1024;
  uncollected = 0;
  lua_gc(L, LUA_GCSTEP, (int)(kib > 1 << 20 ? 1 << 20 : kib));
}

static int release(lua_State *L) {
  cr_tensor **box = to_box(L, 1);
  if (box == NULL) return 0;
  cr_tensor *t = *box;
  *box = NULL;
  cr_tensor_release(t);
  return 0;
}

/* Moves a fresh reference into a box made before it; raises when it is NULL. */
static int fill_box(lua_State *L, cr_tensor **box, cr_tensor *t, const char *where,
                    const cr_error *err) {
  if (t == NULL) return cr_bind_error(L, where, err);
  *box = t;
  cr_bind_charge(L, t);
  return 1;
}

int cr_bind_shape(lua_State *L, int first, const char *where, int64_t shape[CR_MAX_DIMS]) {
  bool array = lua_istable(L, first);
  int n = array ? (int)lua_rawlen(L, first) : lua_gettop(L) - first + 1;
  if (n < 0) n = 0;
  if (n > CR_MAX_DIMS) cr_bind_errorf(L, where, "a tensor has at most %d dimensions", CR_MAX_DIMS);
  for (int d = 0; d < n; d++) {
    if (array) lua_rawgeti(L, first, d + 1);
    else lua_pushvalue(L, first + d);
    int whole;
    lua_Integer size = lua_tointegerx(L, -1, &whole);
    if (!whole || size < 0)
      cr_bind_errorf(L, where, "size %d must be a whole number of at least 0, got %s", d + 1,
                     whole ? "a negative one" : cr_bind_type_name(L, -1));
    lua_pop(L, 1);
    shape[d] = size;
  }
  return n;
}

/* ---- from Lua tables ---------------------------------------------------------------------------------- */

/* The shape of a nested table; every leaf is looked at by fill_from. */
static int table_shape(lua_State *L, int index, const char *where, int64_t shape[CR_MAX_DIMS]) {
  int ndim = 0;
  lua_pushvalue(L, index);
  while (lua_istable(L, -1)) {
    if (ndim == CR_MAX_DIMS) cr_bind_errorf(L, where, "tables nested deeper than %d", CR_MAX_DIMS);
    shape[ndim] = (int64_t)lua_rawlen(L, -1);
    if (shape[ndim++] == 0) break;
    lua_rawgeti(L, -1, 1);
    luaL_checkstack(L, 4, "tables nested too deep");
  }
  return ndim;
}

static void store(cr_tensor *t, int64_t i, lua_State *L, const char *where) {
  if (lua_type(L, -1) != LUA_TNUMBER)
    cr_bind_errorf(L, where, "element %lld must be a number, got %s", (long long)i + 1,
                   cr_bind_type_name(L, -1));
  int whole;
  lua_Integer integer = lua_tointegerx(L, -1, &whole);
  if (t->dtype == CR_REAL) {
    cr_reals(t)[i] = (real)lua_tonumber(L, -1);
  } else if (!whole) {
    cr_bind_errorf(L, where, "element %lld must be a whole number, got %g", (long long)i + 1,
                   lua_tonumber(L, -1));
  } else if (t->dtype == CR_INT) {
    cr_ints(t)[i] = integer;
  } else {
    if (integer < 0 || integer > 255)
      cr_bind_errorf(L, where, "element %lld must be in 0 .. 255, got %lld", (long long)i + 1,
                     (long long)integer);
    cr_bytes(t)[i] = (uint8_t)integer;
  }
}

static void fill_from(lua_State *L, int index, cr_tensor *t, int depth, int64_t *at,
                      const char *where) {
  int64_t n = t->shape[depth];
  if ((int64_t)lua_rawlen(L, index) != n)
    cr_bind_errorf(L, where, "rows of unequal length: %lld and %lld", (long long)n,
                   (long long)lua_rawlen(L, index));
  for (int64_t i = 1; i <= n; i++) {
    lua_rawgeti(L, index, i);
    if (depth + 1 < t->ndim) {
      if (!lua_istable(L, -1)) cr_bind_errorf(L, where, "rows of unequal depth");
      fill_from(L, lua_gettop(L), t, depth + 1, at, where);
    } else {
      store(t, (*at)++, L, where);
    }
    lua_pop(L, 1);
  }
}

static int from_value(lua_State *L, cr_dtype dtype, const char *where) {
  cr_error err;
  cr_tensor *source = cr_bind_to_tensor(L, 1);
  if (source != NULL) {
    cr_tensor **box = cr_bind_box(L);
    return fill_box(L, box, cr_tensor_as(source, dtype, &err), where, &err);
  }
  int64_t shape[CR_MAX_DIMS];
  if (lua_gettop(L) > 1 || lua_type(L, 1) == LUA_TNUMBER) {
    /* crun.int(1, 2, 3) would be read as a shape elsewhere: only one value is taken */
    if (lua_gettop(L) > 1 || lua_type(L, 1) != LUA_TNUMBER)
      return cr_bind_errorf(L, where, "takes one table, as in crun.%s{1, 2, 3}", where);
    cr_tensor **box = cr_bind_box(L);
    cr_tensor *t = cr_tensor_new(dtype, 0, NULL, &err);
    if (t == NULL) return cr_bind_error(L, where, &err);
    *box = t;
    lua_pushvalue(L, 1);
    store(t, 0, L, where);
    lua_pop(L, 1);
    return 1;
  }
  if (!lua_istable(L, 1))
    return cr_bind_errorf(L, where, "takes a table of numbers, got %s", cr_bind_type_name(L, 1));
  int ndim = table_shape(L, 1, where, shape);
  lua_settop(L, 1);
  cr_tensor **box = cr_bind_box(L);
  cr_tensor *t = cr_tensor_new(dtype, ndim, shape, &err);
  if (fill_box(L, box, t, where, &err) != 1) return 0;
  int64_t at = 0;
  luaL_checkstack(L, 2 * CR_MAX_DIMS + 4, "tables nested too deep");
  if (ndim > 0) fill_from(L, 1, t, 0, &at, where);
  lua_settop(L, 2);
  return 1;
}

static int make_real(lua_State *L) { return from_value(L, CR_REAL, "tensor"); }
static int make_int(lua_State *L) { return from_value(L, CR_INT, "int"); }
static int make_byte(lua_State *L) { return from_value(L, CR_BYTE, "byte"); }

/* ---- other factories ---------------------------------------------------------------------------------- */

static int filled(lua_State *L, double value, const char *where) {
  int64_t shape[CR_MAX_DIMS];
  int ndim = cr_bind_shape(L, 1, where, shape);
  cr_tensor **box = cr_bind_box(L);
  cr_error err;
  cr_tensor *t = cr_tensor_new(CR_REAL, ndim, shape, &err);
  if (t != NULL) cr_tensor_fill(t, value);
  return fill_box(L, box, t, where, &err);
}

static int make_zeros(lua_State *L) { return filled(L, 0, "zeros"); }
static int make_ones(lua_State *L) { return filled(L, 1, "ones"); }

static int make_full(lua_State *L) {
  if (lua_type(L, 2) != LUA_TNUMBER)
    return cr_bind_errorf(L, "full", "takes a shape and a number, got %s", cr_bind_type_name(L, 2));
  double value = lua_tonumber(L, 2);
  lua_settop(L, 1);
  return filled(L, value, "full");
}

static int make_empty_like(lua_State *L) {
  cr_tensor *like = cr_bind_check_tensor(L, 1, "zeros_like", "the tensor");
  cr_tensor **box = cr_bind_box(L);
  cr_error err;
  return fill_box(L, box, cr_tensor_zeros(like->dtype, like->ndim, like->shape, &err), "zeros_like", &err);
}

static int make_scalar(lua_State *L) {
  double value = luaL_checknumber(L, 1);
  cr_tensor **box = cr_bind_box(L);
  cr_error err;
  return fill_box(L, box, cr_tensor_scalar(value, &err), "scalar", &err);
}

/* arange(a, b[, step]): a, a + step, ... up to and including b, as Lua's `for` counts; int64 when all are whole */
static int make_arange(lua_State *L) {
  bool one = lua_gettop(L) == 1;
  double first = one ? 1 : luaL_checknumber(L, 1), last = luaL_checknumber(L, one ? 1 : 2);
  double step = luaL_optnumber(L, 3, 1);
  if (step == 0 || !isfinite(first) || !isfinite(last) || !isfinite(step))
    return cr_bind_errorf(L, "arange", "takes finite numbers and a step other than 0");
  double count = floor((last - first) / step + 1e-9) + 1;
  if (count > 0x1p40) return cr_bind_errorf(L, "arange", "that is %g numbers", count);
  int64_t n = count > 0 ? (int64_t)count : 0;
  bool whole = first == floor(first) && step == floor(step);
  cr_tensor **box = cr_bind_box(L);
  cr_error err;
  cr_tensor *t = cr_tensor_new(whole ? CR_INT : CR_REAL, 1, &n, &err);
  if (fill_box(L, box, t, "arange", &err) != 1) return 0;
  for (int64_t i = 0; i < n; i++) {
    double v = first + (double)i * step;
    if (whole) cr_ints(t)[i] = (int64_t)v;
    else cr_reals(t)[i] = (real)v;
  }
  return 1;
}

static int make_eye(lua_State *L) {
  int64_t n = luaL_checkinteger(L, 1), shape[2] = { n, n };
  cr_tensor **box = cr_bind_box(L);
  cr_error err;
  cr_tensor *t = cr_tensor_zeros(CR_REAL, 2, shape, &err);
  if (fill_box(L, box, t, "eye", &err) != 1) return 0;
  for (int64_t i = 0; i < n; i++) cr_reals(t)[i * n + i] = 1;
  return 1;
}

static int random_reals(lua_State *L, double (*draw)(cr_rng *), const char *where) {
  cr_rng *rng = cr_bind_check_rng(L, 1, where);
  int64_t shape[CR_MAX_DIMS];
  int ndim = cr_bind_shape(L, 2, where, shape);
  cr_tensor **box = cr_bind_box(L);
  cr_error err;
  cr_tensor *t = cr_tensor_new(CR_REAL, ndim, shape, &err);
  if (fill_box(L, box, t, where, &err) != 1) return 0;
  int64_t n = cr_tensor_numel(t);
  for (int64_t i = 0; i < n; i++) cr_reals(t)[i] = (real)draw(rng);
  return 1;
}

static int make_rand(lua_State *L) { return random_reals(L, cr_rng_uniform, "rand"); }
static int make_randn(lua_State *L) { return random_reals(L, cr_rng_normal, "randn"); }

/* randint(rng, n, shape...): uniform in 1 .. n */
static int make_randint(lua_State *L) {
  cr_rng *rng = cr_bind_check_rng(L, 1, "randint");
  lua_Integer most = luaL_checkinteger(L, 2);
  if (most < 1) return cr_bind_errorf(L, "randint", "n must be at least 1, got %lld", (long long)most);
  int64_t shape[CR_MAX_DIMS];
  int ndim = cr_bind_shape(L, 3, "randint", shape);
  cr_tensor **box = cr_bind_box(L);
  cr_error err;
  cr_tensor *t = cr_tensor_new(CR_INT, ndim, shape, &err);
  if (fill_box(L, box, t, "randint", &err) != 1) return 0;
  int64_t n = cr_tensor_numel(t);
  for (int64_t i = 0; i < n; i++) cr_ints(t)[i] = 1 + (int64_t)cr_rng_below(rng, (uint64_t)most);
  return 1;
}

/* randperm(rng, n): 1 .. n in random order, by Fisher and Yates */
static int make_randperm(lua_State *L) {
  cr_rng *rng = cr_bind_check_rng(L, 1, "randperm");
  int64_t n = luaL_checkinteger(L, 2);
  if (n < 0) return cr_bind_errorf(L, "randperm", "n must be at least 0, got %lld", (long long)n);
  cr_tensor **box = cr_bind_box(L);
  cr_error err;
  cr_tensor *t = cr_tensor_new(CR_INT, 1, &n, &err);
  if (fill_box(L, box, t, "randperm", &err) != 1) return 0;
  int64_t *row = cr_ints(t);
  for (int64_t i = 0; i < n; i++) row[i] = i + 1;
  for (int64_t i = n - 1; i > 0; i--) {
    int64_t j = (int64_t)cr_rng_below(rng, (uint64_t)i + 1), swap = row[i];
    row[i] = row[j];
    row[j] = swap;
  }
  return 1;
}

/* ---- looking ------------------------------------------------------------------------------------------ */

static cr_tensor *self(lua_State *L, const char *where) {
  return cr_bind_check_tensor(L, 1, where, "the tensor");
}

static void push_element(lua_State *L, const cr_tensor *t, int64_t i) {
  if (t->dtype == CR_REAL) {
    lua_pushnumber(L, cr_tensor_get(t, i));
    return;
  }
  int64_t at = t->offset;
  for (int d = t->ndim - 1; d >= 0; d--) {
    at += i % t->shape[d] * t->stride[d];
    i /= t->shape[d];
  }
  if (t->dtype == CR_INT) lua_pushinteger(L, ((const int64_t *)(const void *)t->storage->data)[at]);
  else lua_pushinteger(L, t->storage->data[at]);
}

static int shape(lua_State *L) {
  cr_tensor *t = self(L, "shape");
  lua_createtable(L, t->ndim, 0);
  for (int d = 0; d < t->ndim; d++) {
    lua_pushinteger(L, t->shape[d]);
    lua_rawseti(L, -2, d + 1);
  }
  return 1;
}

static int size(lua_State *L) {
  cr_tensor *t = self(L, "size");
  lua_Integer d = luaL_checkinteger(L, 2);
  int at = (int)(d < 0 ? d + t->ndim : d - 1);
  if (d == 0 || at < 0 || at >= t->ndim)
    return cr_bind_errorf(L, "size", "%lld is not a dimension of a tensor of %d", (long long)d, t->ndim);
  lua_pushinteger(L, t->shape[at]);
  return 1;
}

static int length(lua_State *L) {
  cr_tensor *t = self(L, "#");
  lua_pushinteger(L, t->ndim > 0 ? t->shape[0] : 1);
  return 1;
}

static int ndim(lua_State *L) { return lua_pushinteger(L, self(L, "ndim")->ndim), 1; }
static int numel(lua_State *L) { return lua_pushinteger(L, cr_tensor_numel(self(L, "numel"))), 1; }
static int dtype(lua_State *L) { return lua_pushstring(L, cr_dtype_name(self(L, "dtype")->dtype)), 1; }

static int is_contiguous(lua_State *L) {
  return lua_pushboolean(L, cr_tensor_is_contiguous(self(L, "is_contiguous"))), 1;
}

static int item(lua_State *L) {
  cr_tensor *t = self(L, "item");
  if (cr_tensor_numel(t) != 1) {
    char text[CR_SHAPE_TEXT];
    return cr_bind_errorf(L, "item", "needs a tensor of one element, got shape %s",
                          cr_shape_text(t->ndim, t->shape, text));
  }
  push_element(L, t, 0);
  return 1;
}

static void push_table(lua_State *L, const cr_tensor *t, int depth, int64_t *at) {
  luaL_checkstack(L, 3, "tensor of too many dimensions");
  lua_createtable(L, (int)t->shape[depth], 0);
  for (int64_t i = 0; i < t->shape[depth]; i++) {
    if (depth + 1 < t->ndim) push_table(L, t, depth + 1, at);
    else push_element(L, t, (*at)++);
    lua_rawseti(L, -2, i + 1);
  }
}

static int totable(lua_State *L) {
  cr_tensor *t = self(L, "totable");
  int64_t at = 0;
  if (t->ndim == 0) push_element(L, t, 0);
  else push_table(L, t, 0, &at);
  return 1;
}

static int to_text(lua_State *L) {
  cr_tensor **box = to_box(L, 1);
  if (box == NULL || *box == NULL) lua_pushliteral(L, "tensor (released)");
  else cr_bind_push_text(L, *box);
  return 1;
}

/* ---- changing ----------------------------------------------------------------------------------------- */

/* In-place changes of something a gradient is wanted for would make the graph lie. */
static void check_may_change(lua_State *L, const cr_tensor *t, const char *where) {
  if (cr_graph_enabled() && (t->requires_grad || t->node != NULL))
    cr_bind_errorf(L, where, "a tensor that takes part in gradients is changed in place only under "
                             "crun.no_grad()");
}

static int self_changed(lua_State *L, cr_tensor *t) {
  t->storage->version++;
  lua_settop(L, 1);
  return 1;
}

static int fill(lua_State *L) {
  cr_tensor *t = self(L, "fill_");
  double v = luaL_checknumber(L, 2);
  check_may_change(L, t, "fill_");
  cr_tensor_fill(t, v);
  return self_changed(L, t);
}

static int zero(lua_State *L) {
  cr_tensor *t = self(L, "zero_");
  check_may_change(L, t, "zero_");
  cr_tensor_fill(t, 0);
  return self_changed(L, t);
}

static void check_fits(lua_State *L, const cr_tensor *t, const cr_tensor *from, const char *where) {
  int n;
  int64_t shape_both[CR_MAX_DIMS];
  bool fits = cr_shape_broadcast(t->ndim, t->shape, from->ndim, from->shape, &n, shape_both) &&
              n == t->ndim && memcmp(shape_both, t->shape, sizeof(int64_t) * (size_t)n) == 0;
  char a[CR_SHAPE_TEXT], b[CR_SHAPE_TEXT];
  if (!fits)
    cr_bind_errorf(L, where, "shape %s does not fit into %s", cr_shape_text(from->ndim, from->shape, a),
                   cr_shape_text(t->ndim, t->shape, b));
}

static int copy(lua_State *L) {
  cr_tensor *t = self(L, "copy_"), *from = cr_bind_check_tensor(L, 2, "copy_", "the source");
  check_may_change(L, t, "copy_");
  check_fits(L, t, from, "copy_");
  if (t->storage == from->storage && t != from) {   /* overlapping views: by way of a packed copy */
    cr_tensor **box = cr_bind_box(L);
    cr_error err;
    *box = cr_tensor_as(from, from->dtype, &err);
    if (*box == NULL) return cr_bind_error(L, "copy_", &err);
    cr_tensor_copy(t, *box);
  } else {
    cr_tensor_copy(t, from);
  }
  return self_changed(L, t);
}

/* t += alpha * other, or t *= other: a small set, for optimisers and running averages written in Lua */
static int update(lua_State *L, bool multiply, const char *where) {
  cr_tensor *t = self(L, where), *other = cr_bind_to_tensor(L, 2);
  double number = other == NULL ? luaL_checknumber(L, 2) : 0;
  double alpha = luaL_optnumber(L, 3, 1);
  check_may_change(L, t, where);
  if (t->dtype != CR_REAL)
    return cr_bind_errorf(L, where, "works on %s tensors, got %s", CR_REAL_NAME, cr_dtype_name(t->dtype));
  if (other != NULL) check_fits(L, t, other, where);
  cr_tensor **box = cr_bind_box(L);
  cr_error err;
  /* operand in t's own layout: packed, of t's shape */
  cr_tensor *b = *box = cr_tensor_new(CR_REAL, t->ndim, t->shape, &err);
  if (b == NULL) return cr_bind_error(L, where, &err);
  if (other != NULL) cr_tensor_copy(b, other);
  else cr_tensor_fill(b, number);
  int64_t n = cr_tensor_numel(t);
  real *x = cr_reals(b);
  if (cr_tensor_is_contiguous(t)) {
    real *to = cr_reals(t);
    if (multiply) for (int64_t i = 0; i < n; i++) to[i] *= x[i];
    else for (int64_t i = 0; i < n; i++) to[i] += (real)alpha * x[i];
  } else {
    for (int64_t i = 0; i < n; i++) {
      real old = (real)cr_tensor_get(t, i);
      x[i] = multiply ? old * x[i] : old + (real)alpha * x[i];
    }
    cr_tensor_copy(t, b);
  }
  return self_changed(L, t);
}

static int add_in_place(lua_State *L) { return update(L, false, "add_"); }
static int mul_in_place(lua_State *L) { return update(L, true, "mul_"); }

/* ---- copies and types --------------------------------------------------------------------------------- */

static int as_type(lua_State *L, cr_dtype to, const char *where) {
  cr_tensor *t = self(L, where);
  if (t->dtype == to) return lua_settop(L, 1), 1;
  cr_tensor **box = cr_bind_box(L);
  cr_error err;
  return fill_box(L, box, cr_tensor_as(t, to, &err), where, &err);
}

static int to_real(lua_State *L) { return as_type(L, CR_REAL, "real"); }
static int to_int(lua_State *L) { return as_type(L, CR_INT, "int"); }
static int to_byte(lua_State *L) { return as_type(L, CR_BYTE, "byte"); }

static int clone(lua_State *L) {
  cr_tensor *t = self(L, "clone");
  cr_tensor **box = cr_bind_box(L);
  cr_error err;
  return fill_box(L, box, cr_tensor_as(t, t->dtype, &err), "clone", &err);
}

static int detach(lua_State *L) {
  cr_tensor *t = self(L, "detach");
  cr_tensor **box = cr_bind_box(L);
  cr_error err;
  *box = cr_tensor_view(t, &err);
  return *box != NULL ? 1 : cr_bind_error(L, "detach", &err);
}

static int contiguous(lua_State *L) {
  cr_tensor *t = self(L, "contiguous");
  if (cr_tensor_is_contiguous(t)) return lua_settop(L, 1), 1;
  /* reshape to the same shape packs, and has a gradient */
  lua_getfield(L, lua_upvalueindex(1), "reshape");
  lua_pushvalue(L, 1);
  lua_createtable(L, t->ndim, 0);
  for (int d = 0; d < t->ndim; d++) {
    lua_pushinteger(L, t->shape[d]);
    lua_rawseti(L, -2, d + 1);
  }
  lua_call(L, 2, 1);
  cr_tensor *packed = cr_bind_to_tensor(L, -1);
  if (packed != NULL && cr_tensor_is_contiguous(packed)) return 1;
  lua_settop(L, 1);
  return clone(L);
}

/* ---- gradients ---------------------------------------------------------------------------------------- */

static int requires_grad(lua_State *L) {
  cr_tensor *t = self(L, "requires_grad_");
  bool want = lua_isnoneornil(L, 2) || lua_toboolean(L, 2);
  if (t->dtype != CR_REAL)
    return cr_bind_errorf(L, "requires_grad_", "only %s tensors have gradients, got %s", CR_REAL_NAME,
                          cr_dtype_name(t->dtype));
  if (t->node != NULL)
    return cr_bind_errorf(L, "requires_grad_", "this tensor was computed; only a leaf can be asked");
  t->requires_grad = want;
  return lua_settop(L, 1), 1;
}

static int wants_grad(lua_State *L) {
  cr_tensor *t = self(L, "wants_grad");
  return lua_pushboolean(L, t->requires_grad || t->node != NULL), 1;
}

static int grad(lua_State *L) {
  cr_tensor *t = self(L, "grad");
  if (t->grad == NULL) return lua_pushnil(L), 1;
  cr_tensor **box = cr_bind_box(L);
  *box = cr_tensor_retain(t->grad);
  return 1;
}

static int set_grad(lua_State *L) {
  cr_tensor *t = self(L, "set_grad"), *g = NULL;
  if (!lua_isnoneornil(L, 2)) {
    g = cr_bind_check_tensor(L, 2, "set_grad", "the gradient");
    if (g->dtype != CR_REAL || !cr_tensor_same_shape(t, g) || !cr_tensor_is_contiguous(g))
      return cr_bind_errorf(L, "set_grad", "the gradient must be contiguous and of the tensor's shape");
    cr_tensor_retain(g);
  }
  cr_tensor *old = t->grad;
  t->grad = g;
  cr_tensor_release(old);
  return lua_settop(L, 1), 1;
}

/* The memory stays with the allocator's cache; the next backward makes a fresh one. */
static int zero_grad(lua_State *L) {
  lua_settop(L, 1);
  return set_grad(L);
}

static int backward(lua_State *L) {
  cr_tensor *t = self(L, "backward");
  cr_tensor *g = lua_isnoneornil(L, 2) ? NULL
                                       : cr_bind_check_tensor(L, 2, "backward", "the gradient");
  cr_error err;
  if (!cr_graph_backward(t, g, &err)) return cr_bind_error(L, "backward", &err);
  return 0;
}

/* no_grad(): a guard for <close>; no_grad(f, ...): f(...) without a graph. */
static int restore_grad(lua_State *L) {
  int *was = luaL_checkudata(L, 1, "crun.no_grad");
  if (*was >= 0) cr_graph_set_enabled(*was);
  *was = -1;
  return 0;
}

static void push_guard(lua_State *L) {
  int *was = lua_newuserdatauv(L, sizeof *was, 0);
  *was = -1;
  luaL_setmetatable(L, "crun.no_grad");
  *was = cr_graph_set_enabled(false);
}

static int after_no_grad(lua_State *L, int status, lua_KContext base) {
  (void)status;
  return lua_gettop(L) - (int)base;
}

static int no_grad(lua_State *L) {
  if (lua_isnoneornil(L, 1)) {
    push_guard(L);
    return 1;
  }
  luaL_checkany(L, 1);
  push_guard(L);
  lua_insert(L, 1);
  lua_toclose(L, 1);
  lua_callk(L, lua_gettop(L) - 2, LUA_MULTRET, 1, after_no_grad);
  return after_no_grad(L, LUA_OK, 1);
}

static int grad_enabled(lua_State *L) { return lua_pushboolean(L, cr_graph_enabled()), 1; }

/* ---- indexing ----------------------------------------------------------------------------------------- */

static int64_t check_row(lua_State *L, const cr_tensor *t, lua_Integer i) {
  if (t->ndim == 0) cr_bind_errorf(L, "index", "a tensor of 0 dimensions has no rows; use item()");
  int64_t n = t->shape[0], at = i < 0 ? i + n : i - 1;
  if (i == 0 || at < 0 || at >= n)
    cr_bind_errorf(L, "index", "%lld is out of range 1..%lld", (long long)i, (long long)n);
  return at;
}

/* t[i]: a number of a 1-D tensor, a row (a view with a gradient) of a larger one; t.name: a method */
static int index_tensor(lua_State *L) {
  if (lua_type(L, 2) != LUA_TNUMBER) {
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) == LUA_TNIL && lua_type(L, 2) == LUA_TSTRING)
      return cr_bind_errorf(L, NULL, "a tensor has no method '%s'", lua_tostring(L, 2));
    return 1;
  }
  cr_tensor *t = self(L, "index");
  int whole;
  lua_Integer i = lua_tointegerx(L, 2, &whole);
  if (!whole) return cr_bind_errorf(L, "index", "a row number must be whole");
  int64_t at = check_row(L, t, i);
  if (t->ndim == 1) {
    push_element(L, t, at);
    return 1;
  }
  lua_getfield(L, lua_upvalueindex(1), "select");
  lua_pushvalue(L, 1);
  lua_pushinteger(L, 1);
  lua_pushinteger(L, at + 1);
  lua_call(L, 3, 1);
  return 1;
}

static int newindex(lua_State *L) {
  cr_tensor *t = self(L, "index");
  int whole;
  lua_Integer i = lua_tointegerx(L, 2, &whole);
  if (!whole)
    return cr_bind_errorf(L, "index", "a tensor takes values at row numbers, not at %s",
                          lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : cr_bind_type_name(L, 2));
  check_may_change(L, t, "index");
  int64_t at = check_row(L, t, i);
  cr_tensor *from = cr_bind_to_tensor(L, 3);
  double number = 0;
  if (from == NULL) {
    if (lua_type(L, 3) != LUA_TNUMBER)
      return cr_bind_errorf(L, "index", "the value must be a number or a tensor, got %s",
                            cr_bind_type_name(L, 3));
    number = lua_tonumber(L, 3);
  }
  cr_tensor row = *t;                     /* a borrowed view on the C stack: nothing owns it */
  row.ndim = t->ndim - 1;
  row.offset += at * t->stride[0];
  for (int d = 0; d < row.ndim; d++) {
    row.shape[d] = t->shape[d + 1];
    row.stride[d] = t->stride[d + 1];
  }
  if (from != NULL) {
    check_fits(L, &row, from, "index");
    cr_tensor_copy(&row, from);
  } else if (t->dtype == CR_INT && t->ndim == 1) {
    ((int64_t *)(void *)t->storage->data)[row.offset] = (int64_t)lua_tointeger(L, 3);
  } else {
    cr_tensor_fill(&row, number);
  }
  t->storage->version++;
  return 0;
}

static int negate(lua_State *L) {
  lua_settop(L, 1);
  lua_getfield(L, lua_upvalueindex(1), "neg");
  lua_insert(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

/* allclose(a, b, rtol = 1e-5, atol = 1e-8): |a - b| <= atol + rtol |b| everywhere, nan equal to nan */
static int allclose(lua_State *L) {
  cr_tensor *a = cr_bind_check_tensor(L, 1, "allclose", "a");
  cr_tensor *b = cr_bind_check_tensor(L, 2, "allclose", "b");
  double rtol = luaL_optnumber(L, 3, 1e-5), atol = luaL_optnumber(L, 4, 1e-8);
  bool close = cr_tensor_same_shape(a, b);
  int64_t n = close ? cr_tensor_numel(a) : 0;
  for (int64_t i = 0; close && i < n; i++) {
    double x = cr_tensor_get(a, i), y = cr_tensor_get(b, i);
    close = x == y || (isnan(x) && isnan(y)) || fabs(x - y) <= atol + rtol * fabs(y);
  }
  return lua_pushboolean(L, close), 1;
}

static int is_tensor(lua_State *L) { return lua_pushboolean(L, to_box(L, 1) != NULL), 1; }

/* ---- opening ------------------------------------------------------------------------------------------ */

static const luaL_Reg methods[] = {
  { "shape", shape }, { "size", size }, { "ndim", ndim }, { "numel", numel }, { "dtype", dtype },
  { "is_contiguous", is_contiguous }, { "item", item }, { "totable", totable }, { "fill_", fill },
  { "zero_", zero }, { "copy_", copy }, { "add_", add_in_place }, { "mul_", mul_in_place },
  { "real", to_real }, { "int", to_int }, { "byte", to_byte }, { "clone", clone },
  { "detach", detach }, { "requires_grad_", requires_grad }, { "wants_grad", wants_grad },
  { "grad", grad }, { "set_grad", set_grad }, { "zero_grad_", zero_grad }, { "backward", backward },
  { "release", release }, { NULL, NULL }
};

static const luaL_Reg factories[] = {
  { "tensor", make_real }, { "int", make_int }, { "byte", make_byte }, { "zeros", make_zeros },
  { "ones", make_ones }, { "full", make_full }, { "zeros_like", make_empty_like },
  { "scalar", make_scalar }, { "arange", make_arange }, { "eye", make_eye }, { "rand", make_rand },
  { "randn", make_randn }, { "randint", make_randint }, { "randperm", make_randperm },
  { "no_grad", no_grad }, { "grad_enabled", grad_enabled }, { "allclose", allclose },
  { "is_tensor", is_tensor }, { NULL, NULL }
};

static const luaL_Reg events[] = {
  { "__gc", release }, { "__close", release }, { "__tostring", to_text }, { "__len", length },
  { "__newindex", newindex }, { NULL, NULL }
};

void cr_bind_tensor_open(lua_State *L, int crun) {
  luaL_newmetatable(L, "crun.no_grad");
  lua_pushcfunction(L, restore_grad);
  lua_setfield(L, -2, "__close");
  lua_pop(L, 1);

  luaL_newmetatable(L, TENSOR);
  tensor_meta = lua_topointer(L, -1);
  luaL_setfuncs(L, events, 0);
  luaL_newlib(L, methods);
  lua_pushvalue(L, -1);
  lua_pushcclosure(L, contiguous, 1);
  lua_setfield(L, -2, "contiguous");
  lua_pushvalue(L, -1);
  lua_pushcclosure(L, index_tensor, 1);
  lua_setfield(L, -3, "__index");
  lua_pushvalue(L, -1);
  lua_pushcclosure(L, negate, 1);
  lua_setfield(L, -3, "__unm");
  lua_setfield(L, -2, "methods");           /* operators are added by cr_bind_ops_open */
  lua_pushliteral(L, "tensor");
  lua_setfield(L, -2, "__name");
  lua_pop(L, 1);

  lua_pushvalue(L, crun);
  luaL_setfuncs(L, factories, 0);
  lua_pop(L, 1);
}
