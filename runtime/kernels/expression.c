/* expression.c - see expression.h */
#include "kernels/expression.h"

#include <tgmath.h>

#include "kernels/vmath.h"

typedef void (*step_fn)(int64_t n, const real *a, const real *b, const real *c, real *to);

/* The loop has to be compiled around the expression, once for each instruction set. */
#define STEP(name, value)                                                                         \
  CR_VECTOR static void name(int64_t n, const real *restrict a, const real *restrict b,           \
                             const real *restrict c, real *restrict to) {                         \
    (void)b, (void)c;                                                                             \
    for (int64_t i = 0; i < n; i++) to[i] = (value);                                              \
  }

STEP(add, a[i] + b[i])
STEP(sub, a[i] - b[i])
STEP(mul, a[i] * b[i])
STEP(divide, a[i] / b[i])
STEP(power, pow(a[i], b[i]))
STEP(maximum, a[i] < b[i] ? b[i] : a[i])
STEP(minimum, b[i] < a[i] ? b[i] : a[i])
STEP(lt, a[i] < b[i] ? (real)1 : 0)
STEP(le, a[i] <= b[i] ? (real)1 : 0)
STEP(where, a[i] != 0 ? b[i] : c[i])
STEP(neg, -a[i])
STEP(exponential, cr_exp(a[i]))
STEP(logarithm, cr_log(a[i]))
STEP(root, sqrt(a[i]))
STEP(relu, a[i] < 0 ? 0 : a[i])
STEP(absolute, fabs(a[i]))
STEP(square, a[i] * a[i])
STEP(sigmoid, cr_sigmoid(a[i]))
STEP(softplus, cr_softplus(a[i]))

static const struct { step_fn run; int operands; } functions[CR_X_FUNCTIONS] = {
  [CR_X_ADD] = { add, 2 }, [CR_X_SUB] = { sub, 2 }, [CR_X_MUL] = { mul, 2 },
  [CR_X_DIV] = { divide, 2 }, [CR_X_POW] = { power, 2 }, [CR_X_MAXIMUM] = { maximum, 2 },
  [CR_X_MINIMUM] = { minimum, 2 }, [CR_X_LT] = { lt, 2 }, [CR_X_LE] = { le, 2 },
  [CR_X_WHERE] = { where, 3 }, [CR_X_NEG] = { neg, 1 }, [CR_X_EXP] = { exponential, 1 },
  [CR_X_LOG] = { logarithm, 1 }, [CR_X_SQRT] = { root, 1 }, [CR_X_RELU] = { relu, 1 },
  [CR_X_ABS] = { absolute, 1 }, [CR_X_SQUARE] = { square, 1 }, [CR_X_SIGMOID] = { sigmoid, 1 },
  [CR_X_SOFTPLUS] = { softplus, 1 },
};

static bool check_step(const cr_expression *e, const int64_t *step) {
  int64_t first = e->inputs + e->constants, all = first + e->registers;
  if (step[0] < 0 || step[0] >= CR_X_FUNCTIONS) return false;
  bool fine = step[1] >= first && step[1] < all;
  for (int k = 0; k < functions[step[0]].operands; k++)
    fine &= step[2 + k] >= 0 && step[2 + k] < all && step[2 + k] != step[1];
  return fine;
}

bool cr_expression_read(cr_expression *e, const char *name, const int64_t *code, int64_t rows,
                        const real *constant, int64_t constants, int64_t inputs, cr_error *err) {
  if (rows < 1 || code[0] != inputs || code[1] < 0 ||
      code[1] > CR_EXPRESSION_OPERANDS - inputs - constants || code[2] < 0)
    return cr_fail(err, CR_EVALUE, "%s is no program of %d inputs and at most %d operands", name,
                   (int)inputs, CR_EXPRESSION_OPERANDS);
  *e = (cr_expression){ .inputs = inputs, .constants = constants, .registers = code[1],
                        .steps = rows - 1, .step = code + 5, .constant = constant };
  for (int64_t k = 0; k < e->steps; k++)
    if (!check_step(e, e->step + 5 * k))
      return cr_fail(err, CR_EVALUE, "%s is no program: step %lld", name, (long long)k + 1);
  for (int k = 0; k < CR_X_OUTPUTS; k++) {
    e->output[k] = code[2 + k];
    if (e->output[k] < -1 || e->output[k] >= inputs + constants + e->registers)
      return cr_fail(err, CR_EVALUE, "%s is no program: output %d", name, k + 1);
  }
  return true;
}

size_t cr_expression_bytes(const cr_expression *e) {
  return (size_t)(e->constants + e->registers) * CR_EXPRESSION_CHUNK * sizeof(real);
}

void cr_expression_start(const cr_expression *e, real *work) {
  for (int64_t k = 0; k < e->constants; k++)
    for (int64_t i = 0; i < CR_EXPRESSION_CHUNK; i++)
      work[k * CR_EXPRESSION_CHUNK + i] = e->constant[k];
}

/* Operand k: an input, or a place in work. */
static real *operand(const cr_expression *e, const real *const input[], real *work, int64_t k) {
  if (k < e->inputs) return (real *)(uintptr_t)input[k];
  return work + (k - e->inputs) * CR_EXPRESSION_CHUNK;
}

void cr_expression_run(const cr_expression *e, int64_t n, const real *const input[], real *work,
                       const real *out[CR_X_OUTPUTS]) {
  for (int64_t k = 0; k < e->steps; k++) {
    const int64_t *step = e->step + 5 * k;
    const real *at[3] = { 0 };
    for (int o = 0; o < functions[step[0]].operands; o++)
      at[o] = operand(e, input, work, step[2 + o]);
    functions[step[0]].run(n, at[0], at[1], at[2], operand(e, input, work, step[1]));
  }
  for (int k = 0; k < CR_X_OUTPUTS; k++)
    out[k] = e->output[k] < 0 ? NULL : operand(e, input, work, e->output[k]);
}
