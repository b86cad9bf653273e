/* capi.c - what runtime/crun.h promises to C modules
 *
 * A module's loss becomes an ordinary descriptor: its tables are copied into those of op.h, and
 * check, forward and backward below show it each call in its own words. */
#include "bind/capi.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bind/bind.h"
#include "crun.h"

enum { MAX_INPUTS = 8, MAX_OPTIONS = 32 };

#ifdef CR_DOUBLE
#define REAL_TYPE CRUN_FLOAT64
#else
#define REAL_TYPE CRUN_FLOAT32
#endif

static const cr_tensor *inner(const crun_tensor *t) { return (const cr_tensor *)(const void *)t; }

static crun_view view_of(const cr_tensor *t) {
  static const enum crun_type types[] = { [CR_REAL] = REAL_TYPE, [CR_INT] = CRUN_INT64,
                                          [CR_BYTE] = CRUN_UINT8 };
  if (t == NULL) return (crun_view){ 0 };
  return (crun_view){ t->storage->data + (size_t)t->offset * cr_dtype_size(t->dtype),
                      types[t->dtype], t->ndim, t->shape, t->stride };
}

/* ---- tensors --------------------------------------------------------------------------------- */

static const crun_tensor *check_tensor(lua_State *L, int index, const char *where,
                                       const char *name) {
  return (const crun_tensor *)(const void *)cr_bind_check_tensor(L, index, where, name);
}

static crun_tensor *push_tensor(lua_State *L, enum crun_type type, int ndim,
                                const int64_t *shape) {
  cr_dtype dtype = type == CRUN_INT64 ? CR_INT : type == CRUN_UINT8 ? CR_BYTE : CR_REAL;
  cr_tensor **box = cr_bind_box(L);
  cr_error err;
  *box = cr_tensor_zeros(dtype, ndim, shape, &err);
  if (*box == NULL) cr_bind_error(L, NULL, &err);
  cr_bind_charge(L, *box);
  return (crun_tensor *)(void *)*box;
}

static crun_view view(const crun_tensor *t) { return view_of(inner(t)); }
static int is_packed(const crun_tensor *t) { return cr_tensor_is_contiguous(inner(t)); }

static int fail(lua_State *L, const char *where, const char *format, ...) {
  char text[400];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return cr_bind_raise(L, where, text);
}

/* ---- losses ---------------------------------------------------------------------------------- */

/* A module's loss in our words. */
typedef struct adopted {
  cr_op op;                             /* first: a call's op is the whole */
  cr_op_info info;
  const crun_loss *loss;
  cr_input inputs[MAX_INPUTS + 1];
  cr_option options[MAX_OPTIONS + 1];
} adopted;

/* The call as the module sees it; views of inputs (and of their gradients) go to in. */
static crun_call show(const cr_call *c, crun_view in[], crun_view gin[]) {
  for (int i = 0; i < c->n_in; i++) {
    in[i] = view_of(c->in[i]);
    gin[i] = view_of(c->gin != NULL ? c->gin[i] : NULL);
  }
  return (crun_call){ .in = in, .gin = gin, .option = c->option, .saved = c->saved,
                      .scratch = c->scratch, .stat = c->stat, .wants_gradient = c->wants_grad };
}

static const crun_loss *loss_of(const cr_call *c) {
  return ((const adopted *)(const void *)c->op)->loss;
}

static bool check(cr_call *c, cr_error *err) {
  crun_view in[MAX_INPUTS], gin[MAX_INPUTS];
  const crun_loss *loss = loss_of(c);
  crun_call call = show(c, in, gin);
  const char *wrong = NULL;
  if (loss->check != NULL) wrong = loss->check(&call, &c->saved_bytes, &c->scratch_bytes);
  c->backward_scratch_bytes = c->scratch_bytes;
  return wrong == NULL || cr_fail(err, CR_EVALUE, "%s", wrong);
}

static void forward(cr_call *c) {
  crun_view in[MAX_INPUTS], gin[MAX_INPUTS];
  crun_call call = show(c, in, gin);
  loss_of(c)->forward(&call);
  *cr_reals(c->out[0]) = (real)call.loss;
}

static void backward(cr_call *c) {
  crun_view in[MAX_INPUTS], gin[MAX_INPUTS];
  crun_call call = show(c, in, gin);
  call.gloss = (double)*cr_reals(c->gout[0]);
  loss_of(c)->backward(&call);
}

static int count_inputs(lua_State *L, const crun_loss *loss) {
  int n = 0;
  while (loss->inputs != NULL && loss->inputs[n].name != NULL) n++;
  if (n == 0 || n > MAX_INPUTS)
    luaL_error(L, "the loss '%s' has %d inputs; it may have 1 to %d", loss->name, n, MAX_INPUTS);
  return n;
}

static int count_options(lua_State *L, const crun_loss *loss) {
  int n = 0;
  while (loss->options != NULL && loss->options[n].name != NULL) n++;
  if (n > MAX_OPTIONS)
    luaL_error(L, "the loss '%s' has %d options; it may have %d", loss->name, n, MAX_OPTIONS);
  return n;
}

/* Pushes a table that keeps it alive and returns the descriptor in it. */
static adopted *adopt(lua_State *L, const crun_loss *loss) {
  int inputs = count_inputs(L, loss), options = count_options(L, loss);
  adopted *a = lua_newuserdatauv(L, sizeof *a, 0);
  memset(a, 0, sizeof *a);
  a->loss = loss;
  for (int i = 0; i < inputs; i++) {
    const crun_input *from = &loss->inputs[i];
    unsigned flags = (from->flags & CRUN_OPTIONAL ? CR_OPTIONAL : 0u) |
                     (from->integers || from->flags & CRUN_NO_GRADIENT ? CR_NOGRAD : 0u);
    a->inputs[i] = (cr_input){ from->name, from->shape, from->integers ? CR_TINT : CR_TREAL,
                               flags };
  }
  for (int k = 0; k < options; k++) {
    const crun_option *from = &loss->options[k];
    a->options[k] = (cr_option){ from->name, from->value, from->least, from->most, from->help,
                                 CR_NUMBER, NULL, false };
  }
  a->op = (cr_op){ .name = loss->name, .help = loss->help, .formula = loss->formula,
                   .paper = loss->paper, .inputs = a->inputs, .stats = loss->stats,
                   .options = options > 0 ? a->options : NULL, .check = check, .forward = forward,
                   .backward = loss->backward != NULL ? backward : NULL };
  a->info = cr_op_info_of(&a->op, "losses");
  return a;
}

static void register_loss(lua_State *L, const crun_loss *loss) {
  if (loss->abi != CRUN_ABI)
    luaL_error(L, "a loss for ABI %d of crun, this crun has %d", loss->abi, CRUN_ABI);
  if (loss->name == NULL || loss->forward == NULL)
    luaL_error(L, "a loss needs a name and a forward function");
  for (int i = 0; cr_registry[i].op != NULL; i++)
    if (strcmp(cr_registry[i].room, "losses") == 0 &&
        strcmp(cr_registry[i].op->name, loss->name) == 0)
      luaL_error(L, "the name '%s' belongs to a built-in loss", loss->name);
  adopted *a = adopt(L, loss);
  luaL_ref(L, LUA_REGISTRYINDEX);       /* it lives as long as the process */
  cr_bind_push_maker(L, &a->info);
  /* crun.losses.NAME is looked up in crun.loss.defined */
  lua_getglobal(L, "require");
  lua_pushliteral(L, "crun.loss");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "defined");
  lua_pushvalue(L, -3);
  lua_setfield(L, -2, loss->name);
  lua_pop(L, 2);
}

void cr_capi_open(lua_State *L) {
  static const crun_api api = {
    .abi = CRUN_ABI, .bytes = sizeof api, .version = CR_VERSION, .real = REAL_TYPE,
    .check_tensor = check_tensor, .push_tensor = push_tensor, .view = view, .is_packed = is_packed,
    .fail = fail, .register_loss = register_loss,
  };
  lua_pushlightuserdata(L, (void *)(uintptr_t)&api);
  lua_setfield(L, LUA_REGISTRYINDEX, "crun.api");
}
