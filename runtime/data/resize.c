/* resize.c - antialiased bilinear resize of byte images
 *
 *   out[i] = sum over k of t((k - m + 1/2) / r) in[k] / (the same sum of t alone)
 *   t(x) = max(0, 1 - |x|)      m = (i + 1/2) scale      scale = from / to      r = max(1, scale)
 *
 * for each axis, columns first, rounded to a byte in between. Shrinking widens the triangle to the
 * size of an output pixel, so that no source pixel is skipped. Weights have 22 bits as in Pillow,
 * whose Image.resize(..., BILINEAR) gives the same bytes. */
#include "autograd/op.h"
#include "base/pool.h"
#include "kernels/image.h"

enum { IMAGES };
enum { HEIGHT, WIDTH };

static const cr_input inputs[] = {
  [IMAGES] = { "images", "... H W", CR_TBYTE, CR_NOGRAD },
  { 0 }
};

static const cr_output outputs[] = { { "resized", NULL, CR_TBYTE }, { 0 } };

static const cr_option options[] = {
  [HEIGHT] = { "height", 0, 1, 65535, "rows of the result", CR_COUNT, .required = true },
  [WIDTH]  = { "width", 0, 1, 65535, "columns of the result", CR_COUNT, .required = true },
  { 0 }
};

typedef struct sizes {
  int64_t planes, H, W, h, w, across, down;
  size_t tap_bytes, plane_bytes;
} sizes;

static size_t round_up(size_t bytes) { return (bytes + 63) / 64 * 64; }

static sizes sizes_of(const cr_call *c) {
  const cr_tensor *in = c->in[IMAGES];
  sizes s = { .H = c->dim['H'], .W = c->dim['W'], .h = (int64_t)c->option[HEIGHT],
      .w = (int64_t)c->option[WIDTH] };
  s.planes = cr_tensor_numel(in) / (s.H * s.W);
  s.across = cr_kernel_image_resize_most(s.W, s.w);
  s.down = cr_kernel_image_resize_most(s.H, s.h);
  s.tap_bytes = round_up((size_t)((s.across + 2) * s.w + (s.down + 2) * s.h) * sizeof(int32_t));
  s.plane_bytes = round_up((size_t)s.w * sizeof(int32_t)) + round_up((size_t)(s.H * s.w));
  return s;
}

static bool check(cr_call *c, cr_error *err) {
  const cr_tensor *in = c->in[IMAGES];
  if (in->ndim > 4)
    return cr_fail(err, CR_ESHAPE, "images must be [H W], [C H W] or [N C H W], got %d dimensions",
        in->ndim);
  if (c->dim['H'] < 1 || c->dim['W'] < 1)
    return cr_fail(err, CR_ESHAPE, "an image of %lld rows and %lld columns has nothing to resize",
                   (long long)c->dim['H'], (long long)c->dim['W']);
  sizes s = sizes_of(c);
  int64_t shape[4];
  for (int i = 0; i < in->ndim; i++) shape[i] = in->shape[i];
  shape[in->ndim - 2] = s.h;
  shape[in->ndim - 1] = s.w;
  cr_out_shape(c, 0, in->ndim, shape);
  c->scratch_bytes = s.tap_bytes + (size_t)cr_pool_threads() * s.plane_bytes;
  return true;
}

typedef struct job { cr_resize how; sizes s; const uint8_t *in; uint8_t *out; char *room; } job;

static void plane(void *context, int64_t index, int worker) {
  job *j = context;
  char *mine = j->room + (size_t)worker * j->s.plane_bytes;
  uint8_t *between = (uint8_t *)mine + round_up((size_t)j->s.w * sizeof(int32_t));
  cr_kernel_image_resize(&j->how, j->in + index * j->s.H * j->s.W, j->out + index * j->s.h * j->s.w,
                         between, (int32_t *)mine);
}

static void forward(cr_call *c) {
  sizes s = sizes_of(c);
  int32_t *first_across = c->scratch, *taps_across = first_across + s.w,
      *weight_across = taps_across + s.w;
  int32_t *first_down = weight_across + s.w * s.across, *taps_down = first_down + s.h,
      *weight_down = taps_down + s.h;
  cr_kernel_image_resize_taps(s.W, s.w, first_across, taps_across, weight_across);
  cr_kernel_image_resize_taps(s.H, s.h, first_down, taps_down, weight_down);
  job j = {
    .how = { s.H, s.W, s.h, s.w, s.across, s.down,
             first_across, taps_across, weight_across, first_down, taps_down, weight_down },
    .s = s, .in = cr_bytes(c->in[IMAGES]), .out = cr_bytes(c->out[0]),
    .room = (char *)c->scratch + s.tap_bytes
  };
  if (s.planes == 1) plane(&j, 0, 0);
  else               cr_pool_run(s.planes, plane, &j);
}

const cr_op cr_data_resize = {
  .name = "resize", .help = "resizes byte images, antialiased",
  .inputs = inputs, .outputs = outputs, .options = options,
  .check = check, .forward = forward,
};
