/* face_model.h - what a drawn face is: who it is, and how it happens to be seen
 *
 * A person is FACE_TRAITS numbers drawn from (seed, identity). A picture of that person is a
 * cr_face_view drawn from (seed, identity, image), each part from a random stream of its own, so
 * that one dial moves one thing. Lengths are in head units: u to the right, v down, z to the
 * viewer, the eyes near v = -0.1, the chin near v = 1; a picture shows -CR_FACE_FRAME ..
 * CR_FACE_FRAME both ways. The renderer is float in both builds of the engine: the data are the
 * same whatever the precision of the training. */
#ifndef CR_KERNELS_FACE_MODEL_H
#define CR_KERNELS_FACE_MODEL_H

#include <stddef.h>
#include <stdint.h>

#define CR_FACE_FRAME 1.24f

enum {                                   /* traits of a person */
  FACE_WIDTH, FACE_FOREHEAD, FACE_CROWN, FACE_CHEEK, FACE_CHEEKBONE, FACE_SKIN, FACE_AGE, FACE_NECK,
  FACE_JAW, FACE_CHIN_WIDTH, FACE_CHIN_LENGTH, FACE_CHIN_BUMP,
  FACE_HAIR_TONE, FACE_HAIRLINE, FACE_HAIR_ARCH, FACE_HAIR_PART, FACE_HAIR_TOP, FACE_HAIR_SIDE,
  FACE_HAIR_LENGTH, FACE_HAIR_TEMPLE, FACE_HAIR_CURL,
  FACE_BROW_LEVEL, FACE_BROW_WEIGHT, FACE_BROW_LENGTH, FACE_BROW_ARCH, FACE_BROW_TILT,
  FACE_BROW_RIDGE,
  FACE_EYE_LEVEL, FACE_EYE_SPACING, FACE_EYE_SIZE, FACE_EYE_OPEN, FACE_EYE_TILT, FACE_EYE_DEPTH,
  FACE_IRIS, FACE_LID,
  FACE_NOSE_LENGTH, FACE_NOSE_WIDTH, FACE_NOSE_BRIDGE, FACE_NOSE_TIP,
  FACE_MOUTH_LEVEL, FACE_MOUTH_WIDTH, FACE_MOUTH_CURVE, FACE_LIP_UPPER, FACE_LIP_LOWER,
  FACE_LIP_TONE,
  FACE_EAR_SIZE, FACE_EAR_OUT, FACE_MOLE_U, FACE_MOLE_V, FACE_MOLE,
  FACE_TRAITS
};

enum {                                   /* dials: 0 off, 1 as designed */
  FACE_SHIFT, FACE_SCALE, FACE_ROTATION, FACE_TURN, FACE_LIGHT, FACE_EXPRESSION,
  FACE_SPECTACLES, FACE_BEARD, FACE_CAP, FACE_NOISE, FACE_BACKGROUND,
  FACE_DIALS
};

typedef struct cr_face_view {
  float shift_u, shift_v, scale, rotation, yaw, pitch;
  float light[3], ambient, diffuse, exposure;            /* light: unit vector towards the lamp */
  /* lids: 0 as this person has them, 1 shut */
  float smile, open, brow, lids, gaze_u, gaze_v;
  /* spectacles: 0 or 1; tint 0 clear, 1 black */
  float spectacles, rim, lens_round, tint;
  float moustache, goatee, beard;                        /* cover of each, 0 none */
  float cap, cap_tone;
  float noise;
  float back, back_slope_u, back_slope_v, clothes;
  uint64_t noise_seed, place;
} cr_face_view;

void cr_kernel_face_traits(uint64_t seed, uint64_t identity, float trait[FACE_TRAITS]);
void cr_kernel_face_view(uint64_t seed, uint64_t identity, uint64_t image,
                         const double dial[FACE_DIALS], cr_face_view *view);

/* Draws size x size grey bytes, 8 <= size <= CR_FACE_MAX_SIZE. scratch:
 * cr_kernel_face_scratch(size) bytes. */
enum { CR_FACE_MAX_SIZE = 256 };
size_t cr_kernel_face_scratch(int size);
void cr_kernel_face_draw(const float trait[FACE_TRAITS], const cr_face_view *view, int size,
                         void *scratch, uint8_t *image);

#endif
