/* avg_pool1d.c - the mean of each window of each channel: avg_pool2d on planes one row high
 *
 *   x [B C W]   ->   [B C W'],  W' = floor or, with ceil_mode, ceil of (W + 2 padding - K) /
 *       stride, plus 1 */
#include <math.h>

#include "autograd/op.h"
#include "kernels/pooling.h"

enum { KERNEL, STRIDE, PADDING, CEIL_MODE, COUNT_INCLUDE_PAD };

static const cr_input inputs[] = { { "x", "B C W", CR_TREAL, 0 }, { 0 } };
static const cr_output outputs[] = { { "y", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [KERNEL]    = { "kernel", 1, 1, INFINITY, "size of the window", CR_COUNT, .required = true },
  [STRIDE]    = { "stride", NAN, 1, INFINITY, "step of the window; the kernel if not given",
                  CR_COUNT },
  [PADDING]   = { "padding", 0, 0, INFINITY, "zeros before and after the sequence", CR_COUNT },
  [CEIL_MODE] = { "ceil_mode", 0, 0, 1, "keep a last window that is not complete", CR_FLAG },
  [COUNT_INCLUDE_PAD] = { "count_include_pad", 1, 0, 1,
                          "divide by all of the window, padding included", CR_FLAG },
  { 0 }
};

static bool window_of(const cr_call *c, cr_window *w, cr_error *err) {
  double stride = isnan(c->option[STRIDE]) ? c->option[KERNEL] : c->option[STRIDE];
  *w = (cr_window){ .in = { 1, c->dim['W'] }, .kernel = { 1, (int64_t)c->option[KERNEL] },
                    .stride = { 1, (int64_t)stride }, .padding = { 0, (int64_t)c->option[PADDING] },
                    .dilation = { 1, 1 } };
  return cr_window_set(w, c->option[CEIL_MODE] != 0, err) && cr_pool_padding_check(w, err);
}

static bool check(cr_call *c, cr_error *err) {
  cr_window w;
  if (!window_of(c, &w, err)) return false;
  cr_out_shape(c, 0, 3, (int64_t[]){ c->dim['B'], c->dim['C'], w.out[1] });
  return true;
}

static void forward(cr_call *c) {
  cr_window w;
  window_of(c, &w, NULL);
  cr_avg_pool(&w, c->option[COUNT_INCLUDE_PAD] != 0, c->dim['B'] * c->dim['C'],
              cr_reals(c->in[0]), cr_reals(c->out[0]));
}

static void backward(cr_call *c) {
  cr_window w;
  window_of(c, &w, NULL);
  cr_avg_pool_grad(&w, c->option[COUNT_INCLUDE_PAD] != 0, c->dim['B'] * c->dim['C'],
                   cr_reals(c->gout[0]), cr_reals(c->gin[0]));
}

const cr_op cr_op_avg_pool1d = {
  .name = "avg_pool1d", .help = "the mean of each window of each channel of sequences [B C W]",
  .formula = "y[b,c,q] = 1/n sum_j x[b,c,q stride - padding + j]",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = backward,
};
