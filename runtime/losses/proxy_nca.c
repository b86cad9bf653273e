/* proxy_nca.c - neighbourhood component analysis against one proxy a class
 *
 *   l_i = log sum_c exp(-scale d_ic) - (-scale d_iy)         d: squared Euclidean distance
 *
 * The proxy of the class stays in the sum, as in the softmax of ProxyNCA++ and of other libraries;
 * the paper leaves it out. On unit vectors d is at most 4: at scale 1 the loss cannot fall below
 * log(1 + (C-1) e^-4), which is 1.0 for 100 classes. A scale of 8 to 32 learns much better than
 * the default (ProxyNCA++: temperature 1/9).
 *
 * embeddings [B D], labels [B] class numbers from 1, weights [C D], item_weights? [B] multiply the
 * rows' losses; reduction mean (over the rows), sum, none.
 *
 * Cost: B C D, memory a tile of rows by C (autograd/class_loss.h). */
#include "autograd/class_loss.h"

enum { SCALE, DISTANCE, SQUARED, NORMALIZE, REDUCTION };

static const cr_option options[] = {
  [SCALE] = { "scale", 1, 0, 1e6,
    "what distances are multiplied by", CR_NUMBER, NULL, false },
  [DISTANCE] = { "distance", CR_EUCLIDEAN, 0, 0, "by what nearness is measured", CR_CHOICE,
    CR_METRIC_NAMES, false },
  [SQUARED] = { "squared", 1, 0, 1, "squared distances; not of cosine and dot", CR_FLAG, NULL,
    false },
  [NORMALIZE] = { "normalize", 1, 0, 1, "divide embeddings and weights by their norm first",
    CR_FLAG, NULL, false },
  [REDUCTION] = CR_REDUCTION_OPTION,
  { 0 }
};

static cr_class_settings settings(const cr_call *c) {
  return (cr_class_settings){
    .row = cr_class_softmax, .reduction = (int)c->option[REDUCTION],
    .metric = (cr_metric)c->option[DISTANCE],
    .squared = c->option[SQUARED] != 0 && c->option[DISTANCE] != CR_COSINE &&
               c->option[DISTANCE] != CR_DOT,
    .normalize = c->option[NORMALIZE] != 0, .scale = c->option[SCALE],
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

const cr_op cr_loss_proxy_nca = {
  .name = "proxy_nca",
  .help = "softmax over minus the distances to one proxy a class",
  .formula = "mean of log sum_c exp(-scale d_c) + scale d_y, d squared Euclidean",
  .paper = "Movshovitz-Attias and others, \"No fuss distance metric learning using proxies\", "
           "ICCV 2017, eq. 6; Teh, DeVries, Taylor, \"ProxyNCA++\", ECCV 2020",
  .differs =
    "the paper leaves the proxy of the class out of the sum; here it stays in",
  .inputs = cr_class_inputs, .outputs = cr_class_outputs, .options = options,
  .stats = cr_class_stats, .check = check, .forward = forward, .backward = backward,
};
