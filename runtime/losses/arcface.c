/* arcface.c - additive angular margin softmax
 *
 *   l_i = log sum_c exp(u_c) - u_y       u_c = scale cos theta_c
 *                                        u_y = scale cos(theta_y + margin)
 *
 * theta_c is the angle of the embedding with the weights of class c. Past theta_y = pi - margin,
 * where that cosine would rise again, u_y = scale (cos theta_y - margin sin margin).
 *
 * embeddings [B D], labels [B] class numbers from 1, weights [C D], item_weights? [B] multiply the
 * rows' losses; reduction mean (over the rows), sum, none.
 *
 * Cost: B C D, memory a tile of rows by C (autograd/class_loss.h).
 * An embedding exactly along its weights (theta 0) has no direction to turn in: that part of its
 * gradient is 0 here, nan or infinite elsewhere. */
#include <math.h>

#include "autograd/class_loss.h"

enum { MARGIN, SCALE, REDUCTION };

static const cr_option options[] = {
  [MARGIN] = { "margin", 28.6, 0, 90,
    "what is added to the angle with the class, in degrees", CR_NUMBER, NULL, false },
  [SCALE] = { "scale", 64, 0, 1e6,
    "what similarities are multiplied by", CR_NUMBER, NULL, false },
  [REDUCTION] = CR_REDUCTION_OPTION,
  { 0 }
};

static cr_class_settings settings(const cr_call *c) {
  return (cr_class_settings){
    .row = cr_class_softmax, .reduction = (int)c->option[REDUCTION], .metric = CR_COSINE,
    .scale = c->option[SCALE], .margin = c->option[MARGIN] * M_PI / 180,
    .target = cr_class_angle,
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

const cr_op cr_loss_arcface = {
  .name = "arcface",
  .help = "softmax over cosines, the angle with the class made larger by a margin",
  .formula = "mean of log sum_c exp(scale cos_c) - scale cos_y, with cos(theta_y + margin) for "
             "cos_y",
  .paper = "Deng, Guo, Xue, Zafeiriou, \"ArcFace: additive angular margin loss for deep face "
           "recognition\", CVPR 2019, eq. 3",
  .differs =
    "pytorch-metric-learning gives nan for an embedding exactly along its weights",
  .inputs = cr_class_inputs, .outputs = cr_class_outputs, .options = options,
  .stats = cr_class_stats, .check = check, .forward = forward, .backward = backward,
};
