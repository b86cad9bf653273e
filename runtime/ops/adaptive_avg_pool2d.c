/* adaptive_avg_pool2d.c - the mean of each part of each channel, the number of parts given
 *
 *   x [B C H W]   ->   [B C P Q],  output_size = {P, Q}
 *
 * Part p takes rows floor(p H / P) to ceil((p + 1) H / P), the end not included, and columns
 * likewise: parts overlap by one line where the size does not divide. output_size = 1 is the mean
 * over the plane. Sums in double. */
#include <math.h>

#include "autograd/op.h"
#include "kernels/pooling.h"

enum { OUTPUT_SIZE };

static const cr_input inputs[] = { { "x", "B C H W", CR_TREAL, 0 }, { 0 } };
static const cr_output outputs[] = { { "y", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [OUTPUT_SIZE] = { "output_size", 1, 1, INFINITY, "parts, one number or down and across",
                    CR_COUNTS, .required = true },
  { 0 }
};

static bool parts_of(cr_call *c, cr_parts *s, cr_error *err) {
  *s = (cr_parts){ .in = { c->dim['H'], c->dim['W'] } };
  return cr_option_counts(c, OUTPUT_SIZE, 2, 1, s->out, err) && cr_parts_check(s, err);
}

static bool check(cr_call *c, cr_error *err) {
  cr_parts s;
  if (!parts_of(c, &s, err)) return false;
  cr_out_shape(c, 0, 4, (int64_t[]){ c->dim['B'], c->dim['C'], s.out[0], s.out[1] });
  return true;
}

static void forward(cr_call *c) {
  cr_parts s;
  parts_of(c, &s, NULL);
  cr_part_avg(&s, c->dim['B'] * c->dim['C'], cr_reals(c->in[0]), cr_reals(c->out[0]));
}

static void backward(cr_call *c) {
  cr_parts s;
  parts_of(c, &s, NULL);
  cr_part_avg_grad(&s, c->dim['B'] * c->dim['C'], cr_reals(c->gout[0]), cr_reals(c->gin[0]));
}

const cr_op cr_op_adaptive_avg_pool2d = {
  .name = "adaptive_avg_pool2d",
  .help = "the mean of each of P x Q parts of each channel of images [B C H W]",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = backward,
};
