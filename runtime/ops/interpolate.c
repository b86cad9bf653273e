/* interpolate.c - images in another size
 *
 *   x [B C H W]  ->  [B C h w]              x:interpolate({ h, w })
 *                                           x:interpolate{ scale = 2, mode = "nearest" }
 *
 *   nearest     source place floor(i H / h)
 *   bilinear    source place (i + 0.5) H / h - 0.5, not below 0; with align_corners
 *               i (H - 1) / (h - 1); the two rows and columns round it, weighted by nearness
 *
 * Making an image smaller skips pixels: nothing is averaged. crun.data.resize does. */
#include <math.h>
#include "autograd/op.h"
#include "base/pool.h"
#include "kernels/index.h"

enum { SIZE, SCALE, MODE, ALIGN_CORNERS };
enum { NEAREST, BILINEAR };

static const cr_input inputs[] = { { "x", "B C H W", CR_TREAL, 0 }, { 0 } };
static const cr_output outputs[] = { { "out", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [SIZE]          = { "size", NAN, 1, 1e6, "height and width, or one number for both", CR_COUNTS },
  [SCALE]         = { "scale", NAN, 1e-6, 1e6, "in place of size: h = floor(scale H)", CR_NUMBER },
  [MODE]          = { "mode", BILINEAR, 0, 0, "how to look between pixels", CR_CHOICE,
                      "nearest bilinear" },
  [ALIGN_CORNERS] = { "align_corners", 0, 0, 1, "corner pixels stay where they are (bilinear)",
                      CR_FLAG },
  { 0 }
};

/* Where a row or column of the result looks: places low and high of the source, high with weight
 * `part`. */
typedef struct look { int64_t low, high; real part; } look;

static bool check(cr_call *c, cr_error *err) {
  int64_t size[2], scaled[2] = { c->dim['H'], c->dim['W'] };
  double scale = c->option[SCALE];
  if ((c->list[SIZE].n > 0) == !isnan(scale))
    return cr_fail(err, CR_EVALUE, "give either size or scale");
  if (!cr_option_counts(c, SIZE, 2, 1, size, err)) return false;
  for (int k = 0; !isnan(scale) && k < 2; k++) size[k] = (int64_t)floor((double)scaled[k] * scale);
  if (scaled[0] < 1 || scaled[1] < 1 || size[0] < 1 || size[1] < 1)
    return cr_fail(err, CR_ESHAPE, "an image of %lld x %lld cannot become %lld x %lld",
                   (long long)scaled[0], (long long)scaled[1], (long long)size[0],
                   (long long)size[1]);
  int64_t shape[4] = { c->dim['B'], c->dim['C'], size[0], size[1] };
  cr_out_shape(c, 0, 4, shape);
  if ((int)c->option[MODE] == NEAREST) {
    c->scratch_bytes = cr_index_rule_bytes(4, c->in[0]->shape, shape, false);
    c->backward_scratch_bytes = cr_index_rule_bytes(4, c->in[0]->shape, shape, true);
  } else {
    c->scratch_bytes = c->backward_scratch_bytes = (size_t)(size[0] + size[1]) * sizeof(look);
  }
  return true;
}

static int64_t nearest(const void *shape, int d, int64_t i, int64_t n_in) {
  return i * n_in / ((const int64_t *)shape)[d];
}

static void look_along(int64_t n_in, int64_t n_out, bool corners, look *at) {
  for (int64_t i = 0; i < n_out; i++) {
    double place = corners ? n_out > 1 ? (double)(i * (n_in - 1)) / (double)(n_out - 1) : 0
                           : ((double)i + 0.5) * (double)n_in / (double)n_out - 0.5;
    if (place < 0) place = 0;
    at[i].low = (int64_t)place;
    at[i].high = at[i].low + 1 < n_in ? at[i].low + 1 : at[i].low;
    at[i].part = (real)(place - (double)at[i].low);
  }
}

typedef struct job {
  int64_t H, W, h, w;
  const look *row, *column;
  const real *from;
  real *to;
} job;

static void forward_planes(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  for (int64_t plane = begin; plane < end; plane++) {
    for (int64_t y = 0; y < j->h; y++) {
      const look *r = &j->row[y];
      const real *low = j->from + (plane * j->H + r->low) * j->W;
      const real *high = j->from + (plane * j->H + r->high) * j->W;
      real *out = j->to + (plane * j->h + y) * j->w;
      for (int64_t x = 0; x < j->w; x++) {
        const look *k = &j->column[x];
        real top = low[k->low] + k->part * (low[k->high] - low[k->low]);
        real bottom = high[k->low] + k->part * (high[k->high] - high[k->low]);
        out[x] = top + r->part * (bottom - top);
      }
    }
  }
}

static void backward_planes(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  for (int64_t plane = begin; plane < end; plane++) {
    real *gx = j->to + plane * j->H * j->W;
    for (int64_t i = 0; i < j->H * j->W; i++) gx[i] = 0;
    for (int64_t y = 0; y < j->h; y++) {
      const look *r = &j->row[y];
      const real *g = j->from + (plane * j->h + y) * j->w;
      real *low = gx + r->low * j->W, *high = gx + r->high * j->W;
      for (int64_t x = 0; x < j->w; x++) {
        const look *k = &j->column[x];
        real top = (1 - r->part) * g[x], bottom = r->part * g[x];
        low[k->low] += (1 - k->part) * top;
        low[k->high] += k->part * top;
        high[k->low] += (1 - k->part) * bottom;
        high[k->high] += k->part * bottom;
      }
    }
  }
}

static void run(cr_call *c, const int64_t *sized, const cr_tensor *from, cr_tensor *to,
                cr_range_fn planes) {
  look *row = c->scratch;
  job j = { c->dim['H'], c->dim['W'],    sized[2],       sized[3],
            row,         row + sized[2], cr_reals(from), cr_reals(to) };
  bool corners = c->option[ALIGN_CORNERS] != 0;
  look_along(j.H, j.h, corners, row);
  look_along(j.W, j.w, corners, row + j.h);
  int64_t each = j.H * j.W + j.h * j.w;
  cr_pool_for(sized[0] * sized[1], each > 16384 ? 1 : 16384 / each, planes, &j);
}

static void forward(cr_call *c) {
  const cr_tensor *x = c->in[0], *out = c->out[0];
  if ((int)c->option[MODE] == BILINEAR) run(c, out->shape, x, c->out[0], forward_planes);
  else
    cr_index_rule(4, x->shape, out->shape, nearest, out->shape, c->scratch, sizeof(real),
                  cr_reals(x), NULL, cr_reals(out));
}

static void backward(cr_call *c) {
  const cr_tensor *g = c->gout[0];
  if ((int)c->option[MODE] == BILINEAR) run(c, g->shape, g, c->gin[0], backward_planes);
  else
    cr_index_rule_sum(4, c->gin[0]->shape, g->shape, nearest, g->shape, c->scratch, cr_reals(g),
                      cr_reals(c->gin[0]));
}

const cr_op cr_op_interpolate = {
  .name = "interpolate", .help = "images in another size, nearest or bilinear",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = backward,
};
