/* conv_plan.c - how conv2d and the layers' blocks would compute a convolution
 *
 *   x [B C H W], weight [O C K L]   ->   way [3], cost [3 3]
 *
 * For the passes forward, gradient for x, gradient for the weights: the way the cost model takes on
 * NHWC memory (1 direct, 2 winograd, 3 columns), and the milliseconds of one thread it expects of
 * each way (infinity where one cannot do the shape; kernels/conv_cost.c). conv2d adds what it costs
 * to turn x and y, and keeps to the planes as they are where that is cheaper. Only shapes are
 * read. */
#include <math.h>

#include "autograd/op.h"
#include "kernels/conv_cost.h"

enum { STRIDE, PADDING, DILATION };
enum { WAY, COST };

static const cr_input inputs[] = {
  { "x",      "B C H W", CR_TREAL, CR_NOGRAD | CR_STRIDED },
  { "weight", "O C K L", CR_TREAL, CR_NOGRAD | CR_STRIDED },
  { 0 }
};
static const cr_output outputs[] = {
  [WAY] = { "way", "3", CR_TINT }, [COST] = { "cost", "3 3", CR_TREAL }, { 0 }
};
static const cr_option options[] = {
  [STRIDE]   = { "stride",   1, 1, INFINITY, "as conv2d", CR_COUNTS },
  [PADDING]  = { "padding",  0, 0, INFINITY, "as conv2d", CR_COUNTS },
  [DILATION] = { "dilation", 1, 1, INFINITY, "as conv2d", CR_COUNTS },
  { 0 }
};

static bool conv_of(cr_call *c, cr_conv *v, cr_error *err) {
  cr_window *w = &v->window;
  *v = (cr_conv){ .images = c->dim['B'], .channels = c->dim['C'], .filters = c->dim['O'],
                  .groups = 1, .window = { .in = { c->dim['H'], c->dim['W'] },
                                           .kernel = { c->dim['K'], c->dim['L'] } } };
  return cr_option_counts(c, STRIDE, 2, 1, w->stride, err) &&
         cr_option_counts(c, PADDING, 2, 0, w->padding, err) &&
         cr_option_counts(c, DILATION, 2, 1, w->dilation, err) && cr_window_set(w, false, err);
}

static bool check(cr_call *c, cr_error *err) {
  cr_conv v;
  return conv_of(c, &v, err);
}

static void forward(cr_call *c) {
  static const cr_conv_algorithm ways[] = { CR_CONV_DIRECT, CR_CONV_WINOGRAD, CR_CONV_COLUMNS };
  cr_conv v;
  conv_of(c, &v, NULL);
  for (int pass = 0; pass < 3; pass++) {
    cr_ints(c->out[WAY])[pass] = cr_conv_choose(&v, (cr_conv_pass)pass);
    for (int w = 0; w < 3; w++)
      cr_reals(c->out[COST])[3*pass + w] =
          (real)(cr_conv_cost(&v, (cr_conv_pass)pass, ways[w]) * 1e-6);
  }
}

const cr_op cr_op_conv_plan = {
  .name = "conv_plan",
  .help = "which way each pass of a convolution goes, and what each would cost",
  .formula = "way of forward, gradient for x, for weight: 1 direct, 2 winograd, 3 columns; "
             "cost in ms of one thread",
  .inputs = inputs, .outputs = outputs, .options = options,
  .check = check, .forward = forward,
};
