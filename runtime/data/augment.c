/* augment.c - byte images to a batch of reals, changed at random
 *
 *   batch = crun.data.augment(images, rows, { flip = 0.5, shift = 0.05, seed = 1, epoch = 3 })
 *
 *   images   uint8 [N C H W]
 *   rows     int64 [B], row numbers from 1 (absent: all of them in order)
 *   samples  int64 [B], what the random numbers of a row hang on (absent: its row number)
 *   batch    real [B C h w]
 *
 * For each row, in this order:
 *   1. one affine map, bilinear, the edge repeated outside: mirror left and right with probability
 *      `flip`; turn by up to `rotation` degrees; grow by a factor e^s, |s| <= ln(1 + `scale`); move
 *      by up to `shift` of each side; crop a window
 *   2. (value - mean of the image) (1 + c) + mean + b, |c| <= `contrast`, |b| <= `brightness`, then
 *      into [0, 1]
 *   3. Gaussian blur, sigma uniform in 0 .. `blur` pixels
 *   4. with probability `erase`, a rectangle of up to `erase_area` of the window, its sides within
 *      1 : 3, gets the mean of the image (Zhong, Zheng, Kang, Li, Yang, "Random erasing data
 *      augmentation", AAAI 2020, there with random values)
 *   5. (value - `mean`) / `std`
 *
 * Random numbers depend on (seed, epoch, sample) and on nothing else: not on the place in the
 * batch, its size or the threads; each step always takes its own, so changing one option leaves the
 * draws of the others as they were. With every change at 0 the batch is byte / 255 exactly. Rows
 * are gathered here: the data set is not copied. */
#include <math.h>
#include "autograd/op.h"
#include "base/pool.h"
#include "base/rng.h"
#include "kernels/image.h"

enum { IMAGES, ROWS, SAMPLES };
enum { FLIP, SHIFT, SCALE, ROTATION, BRIGHTNESS, CONTRAST, BLUR, ERASE, ERASE_AREA, CROP, CROP_AT,
    MEAN, STD, SEED, EPOCH };
enum { CROP_CENTRE, CROP_RANDOM };
enum { PIXELS_A_BLOCK = 16384 };

#define WHOLE 9007199254740992.0            /* 2^53 */

static const cr_input inputs[] = {
  [IMAGES]  = { "images",  "N C H W", CR_TBYTE, CR_NOGRAD },
  [ROWS]    = { "rows",    "B", CR_TINT, CR_NOGRAD | CR_OPTIONAL },
  [SAMPLES] = { "samples", "B", CR_TINT, CR_NOGRAD | CR_OPTIONAL },
  { 0 }
};

static const cr_output outputs[] = { { "batch", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [FLIP]       = { "flip", 0, 0, 1, "probability of a mirror image" },
  [SHIFT]      = { "shift", 0, 0, 1, "most movement, a fraction of each side" },
  [SCALE]      = { "scale", 0, 0, 9, "most change of size: 0.1 is 1/1.1 to 1.1" },
  [ROTATION]   = { "rotation", 0, 0, 180, "most turn, degrees" },
  [BRIGHTNESS] = { "brightness", 0, 0, 1, "most added, of the full range" },
  [CONTRAST]   = { "contrast", 0, 0, 1, "most relative change of differences from the mean" },
  [BLUR]       = { "blur", 0, 0, CR_BLUR_MOST, "most sigma, pixels" },
  [ERASE]      = { "erase", 0, 0, 1, "probability of a blank rectangle" },
  [ERASE_AREA] = { "erase_area", 0.2, 0, 1, "its largest share of the image" },
  [CROP]       = { "crop", 0, 1, 65535,
      "height and width (or both at once) of the window taken; absent: the image", CR_COUNTS },
  [CROP_AT]    = { "crop_at", CROP_RANDOM, 0, 1, "where the window lies", CR_CHOICE,
      "centre random" },
  [MEAN]       = { "mean", 0, -INFINITY, INFINITY, "subtracted at the end" },
  [STD]        = { "std", 1, 1e-6, INFINITY, "divided by at the end" },
  [SEED]       = { "seed", 1, 0, WHOLE, "of the random numbers", CR_COUNT },
  [EPOCH]      = { "epoch", 0, 0, WHOLE, "each epoch changes every image anew", CR_COUNT },
  { 0 }
};

typedef struct change {                     /* what happens to one row */
  double map[6];                            /* window pixel to image pixel, see kernels/image.h */
  bool moves;
  double contrast, brightness, sigma;
  bool erases;
  int64_t top, left, height, width;         /* of the rectangle */
} change;

typedef struct sizes { int64_t B, C, H, W, h, w; } sizes;

static sizes sizes_of(const cr_call *c) {
  const cr_tensor *in = c->in[IMAGES], *rows = c->in[ROWS];
  const cr_list *crop = &c->list[CROP];
  sizes s = { rows ? rows->shape[0] : in->shape[0], in->shape[1], in->shape[2], in->shape[3],
      in->shape[2], in->shape[3] };
  if (crop->n > 0) s.h = crop->at[0], s.w = crop->at[crop->n - 1];
  return s;
}

static size_t scratch_reals(const sizes *s) {           /* of one worker */
  int64_t n = (s->H + 1) * (s->W + 1) + 2 * s->w + cr_kernel_image_blur_scratch(s->h, s->w);
  return (size_t)(n + 15) / 16 * 16;
}

static bool check(cr_call *c, cr_error *err) {
  const cr_tensor *in = c->in[IMAGES], *rows = c->in[ROWS], *samples = c->in[SAMPLES];
  sizes s = sizes_of(c);
  if (s.C * s.H * s.W == 0) {
    char text[CR_SHAPE_TEXT];
    return cr_fail(err, CR_ESHAPE, "images must not be empty, got %s",
        cr_shape_text(4, in->shape, text));
  }
  if (c->list[CROP].n > 2)
    return cr_fail(err, CR_EVALUE, "crop must be one number or {height, width}, got %d numbers",
        c->list[CROP].n);
  if (s.h < 1 || s.w < 1 || s.h > s.H || s.w > s.W)
    return cr_fail(err, CR_EVALUE, "crop of %lld x %lld does not fit into images of %lld x %lld",
                   (long long)s.h, (long long)s.w, (long long)s.H, (long long)s.W);
  if (samples && samples->shape[0] != s.B)
    return cr_fail(err, CR_ESHAPE, "samples must have one number for each of %lld rows, got %lld",
                   (long long)s.B, (long long)samples->shape[0]);
  for (int64_t i = 0; rows && i < s.B; i++) {
    long long row = cr_ints(rows)[i];
    if (row < 1 || row > in->shape[0])
      return cr_fail(err, CR_EVALUE, "rows[%lld] must be in 1 .. %lld, got %lld", (long long)i + 1,
                     (long long)in->shape[0], row);
  }
  cr_out_shape(c, 0, 4, (int64_t[]){ s.B, s.C, s.h, s.w });
  c->scratch_bytes = (size_t)cr_pool_threads() * scratch_reals(&s) * sizeof(real);
  return true;
}

/* window -> image: middle of the window to that of the cropped part, moved back, turned back,
 * shrunk, mirrored */
static void draw_map(const double *option, const sizes *s, cr_rng *rng, change *to) {
  bool mirrored = cr_rng_uniform(rng) < option[FLIP];
  double move_x = cr_rng_range(rng, -1, 1) * option[SHIFT] * (double)s->W;
  double move_y = cr_rng_range(rng, -1, 1) * option[SHIFT] * (double)s->H;
  double size = exp(cr_rng_range(rng, -1, 1) * log1p(option[SCALE]));
  double angle = cr_rng_range(rng, -1, 1) * option[ROTATION] * 0.017453292519943295;
  double slack_x = (double)(s->W - s->w), slack_y = (double)(s->H - s->h);
  double at_x = floor(cr_rng_uniform(rng) * (slack_x + 1));
  double at_y = floor(cr_rng_uniform(rng) * (slack_y + 1));
  if (option[CROP_AT] == CROP_CENTRE) at_x = floor(slack_x / 2), at_y = floor(slack_y / 2);

  /* image = middle + A (window + crop corner - middle - move), A = mirror . turn / size */
  double cosine = cos(angle) / size, sine = sin(angle) / size, mirror = mirrored ? -1 : 1;
  double middle_x = 0.5 * (double)(s->W - 1), middle_y = 0.5 * (double)(s->H - 1);
  double from_x = at_x - middle_x - move_x, from_y = at_y - middle_y - move_y;
  double map[6] = {
    mirror * cosine, mirror * sine, middle_x + mirror * (cosine * from_x + sine * from_y),
    -sine, cosine, middle_y - sine * from_x + cosine * from_y
  };
  static const double still[6] = { 1, 0, 0, 0, 1, 0 };
  to->moves = s->h != s->H || s->w != s->W;
  for (int i = 0; i < 6; i++) {
    to->map[i] = map[i];
    to->moves = to->moves || map[i] != still[i];
  }
}

static void draw_erase(const double *option, const sizes *s, cr_rng *rng, change *to) {
  to->erases = cr_rng_uniform(rng) < option[ERASE];
  double area = cr_rng_uniform(rng) * option[ERASE_AREA] * (double)(s->h * s->w);
  double aspect = exp(cr_rng_range(rng, -1, 1) * 1.0986122886681098);      /* ln 3 */
  double place_y = cr_rng_uniform(rng), place_x = cr_rng_uniform(rng);
  to->height = (int64_t)fmin((double)s->h, floor(sqrt(area * aspect) + 0.5));
  to->width = (int64_t)fmin((double)s->w, floor(sqrt(area / aspect) + 0.5));
  to->top = (int64_t)(place_y * (double)(s->h - to->height + 1));
  to->left = (int64_t)(place_x * (double)(s->w - to->width + 1));
}

static change draw(const cr_call *c, const sizes *s, int64_t sample) {
  const double *option = c->option;
  uint64_t stream = cr_rng_hash("augment") + (uint64_t)option[EPOCH];
  cr_rng rng = cr_rng_at((uint64_t)option[SEED], stream, (uint64_t)sample);
  change to;
  draw_map(option, s, &rng, &to);
  to.contrast = 1 + cr_rng_range(&rng, -1, 1) * option[CONTRAST];
  to.brightness = cr_rng_range(&rng, -1, 1) * option[BRIGHTNESS];
  to.sigma = cr_rng_uniform(&rng) * option[BLUR];
  draw_erase(option, s, &rng, &to);
  return to;
}

static real mean_of(const uint8_t *bytes, int64_t n) {
  int64_t sum = 0;
  for (int64_t i = 0; i < n; i++) sum += bytes[i];
  return (real)((double)sum / (255 * (double)n));
}

static void tone(real *x, int64_t n, real centre, real contrast, real brightness) {
  for (int64_t i = 0; i < n; i++) {
    real value = (x[i] - centre) * contrast + (centre + brightness);
    value = value > 0 ? value : 0;
    x[i] = value < 1 ? value : 1;
  }
}

static void plane(const cr_call *c, const sizes *s, const change *to, const uint8_t *in,
    real centre, real *out, real *scratch) {
  real *unpacked = scratch, *row = unpacked + (s->H + 1) * (s->W + 1), *room = row + 2 * s->w;
  int64_t n = s->h * s->w;
  if (to->moves) {
    cr_kernel_image_unpack(in, s->H, s->W, unpacked);
    cr_kernel_image_warp(unpacked, s->H, s->W, to->map, s->h, s->w, out, row);
  } else {
    for (int64_t i = 0; i < n; i++) out[i] = (real)in[i] / (real)255;
  }
  if (to->contrast != 1 || to->brightness != 0)
    tone(out, n, centre, (real)to->contrast, (real)to->brightness);
  if (to->sigma > 0) cr_kernel_image_blur(out, s->h, s->w, to->sigma, room);
  if (to->erases)
    for (int64_t y = to->top; y < to->top + to->height; y++)
      for (int64_t x = to->left; x < to->left + to->width; x++) out[y * s->w + x] = centre;
  real mean = (real)c->option[MEAN], deviation = (real)c->option[STD];
  if (mean != 0 || deviation != 1)
    for (int64_t i = 0; i < n; i++) out[i] = (out[i] - mean) / deviation;
}

static int64_t rows_a_block(const sizes *s) {
  int64_t rows = PIXELS_A_BLOCK / (s->C * s->h * s->w);
  return rows > 0 ? rows : 1;
}

static void block(void *context, int64_t index, int worker) {
  const cr_call *c = context;
  sizes s = sizes_of(c);
  int64_t rows = rows_a_block(&s), begin = index * rows, after = begin + rows;
  int64_t end = after < s.B ? after : s.B;
  real *scratch = (real *)c->scratch + (size_t)worker * scratch_reals(&s);
  real *out = cr_reals(c->out[0]);
  for (int64_t i = begin; i < end; i++) {
    int64_t row = c->in[ROWS] ? cr_ints(c->in[ROWS])[i] : i + 1;
    int64_t sample = c->in[SAMPLES] ? cr_ints(c->in[SAMPLES])[i] : row;
    change to = draw(c, &s, sample);
    const uint8_t *in = cr_bytes(c->in[IMAGES]) + (row - 1) * s.C * s.H * s.W;
    real centre = to.erases || to.contrast != 1 ? mean_of(in, s.C * s.H * s.W) : 0;
    for (int64_t k = 0; k < s.C; k++)
      plane(c, &s, &to, in + k * s.H * s.W, centre, out + (i * s.C + k) * s.h * s.w, scratch);
  }
}

static void forward(cr_call *c) {
  sizes s = sizes_of(c);
  int64_t rows = rows_a_block(&s);
  cr_pool_run((s.B + rows - 1) / rows, block, c);
}

const cr_op cr_data_augment = {
  .name = "augment", .help = "rows of byte images as reals, changed at random",
  .inputs = inputs, .outputs = outputs, .options = options,
  .check = check, .forward = forward,
};
