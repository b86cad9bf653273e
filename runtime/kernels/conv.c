/* conv.c - see conv.h
 *
 * A strip of STRIP positions of one image is unfolded, RUN rows at a time, into a fixed buffer that
 * stays in the second-level cache, and multiplied with the weights:
 *
 *   y  (filters x strip)    += weight (filters x run) column (run x strip)
 *   gx                      += col2im(weight^T gy)
 *   gw (filters x run)      += gy (filters x strip) column^T
 *
 * A 1 x 1 window needs no unfolding. Forward is cut into strips, the gradient for x into images,
 * the gradient for the weights into at most BLOCKS runs of images, each with its own sum, added up
 * in order. This is the way for groups and for planes that are not worth turning; conv_turned.h
 * has the other. */
#include "kernels/conv.h"

#include <string.h>

#include "base/pool.h"
#include "kernels/gemm.h"

enum {
  /* forward, gradient for x: rows in one chunk, a strip as wide as gemm's blocks */
  STRIP = 384, RUN = CR_GEMM_CHUNK,
  BUFFER = STRIP * RUN,                 /* gradient for the weights: the other way round */
  BLOCKS = 16
};
static const double MOST_SCRATCH = 64 << 20;
static const double WORTH_A_THREAD = 1 << 18;

typedef enum { POINTWISE, COLUMNS } algorithm;

static algorithm way(const cr_conv *v) {
  const cr_window *w = &v->window;
  for (int s = 0; s < 2; s++)
    if (w->kernel[s] != 1 || w->stride[s] != 1 || w->padding[s] != 0) return COLUMNS;
  return POINTWISE;
}

bool cr_conv_check(const cr_conv *v, int64_t seen, cr_error *err) {
  if (v->filters % v->groups == 0 && v->channels == seen * v->groups) return true;
  return cr_fail(err, CR_ESHAPE, "x has %lld channels and weight %lld filters of %lld channels, "
                 "which does not make %lld group%s", (long long)v->channels, (long long)v->filters,
                 (long long)seen, (long long)v->groups, v->groups == 1 ? "" : "s");
}

/* Sizes of one group of one image, worked out once for a call */
typedef struct {
  const cr_conv *v;
  algorithm way;
  int64_t C, O, rows, places, positions, strips, blocks, images_a_block;
  const real *x, *weight, *bias, *gy;
  real *y, *gx, *gw;
} job;

static job job_of(const cr_conv *v) {
  const cr_window *w = &v->window;
  job j = { .v = v, .way = way(v) };
  j.C = v->channels / v->groups;
  j.O = v->filters / v->groups;
  j.rows = j.C * w->kernel[0] * w->kernel[1];
  j.places = w->in[0] * w->in[1];
  j.positions = w->out[0] * w->out[1];
  j.strips = (j.positions + STRIP - 1) / STRIP;
  return j;
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static void run(int64_t blocks, cr_block_fn fn, job *j) {
  double work =
      (double)j->v->images * (double)j->v->filters * (double)j->rows * (double)j->positions;
  if (work >= 2 * WORTH_A_THREAD) cr_pool_run(blocks, fn, j);
  else for (int64_t b = 0; b < blocks; b++) fn(j, b, 0);
}

static void forward_strip(void *context, int64_t block, int worker) {
  const job *j = context;
  int64_t group = block / j->strips % j->v->groups, image = block / j->strips / j->v->groups;
  int64_t q0 = block % j->strips * STRIP, n = least(STRIP, j->positions - q0);
  const real *x = j->x + (image * j->v->groups + group) * j->C * j->places;
  const real *weight = j->weight + group * j->O * j->rows;
  real *y = j->y + (image * j->v->groups + group) * j->O * j->positions + q0;
  (void)worker;
  if (j->bias != NULL)
    for (int64_t o = 0; o < j->O; o++)
      for (int64_t q = 0; q < n; q++) y[o*j->positions + q] = j->bias[group * j->O + o];
  if (j->way == POINTWISE) {
    cr_gemm_serial(false, false, j->O, n, j->rows, weight, j->rows, x + q0, j->places,
                   j->bias != NULL, y, j->positions);
    return;
  }
  real column[BUFFER] __attribute__((aligned(64)));
  for (int64_t r = 0; r < j->rows; r += RUN) {
    int64_t k = least(RUN, j->rows - r);
    cr_im2col(&j->v->window, x, r, r + k, q0, q0 + n, column);
    cr_gemm_serial(false, false, j->O, n, k, weight + r, j->rows, column, n,
                   j->bias != NULL || r > 0, y, j->positions);
  }
}

void cr_conv_forward(const cr_conv *v, const real *x, const real *weight, const real *bias,
                     real *y) {
  job j = job_of(v);
  j.x = x, j.weight = weight, j.bias = bias, j.y = y;
  if (j.rows == 0) {                            /* no channels: only the bias */
    for (int64_t i = 0; i < v->images * v->filters * j.positions; i++)
      y[i] = bias != NULL ? bias[i / j.positions % v->filters] : 0;
    return;
  }
  run(v->images * v->groups * j.strips, forward_strip, &j);
}

static void grad_x_image(void *context, int64_t block, int worker) {
  const job *j = context;
  const real *weight = j->weight + block % j->v->groups * j->O * j->rows;
  const real *gy = j->gy + block * j->O * j->positions;
  const real *start = j->bias ? j->bias + block % j->v->groups * j->C : NULL;
  real *gx = j->gx + block * j->C * j->places;
  (void)worker;
  if (start != NULL || j->way != POINTWISE)
    for (int64_t i = 0; i < j->C; i++)
      for (int64_t l = 0; l < j->places; l++) gx[i*j->places + l] = start ? start[i] : 0;
  if (j->way == POINTWISE) {
    cr_gemm_serial(true, false, j->rows, j->positions, j->O, weight, j->rows, gy, j->positions,
                   start != NULL, gx, j->places);
    return;
  }
  real column[BUFFER] __attribute__((aligned(64)));
  for (int64_t q = 0; q < j->positions; q += STRIP) {
    int64_t n = least(STRIP, j->positions - q);
    for (int64_t r = 0; r < j->rows; r += RUN) {
      int64_t m = least(RUN, j->rows - r);
      cr_gemm_serial(true, false, m, n, j->O, weight + r, j->rows, gy + q, j->positions, false,
                     column, n);
      cr_col2im(&j->v->window, column, r, r + m, q, q + n, gx);
    }
  }
}

void cr_conv_grad_x(const cr_conv *v, const real *weight, const real *gy, const real *start,
                    real *gx) {
  job j = job_of(v);
  j.weight = weight, j.gy = gy, j.bias = start, j.gx = gx;
  run(v->images * v->groups, grad_x_image, &j);
}

/* gw (O x rows) = or += the share of one group of one image */
static void add_image(const job *j, const real *x, const real *gy, bool add, real *gw) {
  if (j->way == POINTWISE) {
    cr_gemm_serial(false, true, j->O, j->rows, j->positions, gy, j->positions, x, j->places,
                   add, gw, j->rows);
    return;
  }
  real column[BUFFER] __attribute__((aligned(64)));
  for (int64_t q = 0; q < j->positions; q += RUN) {
    int64_t k = least(RUN, j->positions - q);
    for (int64_t r = 0; r < j->rows; r += STRIP) {
      int64_t n = least(STRIP, j->rows - r);
      cr_im2col(&j->v->window, x, r, r + n, q, q + k, column);
      cr_gemm_serial(false, true, j->O, n, k, gy + q, j->positions, column, k, add || q > 0, gw + r,
                     j->rows);
    }
  }
}

/* One group of one run of images */
static void grad_weight_block(void *context, int64_t block, int worker) {
  const job *j = context;
  int64_t groups = j->v->groups, group = block % groups, first = block / groups * j->images_a_block;
  real *gw = j->gw + block * j->O * j->rows;
  (void)worker;
  for (int64_t b = first; b < least(first + j->images_a_block, j->v->images); b++)
    add_image(j, j->x + (b*groups + group) * j->C * j->places,
              j->gy + (b*groups + group) * j->O * j->positions, b > first, gw);
}

static void cut_images(job *j) {
  double bytes = (double)j->v->filters * (double)j->rows * sizeof(real);
  int64_t blocks = least(j->v->images, BLOCKS);
  while (blocks > 2 && bytes * (double)blocks > MOST_SCRATCH) blocks /= 2;
  j->images_a_block = blocks == 0 ? 1 : (j->v->images + blocks - 1) / blocks;
  j->blocks = (j->v->images + j->images_a_block - 1) / j->images_a_block;
}

size_t cr_conv_grad_weight_scratch(const cr_conv *v) {
  job j = job_of(v);
  cut_images(&j);
  return j.blocks < 2 ? 0 : (size_t)(j.blocks * v->filters * j.rows) * sizeof(real);
}

static void add_blocks(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  int64_t size = j->v->filters * j->rows;
  for (int64_t i = begin; i < end; i++) {
    double sum = 0;
    for (int64_t b = 0; b < j->blocks; b++) sum += (double)j->gw[b*size + i];
    j->y[i] = (real)sum;
  }
}

void cr_conv_grad_weight(const cr_conv *v, const real *x, const real *gy, real *gweight,
                         void *scratch) {
  job j = job_of(v);
  cut_images(&j);
  j.x = x, j.gy = gy, j.gw = j.blocks < 2 ? gweight : scratch, j.y = gweight;
  if (j.blocks == 0) memset(gweight, 0, (size_t)(v->filters * j.rows) * sizeof(real));
  run(j.blocks * v->groups, grad_weight_block, &j);
  if (j.blocks > 1) cr_pool_for(v->filters * j.rows, 1 << 14, add_blocks, &j);
}

typedef struct { int64_t images, channels, places; const real *gy; real *sum; } channel_job;

/* Eight chains, so that the processor need not wait for one sum before it begins the next. */
CR_VECTOR static void channel_range(void *context, int64_t begin, int64_t end) {
  const channel_job *j = context;
  for (int64_t c = begin; c < end; c++) {
    double lane[8] = { 0 }, rest = 0;
    for (int64_t b = 0; b < j->images; b++) {
      const real *restrict g = j->gy + (b*j->channels + c) * j->places;
      int64_t q = 0;
      for (; q + 8 <= j->places; q += 8)
        for (int l = 0; l < 8; l++) lane[l] += (double)g[q + l];
      for (; q < j->places; q++) rest += (double)g[q];
    }
    for (int l = 0; l < 8; l++) rest += lane[l];
    j->sum[c] = (real)rest;
  }
}

void cr_channel_sums(int64_t images, int64_t channels, int64_t places, const real *gy, real *sum) {
  channel_job j = { images, channels, places, gy, sum };
  int64_t each = images * places, grain = each > 0 ? (1 << 15) / each : channels;
  cr_pool_for(channels, grain > 0 ? grain : 1, channel_range, &j);
}
