/* conv_columns.c - see conv_columns.h
 *
 * A row of the matrix is one position's window, its columns (i, j, c), channels innermost: runs of
 * C values that lie side by side in the image. STRIP rows by RUN columns at a time:
 *
 *   y  (strip x O)  += rows (strip x run) w (run x O)          w: the weights as [K L C][O]
 *   gx              += fold(gy w^T)
 *   gw (run x O)    += rows^T gy
 *
 * Forward is cut into strips, the gradient for x into images, the gradient for the weights into
 * runs of images, each with its own sum, added up in order. */
#include "kernels/conv_columns.h"

#include <string.h>

#include "base/pool.h"
#include "kernels/gemm.h"

enum { STRIP = 256, RUN = 384, BLOCKS = 8 };
static const double MOST_SCRATCH = 32 << 20;

typedef struct {
  const cr_conv *v;
  int64_t C, O, rows, places, positions, strips, blocks, images_a_block;
  const real *x, *weight, *bias, *gy, *packed;
  real *y, *gx, *to, *gw;
} job;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static job job_of(const cr_conv *v) {
  const cr_window *w = &v->window;
  job j = { .v = v, .C = v->channels, .O = v->filters };
  j.rows = j.C * w->kernel[0] * w->kernel[1];
  j.places = w->in[0] * w->in[1];
  j.positions = w->out[0] * w->out[1];
  j.strips = (j.positions + STRIP - 1) / STRIP;
  double bytes = (double)j.O * (double)j.rows * sizeof(real);
  int64_t blocks = least(v->images, BLOCKS);
  while (blocks > 2 && bytes * (double)blocks > MOST_SCRATCH) blocks /= 2;
  j.images_a_block = blocks == 0 ? 1 : (v->images + blocks - 1) / blocks;
  j.blocks = (v->images + j.images_a_block - 1) / j.images_a_block;
  return j;
}

size_t cr_conv_columns_scratch(const cr_conv *v, cr_conv_pass pass) {
  job j = job_of(v);
  int64_t arrays = pass == CR_CONV_GRAD_WEIGHT ? j.blocks : pass == CR_CONV_GRAD_X ? 1 : 0;
  return (size_t)(arrays * j.O * j.rows) * sizeof(real);
}

/* packed[(i, j, c)][o] = weight[o][c][(i, j)] */
static void pack_range(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  int64_t taps = j->rows / (j->C > 0 ? j->C : 1);
  for (int64_t r = begin; r < end; r++)
    for (int64_t o = 0; o < j->O; o++)
      j->to[r*j->O + o] = j->weight[(o*j->C + r % j->C) * taps + r / j->C];
}

static void pack(job *j, void *scratch) {
  j->packed = j->to = scratch;
  cr_pool_for(j->rows, 1 + (1 << 14) / (j->O + 1), pack_range, j);
}

/* Walks columns k0 .. k1-1 of the window of position q in runs of channels: *at is the run's first
 * place in the image, or -1 outside of it; returns the run's length. */
static int64_t next_run(const cr_conv *v, int64_t q, int64_t k, int64_t k1, int64_t *at) {
  const cr_window *w = &v->window;
  int64_t C = v->channels, tap = k / C, c = k - tap * C;
  int64_t row = q / w->out[1] * w->stride[0] - w->padding[0] + tap / w->kernel[1] * w->dilation[0];
  int64_t column =
      q % w->out[1] * w->stride[1] - w->padding[1] + tap % w->kernel[1] * w->dilation[1];
  bool inside = row >= 0 && row < w->in[0] && column >= 0 && column < w->in[1];
  *at = inside ? (row * w->in[1] + column) * C + c : -1;
  return least(C - c, k1 - k);
}

static void unfold(const cr_conv *v, const real *x, int64_t q0, int64_t q1, int64_t k0, int64_t k1,
                   real *row) {
  for (int64_t q = q0; q < q1; q++)
    for (int64_t k = k0; k < k1;) {
      int64_t at, n = next_run(v, q, k, k1, &at);
      if (at < 0) for (int64_t i = 0; i < n; i++) row[i] = 0;
      else        for (int64_t i = 0; i < n; i++) row[i] = x[at + i];
      row += n, k += n;
    }
}

static void fold(const cr_conv *v, const real *row, int64_t q0, int64_t q1, int64_t k0, int64_t k1,
                 real *gx) {
  for (int64_t q = q0; q < q1; q++)
    for (int64_t k = k0; k < k1;) {
      int64_t at, n = next_run(v, q, k, k1, &at);
      if (at >= 0) for (int64_t i = 0; i < n; i++) gx[at + i] += row[i];
      row += n, k += n;
    }
}

static void forward_strip(void *context, int64_t block, int worker) {
  const job *j = context;
  int64_t image = block / j->strips, q = block % j->strips * STRIP;
  int64_t n = least(STRIP, j->positions - q);
  const real *x = j->x + image * j->places * j->C;
  real *y = j->y + (image * j->positions + q) * j->O;
  real rows[STRIP * RUN] __attribute__((aligned(64)));
  (void)worker;
  if (j->bias != NULL || j->rows == 0)
    for (int64_t p = 0; p < n; p++)
      for (int64_t o = 0; o < j->O; o++) y[p*j->O + o] = j->bias ? j->bias[o] : 0;
  for (int64_t k = 0; k < j->rows; k += RUN) {
    int64_t wide = least(RUN, j->rows - k);
    unfold(j->v, x, q, q + n, k, k + wide, rows);
    cr_gemm_serial(false, false, n, j->O, wide, rows, wide, j->packed + k*j->O, j->O,
                   k > 0 || j->bias != NULL, y, j->O);
  }
}

size_t cr_conv_columns_ready_bytes(const cr_conv *v) {
  job j = job_of(v);
  return (size_t)(j.O * j.rows) * sizeof(real);
}

void cr_conv_columns_ready(const cr_conv *v, const real *weight, void *ready) {
  job j = job_of(v);
  j.weight = weight;
  pack(&j, ready);
}

void cr_conv_columns_forward(const cr_conv *v, const real *x, const void *ready, const real *bias,
                             real *y) {
  job j = job_of(v);
  j.x = x, j.packed = ready, j.bias = bias, j.y = y;
  cr_pool_run(v->images * j.strips, forward_strip, &j);
}

static void grad_x_image(void *context, int64_t image, int worker) {
  const job *j = context;
  const real *gy = j->gy + image * j->positions * j->O;
  real *gx = j->gx + image * j->places * j->C;
  real rows[STRIP * RUN] __attribute__((aligned(64)));
  (void)worker;
  memset(gx, 0, (size_t)(j->places * j->C) * sizeof(real));
  for (int64_t q = 0; q < j->positions; q += STRIP) {
    int64_t n = least(STRIP, j->positions - q);
    for (int64_t k = 0; k < j->rows; k += RUN) {
      int64_t wide = least(RUN, j->rows - k);
      cr_gemm_serial(false, true, n, wide, j->O, gy + q*j->O, j->O, j->packed + k*j->O, j->O, false,
                     rows, wide);
      fold(j->v, rows, q, q + n, k, k + wide, gx);
    }
  }
}

void cr_conv_columns_grad_x(const cr_conv *v, const real *weight, const real *gy, real *gx,
                            void *scratch) {
  job j = job_of(v);
  j.weight = weight, j.gy = gy, j.gx = gx;
  pack(&j, scratch);
  cr_pool_run(v->images, grad_x_image, &j);
}

static void grad_weight_block(void *context, int64_t block, int worker) {
  const job *j = context;
  int64_t first = block * j->images_a_block;
  real *gw = j->gw + block * j->O * j->rows;
  real rows[STRIP * RUN] __attribute__((aligned(64)));
  (void)worker;
  for (int64_t b = first; b < least(first + j->images_a_block, j->v->images); b++)
    for (int64_t q = 0; q < j->positions; q += STRIP) {
      int64_t n = least(STRIP, j->positions - q);
      for (int64_t k = 0; k < j->rows; k += RUN) {
        int64_t wide = least(RUN, j->rows - k);
        unfold(j->v, j->x + b * j->places * j->C, q, q + n, k, k + wide, rows);
        cr_gemm_serial(true, false, wide, j->O, n, rows, wide,
                       j->gy + (b*j->positions + q) * j->O, j->O, b > first || q > 0, gw + k*j->O,
                       j->O);
      }
    }
}

/* gw[o][c][(i, j)] = the blocks' sums at [(i, j, c)][o] */
static void add_blocks(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  int64_t taps = j->rows / (j->C > 0 ? j->C : 1);
  for (int64_t r = begin; r < end; r++)
    for (int64_t o = 0; o < j->O; o++) {
      double sum = 0;
      for (int64_t b = 0; b < j->blocks; b++)
        sum += (double)j->gw[(b*j->rows + r) * j->O + o];
      j->y[(o*j->C + r % j->C) * taps + r / j->C] = (real)sum;
    }
}

void cr_conv_columns_grad_weight(const cr_conv *v, const real *x, const real *gy, real *gw,
                                 void *scratch) {
  job j = job_of(v);
  j.x = x, j.gy = gy, j.gw = scratch, j.y = gw;
  cr_pool_run(j.blocks, grad_weight_block, &j);
  cr_pool_for(j.rows, 1 + (1 << 14) / (j.O + 1), add_blocks, &j);
}
