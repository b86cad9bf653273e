/* expression.h - a formula given as data, evaluated over vectors
 *
 * A program is rows of five whole numbers. The first row is its head, the others are steps:
 *
 *   { inputs, registers, value, slope 1, slope 2 }        outputs are operands; -1: there is none
 *   { function, to, a, b, c }                             to, a, b, c are operands
 *
 * Operands are numbered: first the inputs, then the constants, then the registers. Only registers
 * are written. A step works on a chunk of elements at once, so the cost of finding out what to do
 * is shared by CR_EXPRESSION_CHUNK of them, and all registers lie in the first-level cache. What a
 * program may do is checked once, when it is read: it cannot reach other memory.
 *
 * lua/crun/closure.lua writes programs; its list of functions is this one. */
#ifndef CR_KERNELS_EXPRESSION_H
#define CR_KERNELS_EXPRESSION_H

#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "base/real.h"

enum { CR_EXPRESSION_CHUNK = 256, CR_EXPRESSION_OPERANDS = 1000 };

typedef enum {
  CR_X_ADD, CR_X_SUB, CR_X_MUL, CR_X_DIV, CR_X_POW, CR_X_MAXIMUM, CR_X_MINIMUM,
  CR_X_LT, CR_X_LE,                     /* 1 or 0 */
  CR_X_WHERE,                           /* a != 0 ? b : c */
  CR_X_NEG, CR_X_EXP, CR_X_LOG, CR_X_SQRT, CR_X_RELU, CR_X_ABS, CR_X_SQUARE, CR_X_SIGMOID,
  CR_X_SOFTPLUS,
  CR_X_FUNCTIONS
} cr_expression_function;

enum { CR_X_VALUE, CR_X_SLOPE1, CR_X_SLOPE2, CR_X_OUTPUTS };

typedef struct cr_expression {
  int64_t inputs, constants, registers, steps;
  const int64_t *step;                  /* [steps, 5] */
  const real *constant;
  int64_t output[CR_X_OUTPUTS];         /* operands, or -1 */
} cr_expression;

/* code [rows, 5], constants [count]; `name` is what the error calls the program. */
bool cr_expression_read(cr_expression *e, const char *name, const int64_t *code, int64_t rows,
                        const real *constant, int64_t constants, int64_t inputs, cr_error *err);
/* Work memory for one caller at a time. cr_expression_start puts the constants there. */
size_t cr_expression_bytes(const cr_expression *e);
void cr_expression_start(const cr_expression *e, real *work);
/* Evaluates n <= CR_EXPRESSION_CHUNK elements of the inputs; out[k] points at output k, NULL when
 * there is none. Outputs stay until the next call. */
void cr_expression_run(const cr_expression *e, int64_t n, const real *const input[], real *work,
                       const real *out[CR_X_OUTPUTS]);

#endif
