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
 *      into [0, 1]; with three channels, each (value - grey) (1 + s) + grey, |s| <= `saturation`
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
#include "data/augment.h"

#include <math.h>
#include "base/pool.h"
#include "kernels/image.h"

enum { IMAGES, ROWS, SAMPLES };
enum { FLIP, SHIFT, SCALE, ROTATION, BRIGHTNESS, CONTRAST, BLUR, ERASE, ERASE_AREA, CROP, CROP_AT,
    MEAN, STD, SEED, EPOCH, SATURATION };
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
  [SATURATION] = { "saturation", 0, 0, 1, "most relative change of colours from their grey" },
  { 0 }
};

bool cr_augment_how(const double *option, const cr_list *list, const cr_tensor *images,
                    cr_image_change *how, cr_error *err) {
  const cr_list *crop = &list[CROP];
  int64_t H = images->shape[2], W = images->shape[3];
  *how = (cr_image_change){
    .flip = option[FLIP], .shift = option[SHIFT], .scale = option[SCALE],
    .rotation = option[ROTATION], .brightness = option[BRIGHTNESS], .contrast = option[CONTRAST],
    .saturation = option[SATURATION], .blur = option[BLUR], .erase = option[ERASE],
    .erase_area = option[ERASE_AREA], .crop_centre = option[CROP_AT] == CROP_CENTRE,
    .mean = option[MEAN], .std = option[STD], .seed = (uint64_t)option[SEED],
    .epoch = (uint64_t)option[EPOCH], .C = images->shape[1], .H = H, .W = W, .h = H, .w = W
  };
  if (crop->n > 2)
    return cr_fail(err, CR_EVALUE, "crop must be one number or {height, width}, got %d numbers",
        crop->n);
  if (crop->n > 0) how->h = crop->at[0], how->w = crop->at[crop->n - 1];
  if (how->C * H * W == 0) {
    char text[CR_SHAPE_TEXT];
    return cr_fail(err, CR_ESHAPE, "images must not be empty, got %s",
        cr_shape_text(4, images->shape, text));
  }
  if (how->h < 1 || how->w < 1 || how->h > H || how->w > W)
    return cr_fail(err, CR_EVALUE, "crop of %lld x %lld does not fit into images of %lld x %lld",
                   (long long)how->h, (long long)how->w, (long long)H, (long long)W);
  return true;
}

static bool check(cr_call *c, cr_error *err) {
  const cr_tensor *in = c->in[IMAGES], *rows = c->in[ROWS], *samples = c->in[SAMPLES];
  cr_image_change how;
  if (!cr_augment_how(c->option, c->list, in, &how, err)) return false;
  int64_t B = rows ? rows->shape[0] : in->shape[0];
  if (samples && samples->shape[0] != B)
    return cr_fail(err, CR_ESHAPE, "samples must have one number for each of %lld rows, got %lld",
                   (long long)B, (long long)samples->shape[0]);
  for (int64_t i = 0; rows && i < B; i++) {
    long long row = cr_ints(rows)[i];
    if (row < 1 || row > in->shape[0])
      return cr_fail(err, CR_EVALUE, "rows[%lld] must be in 1 .. %lld, got %lld", (long long)i + 1,
                     (long long)in->shape[0], row);
  }
  cr_out_shape(c, 0, 4, (int64_t[]){ B, how.C, how.h, how.w });
  c->scratch_bytes = (size_t)cr_pool_threads() * cr_kernel_image_change_scratch(&how)
                   * sizeof(real);
  return true;
}

static int64_t rows_a_block(const cr_image_change *how) {
  int64_t rows = PIXELS_A_BLOCK / (how->C * how->h * how->w);
  return rows > 0 ? rows : 1;
}

typedef struct job { const cr_call *c; cr_image_change how; } job;

static void block(void *context, int64_t index, int worker) {
  const job *j = context;
  const cr_call *c = j->c;
  const cr_image_change *how = &j->how;
  int64_t B = c->out[0]->shape[0], rows = rows_a_block(how), begin = index * rows;
  int64_t after = begin + rows, end = after < B ? after : B;
  real *scratch = (real *)c->scratch + (size_t)worker * cr_kernel_image_change_scratch(how);
  for (int64_t i = begin; i < end; i++) {
    int64_t row = c->in[ROWS] ? cr_ints(c->in[ROWS])[i] : i + 1;
    int64_t sample = c->in[SAMPLES] ? cr_ints(c->in[SAMPLES])[i] : row;
    const uint8_t *in = cr_bytes(c->in[IMAGES]) + (row - 1) * how->C * how->H * how->W;
    cr_kernel_image_change(how, in, sample, cr_reals(c->out[0]) + i * how->C * how->h * how->w,
                           scratch);
  }
}

static void forward(cr_call *c) {
  job j = { .c = c };
  cr_augment_how(c->option, c->list, c->in[IMAGES], &j.how, NULL);
  int64_t B = c->out[0]->shape[0], rows = rows_a_block(&j.how);
  cr_pool_run((B + rows - 1) / rows, block, &j);
}

const cr_op cr_data_augment = {
  .name = "augment", .help = "rows of byte images as reals, changed at random",
  .inputs = inputs, .outputs = outputs, .options = options,
  .check = check, .forward = forward,
};
