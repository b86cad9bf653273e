/* unfold.c - the contents of a sliding window as columns (im2col)
 *
 *   x [B C H W]   ->   [B, C K L, positions]
 *
 * Row (c K + i) L + j is place i, j of the window in channel c; columns go through the positions
 * row by row. What lies in the padding is 0. Backward adds every column back to where it came from.
 */
#include <math.h>

#include "autograd/op.h"
#include "base/pool.h"
#include "kernels/im2col.h"

enum { KERNEL, STRIDE, PADDING, DILATION };

static const cr_input inputs[] = { { "x", "B C H W", CR_TREAL, 0 }, { 0 } };
static const cr_output outputs[] = { { "columns", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [KERNEL]   = { "kernel",   1, 1, INFINITY, "size of the window, one number or height and width",
                 CR_COUNTS, .required = true },
  [STRIDE]   = { "stride",   1, 1, INFINITY, "step of the window, one number or two", CR_COUNTS },
  [PADDING]  = { "padding",  0, 0, INFINITY, "zeros around the image, one number or two",
                 CR_COUNTS },
  [DILATION] = { "dilation", 1, 1, INFINITY, "distance of the window's places, one number or two",
                 CR_COUNTS },
  { 0 }
};

static bool window_of(cr_call *c, cr_window *w, cr_error *err) {
  *w = (cr_window){ .in = { c->dim['H'], c->dim['W'] } };
  return cr_option_counts(c, KERNEL, 2, 1, w->kernel, err) &&
         cr_option_counts(c, STRIDE, 2, 1, w->stride, err) &&
         cr_option_counts(c, PADDING, 2, 0, w->padding, err) &&
         cr_option_counts(c, DILATION, 2, 1, w->dilation, err) && cr_window_set(w, false, err);
}

static bool check(cr_call *c, cr_error *err) {
  cr_window w;
  if (!window_of(c, &w, err)) return false;
  cr_out_shape(c, 0, 3, (int64_t[]){ c->dim['B'], c->dim['C'] * w.kernel[0] * w.kernel[1],
                                     w.out[0] * w.out[1] });
  return true;
}

typedef struct { cr_window w; const real *from; real *to; } job;

static void columns(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  int64_t rows = j->w.kernel[0] * j->w.kernel[1], positions = j->w.out[0] * j->w.out[1];
  for (int64_t p = begin; p < end; p++)         /* a plane */
    cr_im2col(&j->w, j->from + p * j->w.in[0] * j->w.in[1], 0, rows, 0, positions,
              j->to + p*rows*positions);
}

static void planes(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  int64_t rows = j->w.kernel[0] * j->w.kernel[1], positions = j->w.out[0] * j->w.out[1];
  int64_t places = j->w.in[0] * j->w.in[1];
  for (int64_t p = begin; p < end; p++) {
    for (int64_t i = 0; i < places; i++) j->to[p*places + i] = 0;
    cr_col2im(&j->w, j->from + p*rows*positions, 0, rows, 0, positions, j->to + p*places);
  }
}

static void over_planes(cr_call *c, const real *from, real *to, cr_range_fn fn) {
  job j = { .from = from, .to = to };
  window_of(c, &j.w, NULL);
  int64_t each = j.w.kernel[0] * j.w.kernel[1] * j.w.out[0] * j.w.out[1];
  cr_pool_for(c->dim['B'] * c->dim['C'], (1 << 15) / (each + 1) + 1, fn, &j);
}

static void forward(cr_call *c) {
  over_planes(c, cr_reals(c->in[0]), cr_reals(c->out[0]), columns);
}

static void backward(cr_call *c) {
  over_planes(c, cr_reals(c->gout[0]), cr_reals(c->gin[0]), planes);
}

const cr_op cr_op_unfold = {
  .name = "unfold",
  .help = "contents of a sliding window as columns: [B C H W] to [B, C K L, positions]",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = backward,
};
