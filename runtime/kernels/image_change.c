/* image_change.c - see image_change.h */
#include "kernels/image_change.h"

#include <math.h>
#include "base/rng.h"
#include "kernels/image.h"

typedef struct change {                     /* what happens to one row */
  double map[6];                            /* window pixel to image pixel, see kernels/image.h */
  bool moves;
  double contrast, brightness, saturation, sigma;
  bool erases;
  int64_t top, left, height, width;         /* of the rectangle */
} change;

/* window -> image: middle of the window to that of the cropped part, moved back, turned back,
 * shrunk, mirrored */
static void draw_map(const cr_image_change *s, cr_rng *rng, change *to) {
  bool mirrored = cr_rng_uniform(rng) < s->flip;
  double move_x = cr_rng_range(rng, -1, 1) * s->shift * (double)s->W;
  double move_y = cr_rng_range(rng, -1, 1) * s->shift * (double)s->H;
  double size = exp(cr_rng_range(rng, -1, 1) * log1p(s->scale));
  double angle = cr_rng_range(rng, -1, 1) * s->rotation * 0.017453292519943295;
  double slack_x = (double)(s->W - s->w), slack_y = (double)(s->H - s->h);
  double at_x = floor(cr_rng_uniform(rng) * (slack_x + 1));
  double at_y = floor(cr_rng_uniform(rng) * (slack_y + 1));
  if (s->crop_centre) at_x = floor(slack_x / 2), at_y = floor(slack_y / 2);

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

static void draw_erase(const cr_image_change *s, cr_rng *rng, change *to) {
  to->erases = cr_rng_uniform(rng) < s->erase;
  double area = cr_rng_uniform(rng) * s->erase_area * (double)(s->h * s->w);
  double aspect = exp(cr_rng_range(rng, -1, 1) * 1.0986122886681098);      /* ln 3 */
  double place_y = cr_rng_uniform(rng), place_x = cr_rng_uniform(rng);
  to->height = (int64_t)fmin((double)s->h, floor(sqrt(area * aspect) + 0.5));
  to->width = (int64_t)fmin((double)s->w, floor(sqrt(area / aspect) + 0.5));
  to->top = (int64_t)(place_y * (double)(s->h - to->height + 1));
  to->left = (int64_t)(place_x * (double)(s->w - to->width + 1));
}

static change draw(const cr_image_change *s, int64_t sample) {
  cr_rng rng = cr_rng_at(s->seed, cr_rng_hash("augment") + s->epoch, (uint64_t)sample);
  change to;
  draw_map(s, &rng, &to);
  to.contrast = 1 + cr_rng_range(&rng, -1, 1) * s->contrast;
  to.brightness = cr_rng_range(&rng, -1, 1) * s->brightness;
  to.sigma = cr_rng_uniform(&rng) * s->blur;
  draw_erase(s, &rng, &to);
  to.saturation = 1 + cr_rng_range(&rng, -1, 1) * s->saturation;
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

/* differences of the three colours from their grey, times a factor */
static void saturate(real *x, int64_t n, real factor) {
  real *red = x, *green = x + n, *blue = x + 2 * n;
  for (int64_t i = 0; i < n; i++) {
    real grey = (real)0.299 * red[i] + (real)0.587 * green[i] + (real)0.114 * blue[i];
    for (real *p = x + i; p < x + 3 * n; p += n) {
      real value = grey + factor * (*p - grey);
      value = value > 0 ? value : 0;
      *p = value < 1 ? value : 1;
    }
  }
}

/* steps 1 and 2 */
static void move_plane(const cr_image_change *s, const change *to, const uint8_t *in, real centre,
                       real *out, real *scratch) {
  int64_t n = s->h * s->w;
  if (to->moves) {
    cr_kernel_image_unpack(in, s->H, s->W, scratch);
    cr_kernel_image_warp(scratch, s->H, s->W, to->map, s->h, s->w, out,
                         scratch + (s->H + 1) * (s->W + 1));
  } else {
    for (int64_t i = 0; i < n; i++) out[i] = (real)in[i] / (real)255;
  }
  if (to->contrast != 1 || to->brightness != 0)
    tone(out, n, centre, (real)to->contrast, (real)to->brightness);
}

/* steps 3 to 5 */
static void finish_plane(const cr_image_change *s, const change *to, real centre, real *out,
                         real *scratch) {
  int64_t n = s->h * s->w;
  if (to->sigma > 0) cr_kernel_image_blur(out, s->h, s->w, to->sigma, scratch);
  if (to->erases)
    for (int64_t y = to->top; y < to->top + to->height; y++)
      for (int64_t x = to->left; x < to->left + to->width; x++) out[y * s->w + x] = centre;
  real mean = (real)s->mean, deviation = (real)s->std;
  if (mean != 0 || deviation != 1)
    for (int64_t i = 0; i < n; i++) out[i] = (out[i] - mean) / deviation;
}

size_t cr_kernel_image_change_scratch(const cr_image_change *s) {
  int64_t n = (s->H + 1) * (s->W + 1) + 2 * s->w + cr_kernel_image_blur_scratch(s->h, s->w);
  return (size_t)(n + 15) / 16 * 16;
}

void cr_kernel_image_change(const cr_image_change *s, const uint8_t *in, int64_t sample, real *out,
                            real *scratch) {
  change to = draw(s, sample);
  int64_t n = s->h * s->w;
  real centre = to.erases || to.contrast != 1 ? mean_of(in, s->C * s->H * s->W) : 0;
  for (int64_t k = 0; k < s->C; k++)
    move_plane(s, &to, in + k * s->H * s->W, centre, out + k * n, scratch);
  if (s->C == 3 && to.saturation != 1) saturate(out, n, (real)to.saturation);
  for (int64_t k = 0; k < s->C; k++) finish_plane(s, &to, centre, out + k * n, scratch);
}
