/* face_draw.c - draws a face: a height field with painted features, lit and supersampled
 *
 * The head is a stack of ellipses, one for each height v, with half-axes w(v) across and d(v) to
 * the front, so the point of the turned head seen through a pixel has a closed form. With yaw a,
 * c = cos a, s = sin a, a point (u, z) of the slice is seen at p = u c + z s, at depth
 * y = z c - u s, hence
 *
 *   y = (-b + sqrt(k - p^2 / (w d)^2)) / k
 *   k = s^2/w^2 + c^2/d^2      b = p s c (1/d^2 - 1/w^2)
 *
 * and p lies on the head when p^2 < c^2 w^2 + s^2 d^2. Nodding by e couples the slices,
 * q = v cos e + y sin e: three steps of a fixed point find v. Hair is a second such stack.
 *
 * Pass 1, row by row, four samples a pixel: where each sample meets head and hair, then the layers
 * from back to front; each paints albedo and cover and may raise the height. Features are functions
 * of (u, v) on the skin, so they follow the turn, narrow with it and slide over each other as the
 * nose does.
 * Pass 2: normals by differences of the height, Lambert light and a little gloss, shadows by
 * marching from each sample towards the lamp over the height field, mean of the samples, noise.
 *
 * One file, because layers share the row and the scene, and because all of it is compiled as one
 * vector function. */
#include "kernels/face_model.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>
#include "base/real.h"
#include "base/rng.h"

/* No fused multiply-adds: the plain, AVX2 and AVX-512 clones then draw the same bits on every
 * processor. */
#pragma GCC optimize("fp-contract=off")

#define LAYER static inline __attribute__((always_inline))

enum {
  SAMPLES = 2,                              /* across and down a pixel */
  SIDE = SAMPLES * CR_FACE_MAX_SIZE,
  /* columns and rows around the height field that shadows may look at */
  MARGIN = 24,
  TABLE = 256, PROFILE_HEAD = 0, PROFILE_HAIR = 1,
  MARCH = 9                                 /* steps to the lamp */
};

static const float TABLE_TOP = -2, TABLE_PER_UNIT = TABLE / 4, BEHIND = -0.9f;

/* w(v)^2 and d(v)^2; negative above the crown and below the chin, which gives an edge to smooth */
typedef struct profile { float w2[TABLE], d2[TABLE]; } profile;

typedef struct scene {
  float t[FACE_TRAITS];
  cr_face_view view;
  profile head, hair;
  float yaw_sin, yaw_cos, nod_sin, nod_cos, nod_tan, roll_sin, roll_cos;
  /* of samples, in head units; half-width of a soft edge */
  float spacing, soft;
  float chin, eye_v, nose_v, mouth_v, brow_v, mouth_half;
  int side, stride;
  /* planes of side x side, the height with MARGIN around */
  float *height, *albedo, *cover;
} scene;

typedef struct row {
  float p[SIDE], q[SIDE];                   /* seen from the front, in head units */
  float u[SIDE], v[SIDE], z[SIDE], y[SIDE]; /* on the head; y: towards the viewer */
  float edge[SIDE];                         /* > 0 on the head, about the distance to its outline */
  float hair_v[SIDE], hair_y[SIDE], hair_edge[SIDE];
  float skin[SIDE];                         /* cover of bare skin of the head */
  float height[SIDE], albedo[SIDE], cover[SIDE];
  /* range of v on the head; highest > lowest where the row misses it */
  float highest, lowest;
} row;

LAYER float least(float a, float b) { return a < b ? a : b; }
LAYER float most(float a, float b) { return a > b ? a : b; }
LAYER float clamp(float x, float low, float high) { return least(most(x, low), high); }
LAYER float magnitude(float x) { return x < 0 ? -x : x; }
LAYER float mix(float a, float b, float t) { return a + (b - a) * t; }
/* 0 below -soft, 1 above soft, smooth between */
LAYER float rise(float x, float soft) {
  float t = clamp(0.5f + 0.5f * x / soft, 0, 1);
  return t * t * (3 - 2 * t);
}
/* a smooth hill of height 1 over the unit disc, from the square of the distance */
LAYER float hill(float r2) {
  float t = most(1 - r2, 0);
  return t * t;
}
/* a wave of period 1 between -1 and 1 */
LAYER float wave(float x) {
  float t = x - (float)(int)(x + 64) + 64;  /* fraction, x > -64 */
  float k = 4 * t * (1 - t);
  return 2 * k * k - 1;
}
LAYER float square(float x) { return x * x; }

/* ---- outlines -------------------------------------------------------------------------------- */

/* Catmull-Rom through n knots (v rising), level outside */
static float through(const float *at, const float *value, int n, float v) {
  if (v <= at[0]) return value[0];
  if (v >= at[n - 1]) return value[n - 1];
  int k = 0;
  while (v > at[k + 1]) k++;
  int before = k > 0 ? k - 1 : k, after = k + 2 < n ? k + 2 : k + 1;
  float width = at[k + 1] - at[k], t = (v - at[k]) / width;
  float m0 = (value[k + 1] - value[before]) / (at[k + 1] - at[before]) * width;
  float m1 = (value[after] - value[k]) / (at[after] - at[k]) * width;
  float t2 = t * t, t3 = t2 * t;
  return (2*t3 - 3*t2 + 1) * value[k] + (t3 - 2*t2 + t) * m0 + (3*t2 - 2*t3) * value[k + 1]
      + (t3 - t2) * m1;
}

static float head_width2(const scene *s, float v) {
  const float *t = s->t, temple_v = -0.45f, chin = s->chin;
  const float temple = t[FACE_WIDTH] * t[FACE_FOREHEAD], cheek = t[FACE_WIDTH] * t[FACE_CHEEK];
  const float at[] = { temple_v, 0.05f, 0.58f, chin - 0.10f, chin + 0.2f };
  const float jaw = cheek * t[FACE_JAW] * 0.96f, point = jaw * t[FACE_CHIN_WIDTH];
  const float width[] = { temple, cheek, jaw, point, point * 0.6f };
  if (v < temple_v) {
    float k = (temple_v - v) / (t[FACE_CROWN] + temple_v);
    return temple * temple * (k < 1 ? powf(1 - powf(k, 2.4f), 0.83f) : 1 - k);
  }
  float w = through(at, width, 5, v), k = v > 0 ? v / chin : 0;
  return w * w * (1 - powf(k, 7));
}

static float head_depth2(const scene *s, float v) {
  float k = v < -0.1f ? (-0.1f - v) / (s->t[FACE_CROWN] - 0.1f) : v > 0 ? v / s->chin : 0;
  return 0.70f * (1 - powf(k, v < 0 ? 2.6f : 9));
}

/* Hair: the skull stretched upwards by the top thickness and outwards by the side one, ending in a
 * rounded hem */
static void hair_profile(const scene *s, float v, float *w2, float *d2) {
  const float *t = s->t, crown = t[FACE_CROWN], cap = s->view.cap;
  float top = mix(t[FACE_HAIR_TOP], 0.10f, cap), side = t[FACE_HAIR_SIDE],
      hem = t[FACE_HAIR_LENGTH];
  if (cap > 0 && v < -0.3f) side = 0.05f;
  float skull_v = v < 0 ? v * crown / (crown + top) : v;
  float inner2 = head_width2(s, skull_v), inner = sqrtf(most(inner2, 0));
  float full = t[FACE_WIDTH];
  float hangs = mix(inner, most(inner, full * 0.98f), clamp(4 * v, 0, 1));  /* straight down */
  float w = (v < 0 ? inner : hangs) + inner / full * side;
  float k = clamp((v - (hem - 0.45f)) / 0.45f, 0, 4);
  *w2 = inner2 < 0 && v < 0 ? inner2 : w * w * (1 - k * k * k);
  float depth2 = head_depth2(s, clamp(skull_v, -crown, 0.3f));
  float d = sqrtf(most(depth2, 0)) + 0.05f + 0.5f * side;
  *d2 = d * d * (1 - k * k * k);
}

static void outline(scene *s) {
  for (int i = 0; i < TABLE; i++) {
    float v = TABLE_TOP + (float)i / TABLE_PER_UNIT;
    s->head.w2[i] = head_width2(s, v);
    s->head.d2[i] = head_depth2(s, v);
    hair_profile(s, v, &s->hair.w2[i], &s->hair.d2[i]);
  }
}

/* ---- where samples meet head and hair -------------------------------------------------------- */

LAYER void look_up(const profile *of, float v, float *w2, float *d2) {
  float x = (v - TABLE_TOP) * TABLE_PER_UNIT;
  int i = (int)x;
  float f = x - (float)i;
  *w2 = mix(of->w2[i], of->w2[i + 1], f);
  *d2 = mix(of->d2[i], of->d2[i + 1], f);
}

/* depth of the slice (w2, d2) at p; off the slice, of its outline */
LAYER float meet(float p, float w2, float d2, float s, float c) {
  float iw = 1 / most(w2, 0.01f), id = 1 / most(d2, 0.01f);
  float k = s * s * iw + c * c * id, b = p * s * c * (id - iw);
  return (sqrtf(most(k - p * p * iw * id, 0)) - b) / k;
}

LAYER void intersect(const scene *s, const profile *restrict of, const float *restrict p,
                     const float *restrict q, int steps, float *restrict v, float *restrict y,
                     float *restrict edge) {
  const int n = s->side;
  const float sy = s->yaw_sin, cy = s->yaw_cos, sn = s->nod_sin, inverse = 1 / s->nod_cos;
  for (int i = 0; i < n; i++) v[i] = (q[i] - 0.45f * sn) * inverse;
  for (int k = 0; k <= steps; k++) {
    for (int i = 0; i < n; i++) v[i] = clamp(v[i], TABLE_TOP, -TABLE_TOP - 0.05f);
    for (int i = 0; i < n; i++) {
      float w2, d2;
      look_up(of, v[i], &w2, &d2);
      float depth = meet(p[i], w2, d2, sy, cy);
      y[i] = depth;
      edge[i] = (cy * cy * w2 + sy * sy * d2 - p[i] * p[i]) / (2 * magnitude(p[i]) + 0.35f);
      v[i] = k < steps ? (q[i] - depth * sn) * inverse : v[i];
    }
  }
}

LAYER void aim(const scene *s, row *r, int line) {
  const int n = s->side;
  const float middle = 0.5f * (float)(n - 1), step = s->spacing * s->view.scale;
  const float su = s->view.shift_u, sv = s->view.shift_v, inverse = 1 / s->view.scale;
  const float rs = s->roll_sin, rc = s->roll_cos, down = ((float)line - middle) * step - sv;
  for (int i = 0; i < n; i++) {
    float across = ((float)i - middle) * step - su;
    r->p[i] = (across * rc + down * rs) * inverse;
    r->q[i] = (down * rc - across * rs) * inverse - 0.06f;
  }
  intersect(s, &s->head, r->p, r->q, 3, r->v, r->y, r->edge);
  intersect(s, &s->hair, r->p, r->q, 1, r->hair_v, r->hair_y, r->hair_edge);
  for (int i = 0; i < n; i++) {
    r->u[i] = r->p[i] * s->yaw_cos - r->y[i] * s->yaw_sin;
    r->z[i] = r->p[i] * s->yaw_sin + r->y[i] * s->yaw_cos;
  }
  r->highest = 9, r->lowest = -9;
  for (int i = 0; i < n; i++) {
    float on = r->edge[i] > -s->soft ? 0.0f : 9.0f;
    r->highest = least(r->highest, r->v[i] + on), r->lowest = most(r->lowest, r->v[i] - on);
  }
}

/* whether anything between these v is on the row */
LAYER bool touches(const row *r, float from, float to) {
  return r->highest < to && r->lowest > from;
}

/* ---- layers, from back to front -------------------------------------------------------------- */

LAYER void background(const scene *s, row *r, int line) {
  const float tone = s->view.back, du = s->view.back_slope_u, dv = s->view.back_slope_v;
  const float across = 2 / (float)s->side, down = across * (float)line - 1;
  for (int i = 0; i < s->side; i++) {
    r->albedo[i] = tone + du * (across * (float)i - 1) + dv * down;
    r->height[i] = BEHIND;
    r->cover[i] = 0;
  }
}

LAYER void lay(row *r, int i, float tone, float height, float cover) {
  r->albedo[i] = mix(r->albedo[i], tone, cover);
  r->height[i] = mix(r->height[i], height, cover);
  r->cover[i] = most(r->cover[i], cover);
}

LAYER void neck(const scene *s, row *r) {
  const float wide = s->t[FACE_NECK], tone = s->t[FACE_SKIN] * 0.86f, soft = s->soft;
  for (int i = 0; i < s->side; i++) {
    float p = r->p[i], q = r->q[i], half = wide + 0.3f * square(most(q - 0.9f, 0));
    lay(r, i, tone, sqrtf(most(half * half - p * p, 0)) - 0.45f,
        rise(half - magnitude(p), soft) * rise(q - 0.3f, soft));
  }
}

LAYER void clothes(const scene *s, row *r) {
  const float neck = s->t[FACE_NECK], tone = s->view.clothes, soft = s->soft;
  for (int i = 0; i < s->side; i++) {
    float p = r->p[i], q = r->q[i];
    float collar = q - 1.10f - 0.20f * hill(square(p / (neck + 0.12f)))
                 - 0.22f * square(most(magnitude(p) - neck, 0));
    lay(r, i, tone, -0.15f - 0.25f * p * p, rise(collar, soft));
  }
}

LAYER float strands(const scene *s, float u, float v) {
  const float curl = s->t[FACE_HAIR_CURL];
  float bend = 0.16f * curl * wave(1.7f * v + 0.8f * u) + 0.1f * curl * wave(3.1f * u - 2.3f * v);
  return wave(4.5f * (u + bend) + 1.1f * v * curl) * 0.6f + 0.4f * wave(9.7f * (u - bend) + 0.31f);
}

LAYER float hair_tone(const scene *s, float u, float v) {
  return s->t[FACE_HAIR_TONE] * (1 + 0.13f * strands(s, u, v)) + 0.012f;
}

LAYER void hair_behind(const scene *s, row *r) {
  const float soft = s->soft;
  for (int i = 0; i < s->side; i++)
    lay(r, i, hair_tone(s, r->p[i], r->q[i]), r->hair_y[i], rise(r->hair_edge[i], soft));
}

LAYER void head(const scene *s, row *r) {
  const float soft = s->soft, tone = s->t[FACE_SKIN];
  for (int i = 0; i < s->side; i++) {
    r->skin[i] = rise(r->edge[i], soft);
    lay(r, i, tone, r->y[i], r->skin[i]);
  }
}

LAYER void bumps(const scene *s, row *r) {
  if (!touches(r, s->brow_v - 0.2f, s->chin + 0.1f)) return;
  const float *t = s->t;
  const float eye_u = t[FACE_EYE_SPACING], eye_v = s->eye_v, brow_v = s->brow_v,
      smile = s->view.smile;
  const float socket = t[FACE_EYE_DEPTH], ridge = t[FACE_BROW_RIDGE], bone = t[FACE_CHEEKBONE];
  const float chin = t[FACE_CHIN_BUMP], chin_v = s->chin - 0.13f, mouth_v = s->mouth_v;
  const float upper = t[FACE_LIP_UPPER], lower = t[FACE_LIP_LOWER], half = s->mouth_half,
      ball = t[FACE_EYE_SIZE];
  for (int i = 0; i < s->side; i++) {
    float u = r->u[i], v = r->v[i], side = magnitude(u), raised = 0;
    raised -= socket * hill(square((side - eye_u + 0.03f) / 0.22f)
        + square((v - eye_v + 0.02f) / 0.17f));
    raised += 0.05f * hill(square((side - eye_u) / (ball * 0.95f))
        + square((v - eye_v) / (ball * 0.8f)));
    raised += ridge * hill(square((side - 0.24f) / 0.36f) + square((v - brow_v) / 0.12f));
    raised += (bone + 0.03f * most(smile, 0)) * hill(square((side - 0.42f) / 0.26f)
        + square((v - 0.18f) / 0.22f));
    raised += chin * hill(square(u / 0.20f) + square((v - chin_v) / 0.16f));
    raised -= 0.04f * hill(square(u / 0.22f)
        + square((v - 0.5f * (mouth_v + chin_v) - 0.02f) / 0.09f));
    raised += 0.05f * hill(square(u / (half * 1.5f)) + square((v - mouth_v) / 0.24f));
    raised += 0.6f * upper * hill(square(u / half)
        + square((v - mouth_v + upper) / (upper + 0.03f)));
    raised += 0.6f * lower * hill(square(u / half)
        + square((v - mouth_v - lower) / (lower + 0.03f)));
    r->height[i] += raised * r->skin[i];
  }
}

/* The nose: a ridge that rises from bridge to tip. Its base stays on the face, its ridge slides as
 * the head turns. */
LAYER void nose(const scene *s, row *r) {
  if (!touches(r, s->eye_v - 0.3f, s->nose_v + 0.3f)) return;
  const float *t = s->t;
  const float wide = t[FACE_NOSE_WIDTH], bridge = t[FACE_NOSE_BRIDGE], tip = t[FACE_NOSE_TIP];
  const float slide = s->yaw_sin / s->yaw_cos, from = s->eye_v - 0.10f, soft = s->soft;
  const float to = s->nose_v - 0.04f + 0.5f * tip * s->nod_tan, length = to - from;
  const float flare = 1 + 0.12f * most(s->view.smile, 0), base_v = s->nose_v;
  for (int i = 0; i < s->side; i++) {
    float u = r->u[i], v = r->v[i], k = (v - from) / length, inside = clamp(k, 0, 1);
    float grown = bridge + (tip - bridge) * inside * inside * (0.4f + 0.6f * inside);
    float fade = hill(square(most(-k * length / 0.24f, 0)))
        * hill(square(most((v - to) / 0.15f, 0)));
    float high = grown * fade;
    float half = (0.12f + (wide - 0.10f) * square(inside)) * flare;
    float top = clamp(high * slide * 0.8f, -0.85f * half, 0.85f * half);
    float across = u < top ? (top - u) / (top + half) : (u - top) / (half - top);
    float wing_u = magnitude(u - 0.3f * top) - 0.82f * half;
    float wing = 0.07f * hill(square(wing_u / 0.09f) + square((v - base_v + 0.02f) / 0.085f));
    r->height[i] += r->skin[i] * most(high * hill(square(across)), wing);
    /* a crease around each wing, the dark underside, two nostrils */
    float around = square(wing_u / 0.085f) + square((v - base_v + 0.02f) / 0.095f);
    float crease = hill(square((around - 1) / 0.7f)) * rise(wing_u + 0.02f, 0.04f)
        * rise(v - base_v + 0.09f, 0.05f);
    float under = hill(square((u - 0.5f * top) / (half * 1.05f))
        + square((v - base_v - 0.045f) / 0.05f));
    float hole = magnitude(u - 0.4f * top) - 0.48f * half;
    float nostril = hill(square(hole / (0.42f * half + soft))
        + square((v - base_v - 0.025f) / 0.048f));
    float dark = 0.30f * crease + 0.26f * under + 0.62f * nostril;
    float flank = hill(square((magnitude(u - 0.5f * top) - half) / 0.06f)) * inside * fade;
    r->albedo[i] -= r->skin[i] * r->albedo[i] * least(dark + 0.07f * flank, 0.8f);
  }
}

LAYER void lines(const scene *s, row *r) {
  if (!touches(r, -0.9f, s->chin)) return;
  const float *t = s->t;
  const float age = t[FACE_AGE], lid = t[FACE_LID], eye_u = t[FACE_EYE_SPACING], eye_v = s->eye_v,
      wide = t[FACE_NOSE_WIDTH];
  const float smile = most(s->view.smile, 0), fold = 0.10f + 0.20f * age + 0.14f * smile,
      brow = most(s->view.brow, 0);
  const float nose_v = s->nose_v, mouth_v = s->mouth_v, half = s->mouth_half,
      forehead = 0.11f * age + 0.09f * brow * age;
  const float mole_u = t[FACE_MOLE_U], mole_v = t[FACE_MOLE_V],
      mole = 0.7f * clamp(5 * t[FACE_MOLE], 0, 1);
  for (int i = 0; i < s->side; i++) {
    float u = r->u[i], v = r->v[i], side = magnitude(u), dark = 0;
    float k = (v - nose_v + 0.06f) / (mouth_v - nose_v + 0.12f);
    float at = mix(wide + 0.05f, half + 0.075f, k) + 0.04f * k * (1 - k);
    dark += fold * hill(square((side - at) / 0.055f)) * hill(square(2 * k - 1) * 0.8f);
    dark += (0.07f + 0.17f * lid * (0.4f + age)) * hill(square((side - eye_u + 0.03f) / 0.17f)
        + square((v - eye_v - 0.13f) / 0.06f));
    dark += 0.18f * hill(square((side - 0.06f) / 0.10f) + square((v - eye_v + 0.03f) / 0.14f));
    dark += forehead * (0.5f + 0.5f * wave(v * 7.5f)) * hill(square(u / 0.5f)
        + square((v - eye_v + 0.5f) / 0.24f));
    dark += mole * hill((square(u - mole_u) + square(v - mole_v)) / 0.0026f);
    r->albedo[i] *= 1 - r->skin[i] * least(dark, 0.75f);
  }
}

LAYER void eyes(const scene *s, row *r) {
  if (!touches(r, s->eye_v - 0.3f, s->eye_v + 0.25f)) return;
  const float *t = s->t;
  const float eye_u = t[FACE_EYE_SPACING], eye_v = s->eye_v, half = t[FACE_EYE_SIZE],
      tilt = t[FACE_EYE_TILT], soft = s->soft;
  const float tall = half * t[FACE_EYE_OPEN], shut = clamp(s->view.lids, -0.3f, 1);
  const float upper = tall * 1.15f * (1 - shut), iris_r = 0.078f;
  const float lower = tall * 0.75f * (1 - 0.25f * most(s->view.smile, 0));
  const float gaze_u = s->view.gaze_u * 0.05f - 0.03f * s->yaw_sin,
      gaze_v = s->view.gaze_v * 0.04f - 0.25f * tall;
  const float iris = t[FACE_IRIS], skin = t[FACE_SKIN], white = 0.55f + 0.3f * skin,
      lid = t[FACE_LID];
  for (int i = 0; i < s->side; i++) {
    float sign = r->u[i] < 0 ? -1.0f : 1.0f;
    float x = sign * r->u[i] - eye_u, y = r->v[i] - eye_v + tilt * x, k = x / half;
    float arch = most(1 - k * k, 0), skewed = arch * (1 - 0.18f * k);
    float top = -upper * skewed + shut * 0.55f * lower, bottom = lower * arch;
    bottom = most(bottom, top + 0.004f);
    float inside = rise(least(y - top, bottom - y), soft) * rise(half - magnitude(x), soft);
    float gx = x - sign * gaze_u, gy = y - gaze_v, from = sqrtf(gx * gx + gy * gy + 1e-8f);
    float tone = mix(white, iris, rise(iris_r - from, soft));
    tone = mix(tone, 0.02f, rise(iris_r * 0.45f - from, soft));
    float glint = rise(0.024f - magnitude(gx + 0.03f) - magnitude(gy + 0.03f), soft);
    tone = mix(tone, 0.95f, 0.7f * glint);
    /* the lid's own shadow */
    tone *= 1 - 0.35f * rise(top + 0.05f - y, 0.05f);
    float in = r->skin[i] * inside;
    r->albedo[i] = mix(r->albedo[i], tone, in);
    float reach = rise(half * 1.06f - magnitude(x), 0.04f) * r->skin[i];
    float lash = hill(square((y - top + 0.006f) / 0.042f)) * reach;
    float below = hill(square((y - bottom) / 0.03f)) * reach;
    float crease = hill(square((y - top + 0.065f + 0.03f * lid) / 0.035f)) * reach;
    r->albedo[i] *= 1 - least(0.78f * lash + 0.24f * below + (0.08f + 0.24f * lid) * crease, 0.85f);
  }
}

LAYER void brows(const scene *s, row *r) {
  if (!touches(r, s->brow_v - 0.3f, s->brow_v + 0.2f)) return;
  const float *t = s->t;
  const float length = t[FACE_BROW_LENGTH], middle = t[FACE_EYE_SPACING] + 0.02f,
      weight = t[FACE_BROW_WEIGHT];
  const float arch = t[FACE_BROW_ARCH] + 0.02f * s->view.brow, tilt = t[FACE_BROW_TILT],
      level = s->brow_v, soft = s->soft;
  const float tone = least(t[FACE_HAIR_TONE] * 0.8f, 0.6f * t[FACE_SKIN]),
      cover = 0.62f + 4 * weight;
  for (int i = 0; i < s->side; i++) {
    float x = magnitude(r->u[i]) - middle, k = x / length, bow = most(1 - k * k, 0);
    float line = level - arch * bow - tilt * k - 0.02f;
    float thick = weight * (1 - 0.45f * clamp(k, -0.6f, 1)) * sqrtf(bow);
    float hair = rise(thick - magnitude(r->v[i] - line), soft + 0.012f) * rise(bow, 0.2f);
    r->albedo[i] = mix(r->albedo[i], tone, least(cover, 0.92f) * hair * r->skin[i]);
  }
}

LAYER void mouth(const scene *s, row *r) {
  if (!touches(r, s->mouth_v - 0.25f, s->chin)) return;
  const float *t = s->t;
  const float half = s->mouth_half, level = s->mouth_v, smile = s->view.smile,
      open = 0.17f * s->view.open, soft = s->soft;
  const float upper = t[FACE_LIP_UPPER] * (1 - 0.25f * most(smile, 0)),
      lower = t[FACE_LIP_LOWER] * (1 - 0.2f * most(smile, 0));
  const float curve = t[FACE_MOUTH_CURVE] + 0.075f * smile, skin = t[FACE_SKIN];
  const float lip = skin * t[FACE_LIP_TONE], teeth = rise(smile + s->view.open - 0.7f, 0.4f);
  const float parted = rise(open - 0.01f, 0.012f);
  for (int i = 0; i < s->side; i++) {
    float u = r->u[i], k = magnitude(u) / half, bow = most(1 - k * k, 0), full = sqrtf(bow);
    /* 0 on the line between the lips */
    float y = r->v[i] - level + curve * k * k;
    float cupid = 1 - 0.3f * hill(square(u / (0.28f * half)));
    float top = -upper * cupid * (0.45f * full + 0.55f * bow), gap = open * bow,
        bottom = gap + lower * (0.6f * full + 0.4f * bow);
    float ends = rise(1 - k, 0.12f);
    float lips = rise(least(y - top, bottom - y), soft) * ends * r->skin[i];
    float tone = lip * (0.96f + 0.10f * clamp(y * 50, -1, 1));
    r->albedo[i] = mix(r->albedo[i], tone, lips);
    float inner = rise(least(y, gap - y), soft) * ends * r->skin[i] * parted;
    float bite = rise(0.06f * teeth + 0.4f * gap * teeth - y, soft) * teeth;
    r->albedo[i] = mix(r->albedo[i], mix(0.05f, 0.85f, bite), inner);
    float line = hill(square(y / 0.03f)) * rise(1.08f - k, 0.08f) * (1 - inner) * r->skin[i];
    float corner = hill(square((k - 1.02f) / 0.16f) + square(y / 0.06f)) * r->skin[i];
    float beneath = hill(square(u / (half * 0.8f)) + square((y - bottom - 0.045f) / 0.05f))
        * r->skin[i];
    r->albedo[i] *= 1 - least(0.62f * line + 0.3f * corner + 0.16f * beneath, 0.8f);
  }
}

LAYER void beard(const scene *s, row *r) {
  if (!touches(r, 0, 3)) return;
  const float moustache = s->view.moustache, goatee = s->view.goatee, full = s->view.beard,
      half = s->mouth_half;
  if (moustache + goatee + full <= 0) return;
  const float level = s->mouth_v, nose_v = s->nose_v, chin = s->chin, lower = s->t[FACE_LIP_LOWER],
      open = 0.17f * s->view.open;
  const float tone = most(s->t[FACE_HAIR_TONE] * 0.8f, 0.03f),
      jaw = s->t[FACE_WIDTH] * s->t[FACE_CHEEK], smile = s->view.smile;
  for (int i = 0; i < s->side; i++) {
    float u = r->u[i], v = r->v[i], side = magnitude(u), k = side / half;
    float y = v - level + 0.075f * smile * k * k;
    float above = nose_v + 0.09f + 0.10f * k * k;
    float lips = rise(lower + open + 0.02f - magnitude(y - 0.5f * (lower + open)), 0.03f)
        * rise(1.05f - k, 0.1f);
    float lip_hair = moustache * rise(least(v - above, level - 0.05f + 0.14f * k * k - v), 0.03f)
        * rise(1.25f - k, 0.12f);
    float chin_hair = goatee * rise(1 - square(u / (0.72f * half + 0.05f))
        - square((v - chin + 0.02f) / 0.24f), 0.3f);
    float line = mix(chin - 0.18f, 0.12f, rise(side - 0.72f * jaw, 0.20f * jaw));
    float jaw_hair = full * rise(v - line - 0.05f, 0.10f) * rise(v - 0.02f, 0.1f);
    float hair = most(most(lip_hair, chin_hair), jaw_hair) * (1 - lips) * r->skin[i];
    r->albedo[i] = mix(r->albedo[i], tone * (1 + 0.2f * wave(13 * u + 3 * v)), hair);
    r->height[i] += 0.03f * hair;
  }
}

LAYER void ears(const scene *s, row *r) {
  const float *t = s->t;
  const float tall = t[FACE_EAR_SIZE], out = t[FACE_EAR_OUT], skin = t[FACE_SKIN] * 0.95f,
      soft = s->soft;
  const float seen = rise(0.25f - t[FACE_HAIR_LENGTH] - 0.5f * t[FACE_HAIR_SIDE], 0.12f);
  const float width = t[FACE_WIDTH] * t[FACE_CHEEK], back = -0.06f, level = 0.03f;
  if (seen <= 0) return;
  for (int k = -1; k <= 1; k += 2) {
    /* > 0: the ear turned towards us */
    float sign = (float)k, near = -sign * s->yaw_sin;
    float depth = back * s->yaw_cos + near * width;
    float at_p = sign * (width + 0.35f * out) * s->yaw_cos + back * s->yaw_sin,
        at_q = level * s->nod_cos + depth * s->nod_sin;
    float wide = most(out * s->yaw_cos + 0.13f * near + 0.035f, 0.02f);
    for (int i = 0; i < s->side; i++) {
      float x = sign * (r->p[i] - at_p), y = r->q[i] - at_q;
      x += 0.18f * y;                                                         /* wider above */
      float r2 = square(x / wide) + square(y / tall);
      float cover = rise((1 - r2) * wide * 0.5f, soft) * seen * (near > 0.05f ? 1 : 1 - r->skin[i]);
      float shell = hill((square((x + 0.25f * wide) / (0.6f * wide))
          + square((y + 0.1f * tall) / (0.62f * tall))));
      lay(r, i, skin * (1 - 0.30f * shell), depth + 0.06f * hill(r2) - 0.03f * shell, cover);
      r->skin[i] *= 1 - cover;
      /* hair passes behind it */
      r->edge[i] = mix(r->edge[i], -1, cover);
    }
  }
}

LAYER void hair_in_front(const scene *s, row *r) {
  const float *t = s->t;
  const float line = t[FACE_HAIRLINE], arch = t[FACE_HAIR_ARCH], part = t[FACE_HAIR_PART],
      temple = t[FACE_HAIR_TEMPLE];
  const float hem = t[FACE_HAIR_LENGTH], width = t[FACE_WIDTH], soft = s->soft,
      scale = 0.7f / width;
  for (int i = 0; i < s->side; i++) {
    float side = (magnitude(r->u[i]) + most(-2 * r->z[i], 0)) * scale, u = r->u[i] * scale;
    float down = line + arch * u * u + part * u * hill(square(u / 1.2f))
        + 16 * square(most(side - temple, 0));
    float ragged = 0.018f * strands(s, r->u[i], 0.3f);
    /* no seam of skin at the outline */
    float hair = rise(least(down - r->v[i], hem + 0.1f - r->v[i]) + ragged, soft + 0.025f)
        * rise(r->edge[i] + 2 * soft, soft);
    /* thin at the hairline: no step there */
    float thick = rise(down - r->v[i] - 0.16f, 0.17f);
    float outer = most(r->hair_edge[i] > 0 ? r->hair_y[i] : 0, r->y[i] + 0.02f);
    float high = mix(r->y[i] + 0.012f, outer, thick);
    lay(r, i, hair_tone(s, r->u[i], r->v[i]), high, hair);
    r->skin[i] *= 1 - hair;
  }
}

LAYER void spectacles(const scene *s, row *r) {
  if (s->view.spectacles <= 0) return;
  const float stand = 0.10f, slide = stand * s->yaw_sin / s->yaw_cos, drop = stand * s->nod_tan,
      soft = s->soft;
  const float eye_u = s->t[FACE_EYE_SPACING] + 0.01f, eye_v = s->eye_v + 0.03f, rim = s->view.rim,
      tint = s->view.tint;
  const float half = least(eye_u - 0.055f, 0.25f), round = s->view.lens_round, tone = 0.07f;
  const float tall = half * mix(0.68f, 0.95f, round);
  for (int i = 0; i < s->side; i++) {
    float on = rise(r->edge[i], soft) * (r->z[i] > 0 ? 1.0f : 0.0f);
    float u = r->u[i] - slide, side = magnitude(u), x = (side - eye_u) / half,
        y = (r->v[i] - drop - eye_v) / tall;
    float x2 = x * x, y2 = y * y, ellipse = sqrtf(x2 + y2 + 1e-6f),
        box = sqrtf(sqrtf(x2 * x2 + y2 * y2 + 1e-6f));
    float d = (mix(box, ellipse, round) - 1) * 0.5f * (half + tall);
    float ring = rise(rim - magnitude(d), soft), lens = rise(-d, soft);
    float bridge = rise(rim - magnitude(y * tall + 0.3f * tall), soft)
        * rise(eye_u - half - side, soft);
    float arm = rise(rim - magnitude(y * tall + 0.25f * tall), soft)
        * rise(side - eye_u - half, soft);
    r->albedo[i] = mix(r->albedo[i], 0.05f, lens * tint * on);
    r->albedo[i] = mix(r->albedo[i], 0.9f, 0.07f * lens * on * rise(0.4f - x - y, 0.3f));
    float frame = most(most(ring, bridge), arm) * on;
    lay(r, i, tone, r->height[i] + 0.05f, frame);
  }
}

LAYER void cap(const scene *s, row *r) {
  if (s->view.cap <= 0) return;
  const float tone = s->view.cap_tone, level = least(s->brow_v - 0.20f, -0.42f), soft = s->soft;
  const float width = s->t[FACE_WIDTH], slide = 0.28f * s->yaw_sin / s->yaw_cos;
  for (int i = 0; i < s->side; i++) {
    float on = most(rise(r->hair_edge[i], soft), rise(r->edge[i], soft));
    float v = r->edge[i] > 0 ? r->v[i] : r->hair_v[i], u = r->u[i];
    float band = rise(level + 0.12f * u * u - v, soft) * on;
    float seam = 1 - 0.12f * hill(square(u / 0.03f));
    lay(r, i, tone * seam, most(r->hair_y[i], r->y[i] + 0.04f), band);
    float x = (u - slide) / (width * 0.98f), bow = most(1 - x * x, 0);
    float brim = rise(least(v - level + 0.03f, level + 0.03f + 0.15f * sqrtf(bow) - v), soft)
        * rise(bow, 0.1f);
    brim *= r->z[i] > 0 ? r->skin[i] + (1 - r->skin[i]) * on : 0;
    lay(r, i, tone * 0.8f, r->y[i] + 0.24f * bow, brim);
  }
}

LAYER void paint(const scene *s, row *r, int line) {
  aim(s, r, line);
  background(s, r, line);
  clothes(s, r);
  hair_behind(s, r);
  neck(s, r);
  head(s, r);
  bumps(s, r);
  nose(s, r);
  lines(s, r);
  eyes(s, r);
  brows(s, r);
  mouth(s, r);
  beard(s, r);
  ears(s, r);
  hair_in_front(s, r);
  spectacles(s, r);
  cap(s, r);
  const int n = s->side;
  memcpy(s->albedo + line * n, r->albedo, (size_t)n * sizeof(float));
  memcpy(s->cover + line * n, r->cover, (size_t)n * sizeof(float));
  float *height = s->height + (line + MARGIN) * s->stride + MARGIN;
  memcpy(height, r->height, (size_t)n * sizeof(float));
  /* no slope across the frame of the picture */
  height[-1] = height[0], height[n] = height[n - 1];
}

/* ---- light ----------------------------------------------------------------------------------- */

/* How much of the lamp each sample of a line sees: the highest thing between, against the ray, with
 * a soft border */
LAYER void shadow(const scene *s, int line, float *lit) {
  const float lx = s->view.light[0], ly = s->view.light[1], lz = most(s->view.light[2], 0.1f);
  const float flat = sqrtf(lx * lx + ly * ly), reach = 0.42f / s->spacing;     /* samples */
  const float *here = s->height + (line + MARGIN) * s->stride + MARGIN;
  for (int i = 0; i < s->side; i++) lit[i] = 0;
  if (flat > 0.05f) {
    const float bound = least(reach, MARGIN - 1);
    for (int k = 1; k <= MARCH; k++) {
      float far = bound * (float)(k * k) / (float)(MARCH * MARCH) + 1;
      int dx = (int)lrintf(far * lx / flat), dy = (int)lrintf(far * ly / flat);
      dx = dx > MARGIN ? MARGIN : dx < -MARGIN ? -MARGIN : dx;
      dy = dy > MARGIN ? MARGIN : dy < -MARGIN ? -MARGIN : dy;
      float away = sqrtf((float)(dx * dx + dy * dy)) * s->spacing, ray = away * lz / flat;
      float hardness = 1 / (0.015f + 0.35f * away);
      const float *there = here + dy * s->stride + dx;
      for (int i = 0; i < s->side; i++)
        lit[i] = most(lit[i], (there[i] - here[i] - ray) * hardness);
    }
  }
  for (int i = 0; i < s->side; i++) lit[i] = 1 - clamp(lit[i], 0, 1);
}

LAYER void shade(const scene *s, int line, float *out) {
  const int n = s->side;
  const float lx = s->view.light[0], ly = s->view.light[1], lz = s->view.light[2],
      gain = s->view.exposure;
  const float ambient = s->view.ambient, diffuse = s->view.diffuse, per = 0.5f / s->spacing;
  const float hx = lx, hy = ly, hz = lz + 1, half = 1 / sqrtf(hx * hx + hy * hy + hz * hz);
  const float *at = s->height + (line + MARGIN) * s->stride + MARGIN,
      *albedo = s->albedo + line * n, *cover = s->cover + line * n;
  const float *above = line > 0 ? at - s->stride : at, *below = line < n - 1 ? at + s->stride : at;
  float lit[SIDE];
  shadow(s, line, lit);
  for (int i = 0; i < n; i++) {
    float nx = clamp((at[i - 1] - at[i + 1]) * per, -2, 2),
        ny = clamp((above[i] - below[i]) * per, -2, 2);
    float inverse = 1 / sqrtf(nx * nx + ny * ny + 1);
    float facing = most((nx * lx + ny * ly + lz) * inverse, 0);
    float gloss = most((nx * hx + ny * hy + hz) * inverse * half, 0);
    gloss *= gloss, gloss *= gloss, gloss *= gloss, gloss *= gloss;
    float light = ambient * (0.55f + 0.45f * inverse) + diffuse * facing * lit[i];
    float value = gain * (albedo[i] * light + 0.07f * diffuse * gloss * lit[i]);
    out[i] = mix(albedo[i], value, cover[i]);
  }
}

/* Sum of the four bytes of a random word: nearly normal, standard deviation 147.8 */
static float bell(uint32_t word) {
  int sum = (int)(word & 255) + (int)(word >> 8 & 255) + (int)(word >> 16 & 255)
      + (int)(word >> 24);
  return (float)(sum - 510) * (1 / 147.8f);
}

CR_VECTOR void cr_kernel_face_samples(const void *of, void *work) {
  const scene *s = of;
  row *r = work;
  for (int line = 0; line < s->side; line++) paint(s, r, line);
}

CR_VECTOR void cr_kernel_face_lines(const void *of, int from, float *out) {
  const scene *s = of;
  for (int k = 0; k < SAMPLES; k++) shade(s, from + k, out + k * s->side);
}

/* ---- the picture ----------------------------------------------------------------------------- */

static void compose(scene *s, const float *trait, const cr_face_view *view, int size) {
  memcpy(s->t, trait, sizeof s->t);
  s->view = *view;
  s->side = SAMPLES * size;
  s->stride = s->side + 2 * MARGIN;
  s->spacing = 2 * CR_FACE_FRAME / ((float)s->side * view->scale);
  s->soft = 0.9f * s->spacing;
  s->yaw_sin = sinf(view->yaw), s->yaw_cos = cosf(view->yaw);
  s->nod_sin = sinf(view->pitch), s->nod_cos = cosf(view->pitch), s->nod_tan = tanf(view->pitch);
  s->roll_sin = sinf(view->rotation), s->roll_cos = cosf(view->rotation);
  s->eye_v = trait[FACE_EYE_LEVEL];
  s->nose_v = s->eye_v + trait[FACE_NOSE_LENGTH];
  s->mouth_v = s->nose_v + trait[FACE_MOUTH_LEVEL];
  s->brow_v = s->eye_v - trait[FACE_BROW_LEVEL] - 0.05f * view->brow;
  float jaw = trait[FACE_WIDTH] * trait[FACE_CHEEK] * trait[FACE_JAW];
  s->mouth_half = least(trait[FACE_MOUTH_WIDTH], 0.62f * jaw)
      * (1 + 0.18f * view->smile - 0.10f * view->open);
  float least_chin = s->mouth_v + trait[FACE_LIP_LOWER] + 0.21f;
  s->chin = most(trait[FACE_CHIN_LENGTH], least_chin) + 0.10f * view->open;
  outline(s);
}

static size_t plane(int side) { return (size_t)side * (size_t)side * sizeof(float); }
static size_t padded(int side) { return plane(side + 2 * MARGIN); }

size_t cr_kernel_face_scratch(int size) {
  int side = SAMPLES * size;
  return sizeof(scene) + sizeof(row) + 2 * plane(side) + padded(side) + 64;
}

void cr_kernel_face_draw(const float trait[FACE_TRAITS], const cr_face_view *view, int size,
                         void *scratch, uint8_t *image) {
  scene *s = scratch;
  row *r = (row *)(s + 1);
  compose(s, trait, view, size);
  s->albedo = (float *)(r + 1);
  s->cover = s->albedo + s->side * s->side;
  s->height = s->cover + s->side * s->side;
  for (int64_t i = 0; i < (int64_t)s->stride * s->stride; i++) s->height[i] = BEHIND;
  cr_kernel_face_samples(s, r);

  cr_rng rng = cr_rng_at(view->noise_seed, cr_rng_hash("faces.noise"), view->place);
  float *lines_of = r->p;                   /* SAMPLES rows side by side: p and q are free now */
  for (int y = 0; y < size; y++) {
    cr_kernel_face_lines(s, y * SAMPLES, lines_of);
    for (int x = 0; x < size; x++) {
      const float *a = lines_of + x * SAMPLES, *b = a + s->side;
      float grey = 0.25f * (a[0] + a[1] + b[0] + b[1]);
      if (view->noise > 0) grey += view->noise * bell(cr_rng_u32(&rng));
      image[y * size + x] = (uint8_t)(clamp(grey, 0, 1) * 255 + 0.5f);
    }
  }
}
