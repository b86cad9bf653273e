/* clamp.c - x held between two bounds
 *
 *   y = min(max(x, min), max)        dL/dx = g where min <= x <= max, else 0
 *
 * A bound left out (nan here) compares false with everything, so it does nothing. nan stays nan. */
#include "autograd/op.h"
#include "kernels/elementwise.h"

static const cr_input inputs[] = { { "x", "...", CR_TREAL, CR_STRIDED }, { 0 } };
static const cr_output outputs[] = { { "y", "=0", CR_TREAL }, { 0 } };

enum { MIN, MAX };

static const cr_option options[] = {
  [MIN] = { "min", NAN, -INFINITY, INFINITY, "lower bound; none by default" },
  [MAX] = { "max", NAN, -INFINITY, INFINITY, "upper bound; none by default" },
  { 0 }
};

static inline real value(cr_point e) { return e.x < e.p ? e.p : e.x > e.q ? e.q : e.x; }
static inline real gradient(cr_point e) { return (e.x < e.p) | (e.x > e.q) ? 0 : e.g; }

CR_LOOP(values, real, value)
CR_LOOP(gradients, real, gradient)

static bool check(cr_call *c, cr_error *err) {
  if (c->option[MIN] > c->option[MAX])
    return cr_fail(err, CR_EVALUE, "min must not be above max, got min = %g and max = %g", c->option[MIN],
                   c->option[MAX]);
  return true;
}

static void forward(cr_call *c) { cr_elementwise_forward(c, values); }
static void backward(cr_call *c) { cr_elementwise_backward(c, (cr_loop_fn[]){ gradients }); }

const cr_op cr_op_clamp = {
  .name = "clamp", .help = "x held between two bounds",
  .formula = "y = min(max(x, min), max)",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_IN0,
  .check = check, .forward = forward, .backward = backward,
};
