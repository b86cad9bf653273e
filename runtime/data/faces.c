/* faces.c - the face set that ships with crun: drawn, not stored
 *
 *   images, labels = crun.data.faces { identities = 200, per_identity = 20, first = 1, seed = 1 }
 *
 *   images  uint8 [N 1 S S]   N = identities x per_identity, the images of one person side by side
 *   labels  int64 [N]         the number of the person: first .. first + identities - 1
 *
 * A picture is a pure function of (seed, person, image number, dials): the same whatever else is
 * drawn beside it, in whatever order, by any number of threads, in either precision. So people 201
 * to 260 drawn alone are those of a larger set, and first_image = 21 goes on where per_identity =
 * 20 ended. A dial scales one circumstance of the picture: 0 off, 1 as designed; the three
 * accessories take it as a factor of how often they appear. With every dial at 0 all pictures of a
 * person are equal. kernels/face_model.h has the traits, kernels/face_draw.c the drawing. */
#include "autograd/op.h"
#include "base/pool.h"
#include "kernels/face_model.h"

enum { IMAGES, LABELS };
enum { IDENTITIES, PER_IDENTITY, FIRST, SEED, SIZE, FIRST_IMAGE, DIALS };
enum { IMAGES_A_BLOCK = 4 };

#define WHOLE 9007199254740992.0            /* 2^53 */

static const cr_input inputs[] = { { 0 } };

static const cr_output outputs[] = {
  [IMAGES] = { "images", NULL, CR_TBYTE },
  [LABELS] = { "labels", NULL, CR_TINT },
  { 0 }
};

static const cr_option options[] = {
  [IDENTITIES]   = { "identities", 200, 1, 1e7, "how many people", CR_COUNT },
  [PER_IDENTITY] = { "per_identity", 20, 1, 1e7, "pictures of each", CR_COUNT },
  [FIRST]        = { "first", 1, 1, 4e9, "number of the first person", CR_COUNT },
  [SEED]         = { "seed", 1, 0, WHOLE, "another seed, other people", CR_COUNT },
  [SIZE]         = { "size", 64, 8, CR_FACE_MAX_SIZE, "pixels each way", CR_COUNT },
  [FIRST_IMAGE]  = { "first_image", 1, 1, 4e9, "number of each person's first picture", CR_COUNT },
  [DIALS + FACE_SHIFT]      = { "shift", 1, 0, 2, "dial: place in the frame" },
  [DIALS + FACE_SCALE]      = { "scale", 1, 0, 2, "dial: size in the frame" },
  [DIALS + FACE_ROTATION]   = { "rotation", 1, 0, 2, "dial: tilt in the plane" },
  [DIALS + FACE_TURN]       = { "turn", 1, 0, 2, "dial: turn and nod of the head" },
  [DIALS + FACE_LIGHT]      = { "light", 1, 0, 2, "dial: direction and strength of the light" },
  [DIALS + FACE_EXPRESSION] = { "expression", 1, 0, 2, "dial: mouth, brows, eyelids, gaze" },
  [DIALS + FACE_SPECTACLES] = { "spectacles", 1, 0, 4,
      "dial: how often, 1 is every fourth picture" },
  [DIALS + FACE_BEARD]      = { "beard", 1, 0, 4, "dial: how often, 1 is 22 pictures in 100" },
  [DIALS + FACE_CAP]        = { "cap", 1, 0, 8, "dial: how often, 1 is 12 pictures in 100" },
  [DIALS + FACE_NOISE]      = { "noise", 1, 0, 8, "dial: grain of the picture" },
  [DIALS + FACE_BACKGROUND] = { "background", 1, 0, 2,
      "dial: tones behind the head and of the clothes" },
  { 0 }
};

static int64_t count_of(const cr_call *c, int option) { return (int64_t)c->option[option]; }

static bool check(cr_call *c, cr_error *err) {
  int64_t n = count_of(c, IDENTITIES) * count_of(c, PER_IDENTITY), size = count_of(c, SIZE), all;
  int64_t shape[] = { n, 1, size, size };
  if (!cr_shape_numel(4, shape, &all))
    return cr_fail(err, CR_EVALUE, "%lld people with %lld pictures each are too many",
                   (long long)count_of(c, IDENTITIES), (long long)count_of(c, PER_IDENTITY));
  cr_out_shape(c, IMAGES, 4, shape);
  cr_out_shape(c, LABELS, 1, &n);
  c->scratch_bytes = (size_t)cr_pool_threads() * cr_kernel_face_scratch((int)size);
  return true;
}

static void block(void *context, int64_t index, int worker) {
  cr_call *c = context;
  int64_t per = count_of(c, PER_IDENTITY), n = count_of(c, IDENTITIES) * per;
  int64_t begin = index * IMAGES_A_BLOCK, after = begin + IMAGES_A_BLOCK;
  int64_t end = after < n ? after : n;
  int size = (int)c->option[SIZE];
  uint64_t seed = (uint64_t)c->option[SEED];
  uint8_t *image = cr_bytes(c->out[IMAGES]);
  char *scratch = (char *)c->scratch + (size_t)worker * cr_kernel_face_scratch(size);

  for (int64_t i = begin; i < end; i++) {
    uint64_t person = (uint64_t)(count_of(c, FIRST) + i / per);
    uint64_t picture = (uint64_t)(count_of(c, FIRST_IMAGE) + i % per);
    float trait[FACE_TRAITS];
    cr_face_view view;
    cr_kernel_face_traits(seed, person, trait);
    cr_kernel_face_view(seed, person, picture, &c->option[DIALS], &view);
    cr_kernel_face_draw(trait, &view, size, scratch, image + i * size * size);
    cr_ints(c->out[LABELS])[i] = (int64_t)person;
  }
}

static void forward(cr_call *c) {
  int64_t n = count_of(c, IDENTITIES) * count_of(c, PER_IDENTITY);
  cr_pool_run((n + IMAGES_A_BLOCK - 1) / IMAGES_A_BLOCK, block, c);
}

const cr_op cr_data_faces = {
  .name = "faces", .help = "draws grey faces: pictures and the number of the person on each",
  .inputs = inputs, .outputs = outputs, .options = options,
  .check = check, .forward = forward,
};
