/* subcenter_arcface.c - ArcFace over the best of several centres a class
 *
 *   u_c = scale max_k cos theta_ck, and for the label's class scale cos(theta_y + margin) of its
 *   best centre; l_i = log sum_c exp(u_c) - u_y
 *
 * weights [C D] holds sub_centers rows a class, those of class 1 first. Noisy faces gather at a
 * centre of their own; crun.losses' object tells them by get_outliers. Of equal centres the first
 * counts. See arcface.c for the margin.
 *
 * embeddings [B D], labels [B] class numbers from 1, weights [C D], item_weights? [B] multiply the
 * rows' losses; reduction mean (over the rows), sum, none.
 *
 * Cost: B C D, memory a tile of rows by C (autograd/class_loss.h). */
#include <math.h>

#include "autograd/class_loss.h"

enum { MARGIN, SCALE, SUB_CENTERS, REDUCTION };

static const cr_option options[] = {
  [MARGIN] = { "margin", 28.6, 0, 90,
    "what is added to the angle with the class, in degrees", CR_NUMBER, NULL, false },
  [SCALE] = { "scale", 64, 0, 1e6,
    "what similarities are multiplied by", CR_NUMBER, NULL, false },
  [SUB_CENTERS] = { "sub_centers", 3, 1, 1000,
    "rows of weights for each class", CR_COUNT, NULL, false },
  [REDUCTION] = CR_REDUCTION_OPTION,
  { 0 }
};

static cr_class_settings settings(const cr_call *c) {
  return (cr_class_settings){
    .row = cr_class_softmax, .reduction = (int)c->option[REDUCTION], .metric = CR_COSINE,
    .scale = c->option[SCALE], .margin = c->option[MARGIN] * M_PI / 180,
    .target = cr_class_angle, .centers = (int64_t)c->option[SUB_CENTERS], .pool = CR_POOL_MAX,
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

const cr_op cr_loss_subcenter_arcface = {
  .name = "subcenter_arcface",
  .help = "ArcFace over the best of several centres a class",
  .formula = "ArcFace with cos_c = max over the centres k of class c of cos theta_ck",
  .paper = "Deng, Guo, Liu, Gong, Zafeiriou, \"Sub-center ArcFace: boosting face recognition by "
           "large-scale noisy web faces\", ECCV 2020, eq. 3",
  .differs =
    "pytorch-metric-learning ignores reducer and regulariser given to it",
  .inputs = cr_class_inputs, .outputs = cr_class_outputs, .options = options,
  .stats = cr_class_stats, .check = check, .forward = forward, .backward = backward,
};
