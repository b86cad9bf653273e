/* face_model.c - the random part of a drawn face: traits of a person, circumstances of a picture
 *
 * A trait is uniform over [low, high] apart from what it shares with two hidden numbers, sex and
 * age, which give the traits the company they keep in people: a heavy brow with a wide jaw, grey
 * hair with a high hairline. */
#include "kernels/face_model.h"

#include <math.h>
#include <stdbool.h>
#include "base/rng.h"

static const struct { float low, high, by_sex, by_age; } range[FACE_TRAITS] = {
  [FACE_WIDTH]        = { 0.60f, 0.82f, 0.2f, 0 },         /* half-width at the temples */
  [FACE_FOREHEAD]     = { 0.90f, 1.03f, 0, 0 },            /* temples against width */
  [FACE_CROWN]        = { 1.05f, 1.25f, 0, 0 },            /* height of the skull above v = 0 */
  [FACE_CHEEK]        = { 0.90f, 1.06f, 0, 0.3f },         /* at the cheekbones, against width */
  [FACE_JAW]          = { 0.76f, 1.00f, 0.4f, 0.2f },      /* at the mouth */
  [FACE_CHIN_WIDTH]   = { 0.54f, 0.88f, 0.4f, 0 },         /* near the chin */
  [FACE_CHIN_LENGTH]  = { 0.90f, 1.16f, 0.2f, 0 },         /* v of its lowest point */
  [FACE_CHIN_BUMP]    = { 0.00f, 0.09f, 0.3f, 0 },
  [FACE_CHEEKBONE]    = { 0.00f, 0.08f, -0.1f, -0.2f },
  [FACE_SKIN]         = { 0.42f, 0.92f, 0, 0 },            /* albedo */
  [FACE_AGE]          = { 0.00f, 1.00f, 0, 0.8f },         /* depth of lines */
  [FACE_NECK]         = { 0.36f, 0.52f, 0.6f, 0 },
  [FACE_HAIR_TONE]    = { 0.05f, 0.80f, 0, 0.4f },      /* against skin */
  [FACE_HAIRLINE]     = { -1.02f, -0.34f, -0.2f, -0.5f },  /* v of the hairline above the nose */
  /* its bow: falls (or, receding, rises) to the sides */
  [FACE_HAIR_ARCH]    = { -0.35f, 0.75f, 0, -0.2f },
  [FACE_HAIR_PART]    = { -0.38f, 0.38f, 0, 0 },           /* its slope: hair combed to one side */
  [FACE_HAIR_TOP]     = { 0.03f, 0.26f, -0.2f, -0.3f },    /* thickness */
  [FACE_HAIR_SIDE]    = { 0.01f, 0.24f, -0.5f, -0.1f },
  [FACE_HAIR_LENGTH]  = { -0.30f, 1.50f, -0.9f, -0.2f },   /* v where it ends */
  /* u where it comes down beside the face */
  [FACE_HAIR_TEMPLE]  = { 0.36f, 0.64f, 0, 0.2f },
  [FACE_HAIR_CURL]    = { 0.00f, 1.00f, 0, 0 },
  [FACE_BROW_LEVEL]   = { 0.15f, 0.27f, -0.2f, 0 },        /* above the eyes */
  [FACE_BROW_WEIGHT]  = { 0.018f, 0.070f, 0.6f, 0 },       /* half-thickness */
  [FACE_BROW_LENGTH]  = { 0.15f, 0.23f, 0, 0 },
  [FACE_BROW_ARCH]    = { 0.00f, 0.10f, -0.4f, 0 },
  [FACE_BROW_TILT]    = { -0.06f, 0.07f, 0, 0 },
  [FACE_BROW_RIDGE]   = { 0.00f, 0.09f, 0.5f, 0.1f },
  [FACE_EYE_LEVEL]    = { -0.19f, -0.03f, 0, 0 },
  [FACE_EYE_SPACING]  = { 0.27f, 0.38f, 0, 0 },            /* from the middle to the pupil */
  [FACE_EYE_SIZE]     = { 0.145f, 0.205f, -0.3f, 0 },      /* half-width */
  [FACE_EYE_OPEN]     = { 0.36f, 0.66f, -0.3f, -0.2f },    /* height against width */
  [FACE_EYE_TILT]     = { -0.16f, 0.28f, 0, -0.2f },       /* outer corner up */
  [FACE_EYE_DEPTH]    = { 0.01f, 0.08f, 0.3f, 0.3f },
  [FACE_IRIS]         = { 0.05f, 0.45f, 0, 0 },
  [FACE_LID]          = { 0.00f, 1.00f, 0, 0.3f },         /* crease above, bag below */
  [FACE_NOSE_LENGTH]  = { 0.36f, 0.54f, 0.1f, 0.2f },      /* below the eyes */
  [FACE_NOSE_WIDTH]   = { 0.10f, 0.19f, 0.2f, 0.1f },      /* half-width at the wings */
  [FACE_NOSE_BRIDGE]  = { 0.015f, 0.065f, 0.2f, 0 },         /* height between the eyes */
  [FACE_NOSE_TIP]     = { 0.11f, 0.23f, 0.2f, 0.1f },      /* height at the tip */
  [FACE_MOUTH_LEVEL]  = { 0.18f, 0.30f, 0, 0 },            /* below the nose */
  [FACE_MOUTH_WIDTH]  = { 0.20f, 0.36f, 0.1f, 0 },
  [FACE_MOUTH_CURVE]  = { -0.05f, 0.05f, 0, -0.2f },       /* corners up */
  [FACE_LIP_UPPER]    = { 0.022f, 0.095f, -0.4f, -0.4f },
  [FACE_LIP_LOWER]    = { 0.035f, 0.130f, -0.3f, -0.3f },
  [FACE_LIP_TONE]     = { 0.48f, 0.86f, 0.3f, 0 },         /* against skin */
  [FACE_EAR_SIZE]     = { 0.17f, 0.29f, 0.2f, 0.3f },
  [FACE_EAR_OUT]      = { 0.02f, 0.11f, 0.1f, 0 },
  [FACE_MOLE_U]       = { -0.50f, 0.50f, 0, 0 },
  [FACE_MOLE_V]       = { 0.05f, 0.85f, 0, 0 },
  /* shows when above 0: two people in five */
  [FACE_MOLE]         = { -1.50f, 1.00f, 0, 0 },
};

static double clamp01(double x) { return x < 0 ? 0 : x > 1 ? 1 : x; }

void cr_kernel_face_traits(uint64_t seed, uint64_t identity, float trait[FACE_TRAITS]) {
  cr_rng rng = cr_rng_at(seed, cr_rng_hash("faces.identity"), identity);
  double sex = cr_rng_uniform(&rng), age = cr_rng_uniform(&rng);
  sex = clamp01(1.6 * sex - 0.3);                          /* fewer in between */
  for (int i = 0; i < FACE_TRAITS; i++) {
    double t = cr_rng_uniform(&rng) + range[i].by_sex * (sex - 0.5) + range[i].by_age * (age - 0.5);
    trait[i] = (float)(range[i].low + (range[i].high - range[i].low) * clamp01(t));
  }
  trait[FACE_HAIR_TONE] *= trait[FACE_SKIN];
}

/* One part of the view: its own stream, at this picture's place */
static cr_rng part(uint64_t seed, const char *name, uint64_t place) {
  return cr_rng_at(seed, cr_rng_hash(name), place);
}

static float spread(cr_rng *rng, double by) { return (float)cr_rng_range(rng, -by, by); }

static bool happens(cr_rng *rng, double probability) { return cr_rng_uniform(rng) < probability; }

static void draw_light(cr_rng rng, double dial, cr_face_view *view) {
  double across = dial * cr_rng_range(&rng, -0.55, 0.55);  /* radians */
  double above = 0.35 + dial * cr_rng_range(&rng, -0.30, 0.30);
  view->light[0] = (float)(sin(across) * cos(above));
  view->light[1] = (float)-sin(above);
  view->light[2] = (float)(cos(across) * cos(above));
  view->ambient = (float)(0.48 + dial * cr_rng_range(&rng, -0.08, 0.10));
  view->diffuse = (float)(0.68 + dial * cr_rng_range(&rng, -0.14, 0.14));
  view->exposure = (float)exp2(dial * cr_rng_range(&rng, -0.14, 0.16));
}

static void draw_expression(cr_rng rng, double dial, cr_face_view *view) {
  view->smile = (float)fmin(1.5, dial * cr_rng_range(&rng, -0.35, 1.0));
  double open = cr_rng_range(&rng, -0.5, 1.0);             /* most mouths are shut */
  view->open = (float)(dial * (open > 0 ? open * open : 0));
  view->brow = (float)(dial * cr_rng_range(&rng, -0.6, 1.0));
  double lids = cr_rng_range(&rng, -0.25, 0.55);
  if (happens(&rng, 0.06)) lids = 1.2;                     /* a blink */
  view->lids = (float)(dial * lids);
  view->gaze_u = (float)dial * spread(&rng, 0.5);
  view->gaze_v = (float)dial * spread(&rng, 0.12);
}

static void draw_spectacles(cr_rng rng, double dial, cr_face_view *view) {
  view->spectacles = happens(&rng, 0.25 * dial);
  view->rim = (float)cr_rng_range(&rng, 0.012, 0.032);
  view->lens_round = (float)cr_rng_uniform(&rng);
  view->tint = happens(&rng, 0.2) ? (float)cr_rng_range(&rng, 0.6, 0.95) : 0;
}

static void draw_beard(cr_rng rng, double dial, cr_face_view *view) {
  bool any = happens(&rng, 0.22 * dial);
  double kind = cr_rng_uniform(&rng), cover = cr_rng_range(&rng, 0.35, 0.95);
  if (!any) return;
  view->moustache = (float)(kind < 0.8 ? cover : 0);
  view->goatee = (float)(kind > 0.25 ? cover : 0);
  view->beard = (float)(kind > 0.5 ? cover : 0);
}

void cr_kernel_face_view(uint64_t seed, uint64_t identity, uint64_t image,
                         const double dial[FACE_DIALS], cr_face_view *view) {
  uint64_t place = identity << 32 | (image & 0xFFFFFFFFu);
  *view = (cr_face_view){ .noise_seed = seed, .place = place };
  cr_rng rng = part(seed, "faces.shift", place);
  view->shift_u = spread(&rng, 0.07 * dial[FACE_SHIFT]);
  view->shift_v = spread(&rng, 0.06 * dial[FACE_SHIFT]);
  rng = part(seed, "faces.scale", place);
  view->scale = (float)exp2(cr_rng_range(&rng, -0.12, 0.10) * dial[FACE_SCALE]);
  rng = part(seed, "faces.rotation", place);
  view->rotation = spread(&rng, 0.10 * dial[FACE_ROTATION]);
  rng = part(seed, "faces.turn", place);
  view->yaw = (float)fmax(-1.2, fmin(1.2, cr_rng_range(&rng, -0.28, 0.28) * dial[FACE_TURN]));
  view->pitch = (float)fmax(-0.5, fmin(0.5, cr_rng_range(&rng, -0.12, 0.13) * dial[FACE_TURN]));
  draw_light(part(seed, "faces.light", place), dial[FACE_LIGHT], view);
  draw_expression(part(seed, "faces.expression", place), dial[FACE_EXPRESSION], view);
  draw_spectacles(part(seed, "faces.spectacles", place), dial[FACE_SPECTACLES], view);
  draw_beard(part(seed, "faces.beard", place), dial[FACE_BEARD], view);
  rng = part(seed, "faces.cap", place);
  view->cap = happens(&rng, 0.12 * dial[FACE_CAP]);
  view->cap_tone = (float)cr_rng_range(&rng, 0.06, 0.8);
  view->noise = (float)(0.015 * dial[FACE_NOISE]);
  rng = part(seed, "faces.background", place);
  view->back = 0.5f + (float)dial[FACE_BACKGROUND] * spread(&rng, 0.12);
  view->back_slope_u = (float)dial[FACE_BACKGROUND] * spread(&rng, 0.06);
  view->back_slope_v = (float)dial[FACE_BACKGROUND] * spread(&rng, 0.06);
  view->clothes = 0.4f + (float)dial[FACE_BACKGROUND] * spread(&rng, 0.18);
}
