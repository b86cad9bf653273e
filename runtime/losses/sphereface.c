/* sphereface.c - multiplicative angular margin softmax with normalised weights, A-softmax
 *
 *   l_i = log sum_c exp(u_c) - u_y       u_c = scale |x_i| cos theta_c
 *                                        u_y = scale |x_i| psi(theta_y)
 *
 *   psi(theta) = (-1)^k cos(margin theta) - 2k     k = floor(margin theta / pi)
 *
 * falls all the way from 1 at theta = 0. It is worked out as a polynomial in cos theta, so its
 * slope is finite at theta = 0 and pi.
 *
 * embeddings [B D], labels [B] class numbers from 1, weights [C D], item_weights? [B] multiply the
 * rows' losses; reduction mean (over the rows), sum, none.
 *
 * Cost: B C D, memory a tile of rows by C (autograd/class_loss.h).
 * An embedding of length 0 has gradient 0. */
#include "autograd/class_loss.h"

enum { MARGIN, SCALE, REDUCTION };

static const cr_option options[] = {
  [MARGIN] = { "margin", 4, 1, 100,
    "what the angle with the class is multiplied by", CR_COUNT, NULL, false },
  [SCALE] = { "scale", 1, 0, 1e6,
    "what similarities are multiplied by", CR_NUMBER, NULL, false },
  [REDUCTION] = CR_REDUCTION_OPTION,
  { 0 }
};

static cr_class_settings settings(const cr_call *c) {
  return (cr_class_settings){
    .row = cr_class_softmax, .reduction = (int)c->option[REDUCTION], .metric = CR_COSINE,
    .scale = c->option[SCALE], .margin = c->option[MARGIN], .target = cr_class_multiple,
    .norm = CR_NORM_EMBEDDING,
  };
}

static bool check(cr_call *c, cr_error *err) {
  cr_class_settings s = settings(c);
  return cr_class_check(c, &s, err);
}

static void forward(cr_call *c) {
  cr_class_settings s = settings(c);
  cr_class_forward(c, &s);
}

static void backward(cr_call *c) {
  cr_class_settings s = settings(c);
  cr_class_backward(c, &s);
}

const cr_op cr_loss_sphereface = {
  .name = "sphereface",
  .help = "softmax over |x| cos theta, the angle with the class multiplied by a margin",
  .formula = "mean of log sum_c exp(u_c) - u_y, u_c = scale |x| cos theta_c, "
           "u_y = scale |x| psi(theta_y)",
  .paper = "Liu and others, \"SphereFace: deep hypersphere embedding for face recognition\", "
           "CVPR 2017, eq. 6",
  .differs =
    "the paper anneals from plain softmax (its lambda); schedule scale or margin instead",
  .inputs = cr_class_inputs, .outputs = cr_class_outputs, .options = options,
  .stats = cr_class_stats, .check = check, .forward = forward, .backward = backward,
};
