/* cosface.c - additive cosine margin softmax, also known as AM-softmax
 *
 *   l_i = log sum_c exp(u_c) - u_y       u_c = scale cos theta_c
 *                                        u_y = scale (cos theta_y - margin)
 *
 * embeddings [B D], labels [B] class numbers from 1, weights [C D], item_weights? [B] multiply the
 * rows' losses; reduction mean (over the rows), sum, none.
 *
 * Cost: B C D, memory a tile of rows by C (autograd/class_loss.h). */
#include "autograd/class_loss.h"

enum { MARGIN, SCALE, REDUCTION };

static const cr_option options[] = {
  [MARGIN] = { "margin", 0.35, -1, 2,
    "what is taken from the cosine with the class", CR_NUMBER, NULL, false },
  [SCALE] = { "scale", 64, 0, 1e6,
    "what similarities are multiplied by", CR_NUMBER, NULL, false },
  [REDUCTION] = CR_REDUCTION_OPTION,
  { 0 }
};

static cr_class_settings settings(const cr_call *c) {
  return (cr_class_settings){
    .row = cr_class_softmax, .reduction = (int)c->option[REDUCTION], .metric = CR_COSINE,
    .scale = c->option[SCALE], .margin = c->option[MARGIN], .target = cr_class_minus,
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

const cr_op cr_loss_cosface = {
  .name = "cosface",
  .help = "softmax over cosines, the cosine with the class made smaller by a margin",
  .formula = "mean of log sum_c exp(scale cos_c) - scale cos_y, with cos_y - margin for cos_y",
  .paper = "Wang and others, \"CosFace: large margin cosine loss for deep face recognition\", "
           "CVPR 2018, eq. 4",
  .inputs = cr_class_inputs, .outputs = cr_class_outputs, .options = options,
  .stats = cr_class_stats, .check = check, .forward = forward, .backward = backward,
};
