/* pow.c - x to the power of y, element by element
 *
 *   out = x^y        dL/dx = g y x^(y-1)        dL/dy = g out log x
 *
 * Shapes broadcast. x^0 is 1 and has slope 0 in x, for every x; 0^y has slope 0 in y where y >= 0. A negative x with a y
 * that is not whole gives nan, and a negative x has no slope in y (nan). One number 2, 3 or 0.5 as y takes a short cut: a
 * product or a root. */
#include "autograd/op.h"
#include "kernels/elementwise.h"

enum { X, Y };

static const cr_input inputs[] = {
  [X] = { "x", "...", CR_TREAL, CR_STRIDED },
  [Y] = { "y", "...", CR_TREAL, CR_STRIDED },
  { 0 }
};
static const cr_output outputs[] = { { "out", NULL, CR_TREAL }, { 0 } };

static inline real value(cr_point e) { return pow(e.x, e.y); }
static inline real square(cr_point e) { return e.x * e.x; }
static inline real cube(cr_point e) { return e.x * e.x * e.x; }
static inline real root(cr_point e) { return sqrt(e.x); }

static inline real gradient_x(cr_point e) { return e.y == 0 ? 0 : e.g * e.y * pow(e.x, e.y - 1); }
static inline real gradient_square(cr_point e) { return 2 * e.g * e.x; }
static inline real gradient_cube(cr_point e) { return 3 * e.g * e.x * e.x; }
static inline real gradient_root(cr_point e) { return e.g / (2 * sqrt(e.x)); }
static inline real gradient_y(cr_point e) {
  return (e.x == 0) & (e.y >= 0) ? 0 : e.g * pow(e.x, e.y) * log(e.x);
}

CR_LOOP(values, real, value)
CR_LOOP(squares, real, square)
CR_LOOP(cubes, real, cube)
CR_LOOP(roots, real, root)
CR_LOOP(gradients_x, real, gradient_x)
CR_LOOP(gradients_square, real, gradient_square)
CR_LOOP(gradients_cube, real, gradient_cube)
CR_LOOP(gradients_root, real, gradient_root)
CR_LOOP(gradients_y, real, gradient_y)

/* y when it is one number, else 0, which is no short cut */
static double exponent(const cr_call *c) {
  return cr_tensor_numel(c->in[Y]) == 1 ? (double)*cr_reals(c->in[Y]) : 0;
}

static void forward(cr_call *c) {
  double y = exponent(c);
  cr_elementwise_forward(c, y == 2 ? squares : y == 3 ? cubes : y == 0.5 ? roots : values);
}

static void backward(cr_call *c) {
  double y = exponent(c);
  cr_loop_fn by_x = y == 2 ? gradients_square : y == 3 ? gradients_cube : y == 0.5 ? gradients_root
                                                                                   : gradients_x;
  cr_elementwise_backward(c, (cr_loop_fn[]){ by_x, gradients_y });
}

const cr_op cr_op_pow = {
  .name = "pow", .help = "x to the power of y",
  .formula = "out = x^y",
  .inputs = inputs, .outputs = outputs, .backward_reads = CR_READS_IN0 | CR_READS_IN1,
  .check = cr_elementwise_check, .forward = forward, .backward = backward,
};
