/* segment_logsumexp.c - logarithm of a sum of exponentials over the elements of each group
 *
 *   y_s = log sum_{i: segment_i = s} e^(x_i)          dL/dx_i = g_s e^(x_i - y_s), s = segment_i
 *
 * x and segment [P]; segment numbers from 1 to `segments` in any order -> y [segments]. What a list of
 * mined pairs needs per anchor: time and memory P, where a mask of anchors by pairs takes B P. An
 * element listed twice counts twice. A group without elements gives the option `empty`; one whose
 * elements are all -inf gives -inf with gradient 0. */
#include <math.h>
#include <tgmath.h>

#include "autograd/op.h"
#include "kernels/index.h"

enum { X, SEGMENT };
enum { SEGMENTS, EMPTY };

static const cr_input inputs[] = {
  [X]       = { "x", "P", CR_TREAL, 0 },
  [SEGMENT] = { "segment", "P", CR_TINT, CR_NOGRAD },
  { 0 }
};
static const cr_output outputs[] = { { "y", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [SEGMENTS] = { "segments", 0, 0, 9e15, "how many groups there are", CR_COUNT, NULL, true },
  [EMPTY] = { "empty", -INFINITY, -INFINITY, INFINITY, "the result of a group without elements",
              CR_NUMBER, NULL, false },
  { 0 }
};

static bool check(cr_call *c, cr_error *err) {
  int64_t S = (int64_t)c->option[SEGMENTS], P = c->dim['P'];
  int64_t wrong = cr_index_outside(P, cr_ints(c->in[SEGMENT]), S);
  if (wrong >= 0)
    return cr_fail(err, CR_EVALUE, "segment %lld is out of range 1..%lld",
                   (long long)cr_ints(c->in[SEGMENT])[wrong], (long long)S);
  cr_out_shape(c, 0, 1, &S);
  c->scratch_bytes = (size_t)S * (sizeof(double) + sizeof(real) + sizeof(uint8_t));
  return true;
}

static void forward(cr_call *c) {
  int64_t S = c->out[0]->shape[0], P = c->dim['P'];
  const real *x = cr_reals(c->in[X]);
  const int64_t *segment = cr_ints(c->in[SEGMENT]);
  double *sum = c->scratch;
  real *most = (real *)(sum + S), *y = cr_reals(c->out[0]);
  uint8_t *seen = (uint8_t *)(most + S);
  for (int64_t s = 0; s < S; s++) sum[s] = 0, most[s] = -INFINITY, seen[s] = 0;
  for (int64_t i = 0; i < P; i++) {
    int64_t s = segment[i] - 1;
    seen[s] = 1;
    if (x[i] > most[s] || x[i] != x[i]) most[s] = x[i];
  }
  for (int64_t i = 0; i < P; i++) {
    int64_t s = segment[i] - 1;
    if (isfinite(most[s])) sum[s] += (double)exp(x[i] - most[s]);
  }
  for (int64_t s = 0; s < S; s++) {
    if (!seen[s]) y[s] = (real)c->option[EMPTY];
    else y[s] = isfinite(most[s]) ? most[s] + (real)log(sum[s]) : most[s];
  }
}

static void backward(cr_call *c) {
  int64_t P = c->dim['P'];
  const real *x = cr_reals(c->in[X]), *y = cr_reals(c->out[0]), *g = cr_reals(c->gout[0]);
  const int64_t *segment = cr_ints(c->in[SEGMENT]);
  real *gx = cr_reals(c->gin[X]);
  for (int64_t i = 0; i < P; i++) {
    int64_t s = segment[i] - 1;
    gx[i] = y[s] == -INFINITY ? 0 : g[s] * exp(x[i] - y[s]);
  }
}

const cr_op cr_op_segment_logsumexp = {
  .name = "segment_logsumexp", .help = "log sum exp over the elements of each group",
  .formula = "y_s = log sum of e^(x_i) over i with segment_i = s",
  .inputs = inputs, .outputs = outputs, .options = options,
  .backward_reads = CR_READS_IN0 | CR_READS_IN1 | CR_READS_OUT0,
  .check = check, .forward = forward, .backward = backward,
};
