/* winograd.c - see winograd.h; the cutting of the work, winograd_tile.h has the loops
 *
 * Forward is cut into runs of tiles, and few tiles by filters: each thread then transforms all of
 * them for itself, since a tile that another processor has transformed is slower to fetch. The
 * weights' gradient is cut into slabs of 64 channels by 64 filters, so that the 36 sums stay in the
 * second-level cache, and into runs of tiles, whose sums are added in order. All cuts depend on the
 * shape alone. */
#include "kernels/winograd.h"

#include <string.h>

#include "base/pool.h"
#include "kernels/conv_entry.h"

enum {
  SLAB = CR_WINOGRAD_SLAB, POINTS = CR_WINOGRAD_POINTS,
  TILES_A_BLOCK = 32, LEAST_TILES = 8, LEAST_BLOCKS = 4, MOST_BLOCKS = 64,    /* of forward */
  PRODUCT_BLOCKS = 8                            /* of the weights' gradient, slabs times runs */
};

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t parts(int64_t n, int64_t of) { return (n + of - 1) / of; }

bool cr_winograd_can(const cr_conv *v) {
  const cr_window *w = &v->window;
  for (int s = 0; s < 2; s++)
    if (w->kernel[s] != 3 || w->stride[s] != 1 || w->dilation[s] != 1 || w->padding[s] > 2)
      return false;
  return v->groups == 1 && v->channels % 16 == 0 && v->filters % 16 == 0 && v->channels > 0 &&
         v->filters > 0 && v->channels <= CR_WINOGRAD_MOST_CHANNELS &&
         v->filters <= CR_WINOGRAD_MOST_CHANNELS;
}

typedef struct {
  cr_winograd w;
  cr_winograd_weight from;
  const cr_conv_kernels *kernels;
  int64_t blocks, tiles_a_block, groups, filters_a_group;
  double *part;                         /* NULL, or 2 x filters a block */
  int64_t c_slabs, o_slabs, runs, tiles_a_run, run_size;
  real *u, *du, *gw;
} job;

static job job_of(const cr_conv *v, cr_conv_pass pass) {
  const cr_window *c = &v->window;
  bool back = pass == CR_CONV_GRAD_X;
  job j = { .kernels = cr_conv_kernels_here() };
  cr_winograd *w = &j.w;
  w->channels = back ? v->filters : v->channels;
  w->filters = back ? v->channels : v->filters;
  if (back) w->add = v->add;
  else w->map = v->map, w->relu = v->relu, w->pool = v->pool;
  for (int s = 0; s < 2; s++) {
    w->in[s] = back ? c->out[s] : c->in[s];
    w->out[s] = back ? c->in[s] : c->out[s];
    w->padding[s] = back ? 2 - c->padding[s] : c->padding[s];
  }
  w->down = parts(w->out[0], 4), w->across = parts(w->out[1], 4);
  w->tiles = v->images * w->down * w->across;
  int64_t each = (w->tiles - 1) / (8 * LEAST_TILES) * LEAST_TILES + LEAST_TILES;
  j.blocks = least(parts(w->tiles, least(each, TILES_A_BLOCK)), MOST_BLOCKS);
  bool few = j.blocks < LEAST_BLOCKS;
  if (few) j.blocks = least(j.blocks, 1);
  if (j.blocks > 8) j.blocks = j.blocks / 8 * 8;        /* even shares for 2, 4 and 8 threads */
  j.tiles_a_block = j.blocks == 0 ? 1 : parts(w->tiles, j.blocks);
  int64_t panels = parts(w->filters, j.kernels->width);
  int64_t panels_a_group = parts(panels, few ? least(LEAST_BLOCKS, panels) : 1);
  j.filters_a_group = panels_a_group * j.kernels->width;
  j.groups = parts(panels, panels_a_group);
  j.c_slabs = parts(w->channels, SLAB), j.o_slabs = parts(w->filters, SLAB);
  j.runs = least(parts(PRODUCT_BLOCKS, j.c_slabs * j.o_slabs), parts(w->tiles, TILES_A_BLOCK));
  j.tiles_a_run = j.runs == 0 ? 1 : parts(w->tiles, j.runs);
  j.run_size = POINTS * w->channels * w->filters;
  return j;
}

static size_t weight_bytes(const job *j) { return (size_t)j->run_size * sizeof(real); }

size_t cr_winograd_scratch(const cr_conv *v, cr_conv_pass pass) {
  job j = job_of(v, pass);
  if (pass == CR_CONV_GRAD_WEIGHT) return (size_t)j.runs * weight_bytes(&j);
  if (pass == CR_CONV_GRAD_X) return weight_bytes(&j);
  return (size_t)(2 * j.blocks * j.w.filters) * sizeof(double);
}

size_t cr_winograd_ready_bytes(const cr_conv *v) {
  return (size_t)(POINTS * v->channels * v->filters) * sizeof(real);
}

enum { CHANNELS_A_BLOCK = 32 };

static void weights_block(void *context, int64_t block, int worker) {
  const job *j = context;
  int64_t strips = parts(j->w.channels, CHANNELS_A_BLOCK), c = block % strips * CHANNELS_A_BLOCK;
  (void)worker;
  j->kernels->winograd_weights(&j->w, &j->from, block / strips, c,
                               least(c + CHANNELS_A_BLOCK, j->w.channels), j->u);
}

static void forward_block(void *context, int64_t block, int worker) {
  const job *j = context;
  int64_t group = block % j->groups, first = block / j->groups * j->tiles_a_block;
  int64_t filters = j->w.filters, o0 = group * j->filters_a_group;
  int64_t o1 = least(o0 + j->filters_a_group, filters);
  double *part = j->part ? j->part + 2 * (block / j->groups) * filters : NULL;
  (void)worker;
  for (int64_t o = o0; part != NULL && o < o1; o++) part[o] = part[filters + o] = 0;
  j->kernels->winograd_forward(&j->w, first, least(first + j->tiles_a_block, j->w.tiles), o0, o1,
                               part);
}

static void turn_weights(job *j) {
  cr_pool_run(parts(j->w.filters, j->kernels->width) * parts(j->w.channels, CHANNELS_A_BLOCK),
              weights_block, j);
}

static void convolve(job *j, int64_t images) {
  cr_winograd *w = &j->w;
  w->stream = !w->pool && !w->add &&
              cr_conv_streams(w->y, images * w->out[0] * w->out[1] * w->filters, w->filters);
  cr_pool_run(j->blocks * j->groups, forward_block, j);
}

void cr_winograd_ready(const cr_conv *v, const real *weight, void *ready) {
  job j = job_of(v, CR_CONV_FORWARD);
  j.w.u = j.u = ready;
  j.from = (cr_winograd_weight){ weight, 9 * v->channels, 9, false };
  turn_weights(&j);
}

void cr_winograd_forward(const cr_conv *v, const real *x, const void *ready, const real *bias,
                         real *y, double *sums, void *scratch) {
  job j = job_of(v, CR_CONV_FORWARD);
  j.w.x = x, j.w.bias = bias, j.w.y = y, j.w.u = ready;
  if (sums != NULL) j.part = scratch;
  convolve(&j, v->images);
  if (sums != NULL) cr_conv_add_parts(j.blocks, v->filters, j.part, sums);
}

void cr_winograd_grad_x(const cr_conv *v, const real *weight, const real *gy, real *gx,
                        void *scratch) {
  job j = job_of(v, CR_CONV_GRAD_X);
  j.w.x = gy, j.w.y = gx;
  j.w.u = j.u = scratch;
  j.from = (cr_winograd_weight){ weight, 9, 9 * v->channels, true };
  turn_weights(&j);
  convolve(&j, v->images);
}

static void products_block(void *context, int64_t block, int worker) {
  const job *j = context;
  const cr_winograd *w = &j->w;
  int64_t run = block % j->runs, slab = block / j->runs, first = run * j->tiles_a_run;
  int64_t c0 = slab / j->o_slabs * SLAB, c1 = least(c0 + SLAB, w->channels);
  int64_t o0 = slab % j->o_slabs * SLAB, o1 = least(o0 + SLAB, w->filters);
  real *du = j->du + run * j->run_size + POINTS * (c0 * w->filters + (c1 - c0) * o0);
  (void)worker;
  memset(du, 0, (size_t)(POINTS * (c1 - c0) * (o1 - o0)) * sizeof(real));
  j->kernels->winograd_products(w, first, least(first + j->tiles_a_run, w->tiles), c0, c1, o0, o1,
                                du);
}

static void fold_channels(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  for (int64_t c = begin; c < end; c++)
    j->kernels->winograd_fold(&j->w, j->runs, j->run_size, j->du, c, j->gw);
}

void cr_winograd_grad_weight(const cr_conv *v, const real *x, const real *gy, real *gw,
                             void *scratch) {
  job j = job_of(v, CR_CONV_GRAD_WEIGHT);
  j.w.x = x, j.w.gy = gy, j.du = scratch, j.gw = gw;
  if (j.runs == 0) {
    memset(gw, 0, (size_t)(9 * v->channels * v->filters) * sizeof(real));
    return;
  }
  cr_pool_run(j.runs * j.c_slabs * j.o_slabs, products_block, &j);
  cr_pool_for(v->channels, 4, fold_channels, &j);
}
