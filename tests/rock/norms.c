/* norms.c - functions on tensors in a C module: norms.rows(x) is the norm of each row */
#include <crun.h>
#include <math.h>

static const crun_api *crun;

/* rows(x [N D]) -> [N] */
static int rows(lua_State *L) {
  const crun_tensor *t = crun->check_tensor(L, 1, "norms.rows", "x");
  crun_view x = crun->view(t);
  if (x.ndim != 2 || x.type != crun->real || !crun->is_packed(t))
    return crun->fail(L, "norms.rows", "x must be a packed real [N, D], got %d dimensions", x.ndim);
  crun_view out = crun->view(crun->push_tensor(L, crun->real, 1, x.shape));
  for (int64_t i = 0; i < x.shape[0]; i++) {
    double sum = 0;
    for (int64_t k = 0; k < x.shape[1]; k++) sum += pow(crun_get(x, i * x.shape[1] + k), 2);
    crun_set(out, i, sqrt(sum));
  }
  return 1;
}

int luaopen_norms(lua_State *L) {
  static const luaL_Reg functions[] = { { "rows", rows }, { NULL, NULL } };
  crun = crun_open(L);
  luaL_newlib(L, functions);
  return 1;
}
