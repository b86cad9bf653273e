/* conv_direct.c - see conv_direct.h; the cutting of the work, conv_direct_tile.h has the loops
 *
 * Outputs are computed in strips of some lines of one image, and strips go to at most 64 blocks.
 * The weights' gradient is summed over at most 8 runs of strips, added up in order. */
#include "kernels/conv_direct.h"

#include <string.h>

#include "base/pool.h"
#include "kernels/conv_entry.h"

enum {
  STRIP_PLACES = 256, MOST_BLOCKS = 64, RUNS = 8, MOST_STRIDE = 4,
  PANEL = 32                            /* filters are filled up to this in the packed weights */
};

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t parts(int64_t n, int64_t of) { return (n + of - 1) / of; }

typedef struct {
  int64_t images, strip, strips, blocks, strips_a_block;
  int phases;
  cr_direct phase[MOST_STRIDE * MOST_STRIDE];
  cr_direct_weight from[MOST_STRIDE * MOST_STRIDE];
  real *packed[MOST_STRIDE * MOST_STRIDE];
  const cr_conv_kernels *kernels;
  const real *gy;
  real *gw, *gw_sum;
  double *part;
} job;

/* Lines in a strip: STRIP_PLACES outputs, and what they see fits the room */
static int64_t strip_of(const cr_direct *d) {
  int64_t rows = least(d->out[0], 1 + (STRIP_PLACES - 1) / (d->out[1] > 0 ? d->out[1] : 1));
  int64_t lines = (CR_DIRECT_ROOM - CR_DIRECT_GROUP) / cr_direct_line(d);
  return least(rows, lines < d->kernel[0] ? 0 : (lines - d->kernel[0]) / d->stride[0] + 1);
}

static void cut(job *j, int64_t images, int64_t most_blocks) {
  int64_t rows = 0;
  j->images = images, j->kernels = cr_conv_kernels_here();
  for (int p = 0; p < j->phases; p++) {
    int64_t strip = strip_of(&j->phase[p]);
    if (p == 0 || strip < j->strip) j->strip = strip;
    if (j->phase[p].out[0] > rows) rows = j->phase[p].out[0];
  }
  j->strips = j->strip > 0 ? parts(rows, j->strip) : 0;
  j->blocks = least(images * j->strips, most_blocks);
  j->strips_a_block = j->blocks > 0 ? parts(images * j->strips, j->blocks) : 1;
  if (j->blocks > 0) j->blocks = parts(images * j->strips, j->strips_a_block);
}

static cr_direct forward_phase(const cr_conv *v) {
  const cr_window *w = &v->window;
  cr_direct d = { .channels = v->channels, .filters = v->filters };
  for (int s = 0; s < 2; s++) {
    d.in[s] = w->in[s], d.out[s] = d.size[s] = w->out[s], d.kernel[s] = w->kernel[s];
    d.before[s] = w->padding[s], d.stride[s] = w->stride[s], d.spread[s] = 1;
  }
  return d;
}

static job forward_job(const cr_conv *v, int64_t most_blocks) {
  const cr_window *w = &v->window;
  job j = { .phases = 1, .phase = { forward_phase(v) } };
  int64_t line = w->kernel[1];
  j.from[0] = (cr_direct_weight){ .o_step = v->channels * w->kernel[0] * line,
                                  .c_step = w->kernel[0] * line, .i_step = line, .j_step = 1 };
  cut(&j, v->images, most_blocks);
  return j;
}

/* Along one side, at place `at` of every `stride` in x: the kernel's places first, first + stride,
 * ... see it, the last of them from output q + `shift` - (their number - 1) on. */
typedef struct { int64_t first, number, shift; } share;

static share share_of(const cr_window *w, int side, int64_t at) {
  int64_t stride = w->stride[side], first = (at + w->padding[side]) % stride;
  int64_t number = first < w->kernel[side] ? (w->kernel[side] - first - 1) / stride + 1 : 0;
  return (share){ first, number, (at + w->padding[side] - first) / stride };
}

static job grad_x_job(const cr_conv *v) {
  const cr_window *w = &v->window;
  int64_t line = w->kernel[1], window = w->kernel[0] * line;
  job j = { .phases = 0 };
  for (int64_t a = 0; a < least(w->stride[0], w->in[0]); a++)
    for (int64_t b = 0; b < least(w->stride[1], w->in[1]); b++, j.phases++) {
      cr_direct *d = &j.phase[j.phases];
      share side[2] = { share_of(w, 0, a), share_of(w, 1, b) };
      d->channels = v->filters, d->filters = v->channels;
      d->place[0] = a, d->place[1] = b;
      for (int s = 0; s < 2; s++) {
        d->in[s] = w->out[s], d->size[s] = w->in[s], d->spread[s] = w->stride[s];
        d->out[s] = parts(w->in[s] - d->place[s], w->stride[s]);
        d->kernel[s] = side[s].number, d->stride[s] = 1;
        d->before[s] = side[s].number - 1 - side[s].shift;
      }
      int64_t last_row = side[0].first + (side[0].number - 1) * w->stride[0];
      int64_t last_column = side[1].first + (side[1].number - 1) * w->stride[1];
      j.from[j.phases] = (cr_direct_weight){
        .first = last_row * line + last_column, .o_step = window, .c_step = v->channels * window,
        .i_step = -w->stride[0] * line, .j_step = -w->stride[1]
      };
    }
  cut(&j, v->images, MOST_BLOCKS);
  return j;
}

static job job_of(const cr_conv *v, cr_conv_pass pass) {
  return pass == CR_CONV_GRAD_X ? grad_x_job(v)
                                : forward_job(v, pass == CR_CONV_FORWARD ? MOST_BLOCKS : RUNS);
}

bool cr_conv_direct_can(const cr_conv *v, cr_conv_pass pass) {
  const cr_window *w = &v->window;
  if (v->groups != 1 || v->channels == 0 || v->filters == 0) return false;
  for (int s = 0; s < 2; s++) {
    if (w->dilation[s] != 1 && w->kernel[s] != 1) return false;
    if (pass == CR_CONV_GRAD_X && w->stride[s] > MOST_STRIDE) return false;
  }
  if (pass == CR_CONV_GRAD_WEIGHT && v->filters % 16 != 0) return false;
  if (pass == CR_CONV_GRAD_X) return grad_x_job(v).strip > 0;
  cr_direct d = forward_phase(v);       /* a whole job costs more than some convolutions */
  return strip_of(&d) > 0;
}

static int64_t weights_size(const cr_direct *d) {
  return d->kernel[0] * d->kernel[1] * d->channels * parts(d->filters, PANEL) * PANEL;
}

static size_t packed_bytes(const job *j) {
  size_t bytes = 0;
  for (int p = 0; p < j->phases; p++) bytes += (size_t)weights_size(&j->phase[p]) * sizeof(real);
  return bytes;
}

static int64_t gw_size(const cr_direct *d) {
  return d->kernel[0] * cr_direct_kernel_line(d) * d->filters;
}

size_t cr_conv_direct_scratch(const cr_conv *v, cr_conv_pass pass) {
  job j = job_of(v, pass);
  if (pass == CR_CONV_GRAD_WEIGHT) return (size_t)(j.blocks * gw_size(&j.phase[0])) * sizeof(real);
  if (pass == CR_CONV_FORWARD) return (size_t)(2 * j.blocks * v->filters) * sizeof(double);
  return packed_bytes(&j);
}

size_t cr_conv_direct_ready_bytes(const cr_conv *v) {
  job j = forward_job(v, MOST_BLOCKS);
  return packed_bytes(&j);
}

static void weights_panel(void *context, int64_t block, int worker) {
  const job *j = context;
  int64_t p = block % j->phases;
  (void)worker;
  j->kernels->direct_weights(&j->phase[p], &j->from[p], block / j->phases, j->packed[p]);
}

static void forward_block(void *context, int64_t block, int worker) {
  const job *j = context;
  int64_t first = block * j->strips_a_block, filters = j->phase[0].filters;
  int64_t end = least(first + j->strips_a_block, j->images * j->strips);
  double *part = j->part ? j->part + 2 * block * filters : NULL;
  (void)worker;
  if (part != NULL) memset(part, 0, (size_t)(2 * filters) * sizeof(double));
  for (int64_t s = first; s < end; s++)
    for (int p = 0; p < j->phases; p++) {
      int64_t row = s % j->strips * j->strip, rows = j->phase[p].out[0];
      if (row < rows)
        j->kernels->direct_forward(&j->phase[p], s / j->strips, row, least(row + j->strip, rows),
                                   part);
    }
}

static void pack(job *j, const real *weight, real *packed) {
  for (int p = 0; p < j->phases; p++) {
    j->from[p].weight = weight, j->packed[p] = packed;
    packed += weights_size(&j->phase[p]);
  }
  cr_pool_run(j->phases * parts(j->phase[0].filters, j->kernels->width), weights_panel, j);
}

static void convolve(job *j, const real *x, const real *packed, const real *bias, real *y) {
  for (int p = 0; p < j->phases; p++) {
    cr_direct *d = &j->phase[p];
    d->x = x, d->bias = bias, d->y = y, d->weights = packed;
    packed += weights_size(d);
  }
  cr_pool_run(j->blocks, forward_block, j);
}

void cr_conv_direct_ready(const cr_conv *v, const real *weight, void *ready) {
  job j = job_of(v, CR_CONV_FORWARD);
  pack(&j, weight, ready);
}

void cr_conv_direct_forward(const cr_conv *v, const real *x, const void *ready, const real *bias,
                            real *y, double *sums, void *scratch) {
  job j = job_of(v, CR_CONV_FORWARD);
  if (sums != NULL) j.part = scratch;
  convolve(&j, x, ready, bias, y);
  if (sums != NULL) cr_conv_add_parts(j.blocks, v->filters, j.part, sums);
}

void cr_conv_direct_grad_x(const cr_conv *v, const real *weight, const real *gy, real *gx,
                           void *scratch) {
  job j = job_of(v, CR_CONV_GRAD_X);
  pack(&j, weight, scratch);
  convolve(&j, gy, scratch, NULL, gx);
}

static void products_run(void *context, int64_t block, int worker) {
  const job *j = context;
  const cr_direct *d = &j->phase[0];
  int64_t first = block * j->strips_a_block;
  real *gw = j->gw + block * gw_size(d);
  (void)worker;
  memset(gw, 0, (size_t)gw_size(d) * sizeof(real));
  for (int64_t s = first; s < least(first + j->strips_a_block, j->images * j->strips); s++) {
    int64_t row = s % j->strips * j->strip;
    j->kernels->direct_products(d, s / j->strips, row, least(row + j->strip, d->out[0]), j->gy, gw);
  }
}

/* gw_sum[o][c][i][j] = the runs' sums at [i][(j, c)][o] */
static void add_runs(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const cr_direct *d = &j->phase[0];
  int64_t C = d->channels, K = d->kernel[0], L = d->kernel[1], line = cr_direct_kernel_line(d);
  for (int64_t c = begin; c < end; c++)
    for (int64_t k = 0; k < K*L; k++) {
      const real *at = j->gw + (k / L * line + k % L * C + c) * d->filters;
      for (int64_t o = 0; o < d->filters; o++) {
        double sum = 0;
        for (int64_t r = 0; r < j->blocks; r++) sum += (double)at[r * gw_size(d) + o];
        j->gw_sum[(o*C + c) * K*L + k] = (real)sum;
      }
    }
}

void cr_conv_direct_grad_weight(const cr_conv *v, const real *x, const real *gy, real *gw,
                                void *scratch) {
  job j = job_of(v, CR_CONV_GRAD_WEIGHT);
  j.phase[0].x = x, j.gy = gy, j.gw = scratch, j.gw_sum = gw;
  cr_pool_run(j.blocks, products_run, &j);
  cr_pool_for(v->channels, 4, add_runs, &j);
}
