/* adaptive_max_pool2d.c - the largest of each part of each channel, the number of parts given
 *
 *   x [B C H W]   ->   [B C P Q],  output_size = {P, Q}
 *
 * Parts as in adaptive_avg_pool2d. The gradient goes to the first of equal elements; a NaN is
 * larger than any number. */
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
  c->saved_bytes = (size_t)(c->dim['B'] * c->dim['C'] * s.out[0] * s.out[1]) * sizeof(int32_t);
  cr_out_shape(c, 0, 4, (int64_t[]){ c->dim['B'], c->dim['C'], s.out[0], s.out[1] });
  return true;
}

static void forward(cr_call *c) {
  cr_parts s;
  parts_of(c, &s, NULL);
  cr_part_max(&s, c->dim['B'] * c->dim['C'], cr_reals(c->in[0]), cr_reals(c->out[0]), c->saved);
}

static void backward(cr_call *c) {
  cr_parts s;
  parts_of(c, &s, NULL);
  cr_part_max_grad(&s, c->dim['B'] * c->dim['C'], c->saved, cr_reals(c->gout[0]),
                   cr_reals(c->gin[0]));
}

const cr_op cr_op_adaptive_max_pool2d = {
  .name = "adaptive_max_pool2d",
  .help = "the largest of each of P x Q parts of each channel of images [B C H W]",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = backward,
};
