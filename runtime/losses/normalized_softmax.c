/* normalized_softmax.c - softmax over similarities to the weights of classes
 *
 *   l_i = log sum_c exp(s_ic / t) - s_iy / t
 *
 * s is the cosine, the inner product, or minus the distance (squared = true: minus its square);
 * t is the temperature. Rows of both sides are normalised first, so "dot", the default, is the
 * cosine; with normalize = false, which is for "dot" alone, embeddings keep their length. An
 * embedding of length 0 then has gradient 0.
 *
 * embeddings [B D], labels [B] class numbers from 1, weights [C D], item_weights? [B] multiply the
 * rows' losses; reduction mean (over the rows), sum, none.
 *
 * Cost: B C D, memory a tile of rows by C (autograd/class_loss.h). */
#include "autograd/class_loss.h"

enum { TEMPERATURE, DISTANCE, SQUARED, NORMALIZE, REDUCTION };

static const cr_option options[] = {
  [TEMPERATURE] = { "temperature", 0.05, 1e-6, 1e6,
    "what similarities are divided by", CR_NUMBER, NULL, false },
  [DISTANCE] = { "distance", CR_DOT, 0, 0, "by what nearness is measured", CR_CHOICE,
    CR_METRIC_NAMES, false },
  [SQUARED] = { "squared", 0, 0, 1, "squared distances; not of cosine and dot", CR_FLAG, NULL,
    false },
  [NORMALIZE] = { "normalize", 1, 0, 1, "divide embeddings by their norm first; weights always are",
    CR_FLAG, NULL, false },
  [REDUCTION] = CR_REDUCTION_OPTION,
  { 0 }
};

/* <x, w / |w|> is |x| times the cosine */
static cr_class_settings settings(const cr_call *c) {
  bool raw = c->option[NORMALIZE] == 0;
  return (cr_class_settings){
    .row = cr_class_softmax, .reduction = (int)c->option[REDUCTION],
    .metric = raw ? CR_COSINE : (cr_metric)c->option[DISTANCE],
    .squared = c->option[SQUARED] != 0, .normalize = true, .scale = 1 / c->option[TEMPERATURE],
    .norm = raw ? CR_NORM_EMBEDDING : CR_NORM_NONE,
  };
}

static bool check(cr_call *c, cr_error *err) {
  cr_class_settings s = settings(c);
  if (c->option[NORMALIZE] == 0 && c->option[DISTANCE] != CR_DOT)
    return cr_fail(err, CR_EVALUE, "normalize = false is for distance = \"dot\"");
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

const cr_op cr_loss_normalized_softmax = {
  .name = "normalized_softmax",
  .help = "softmax over similarities of embeddings to the weights of classes",
  .formula = "mean of log sum_c exp(s_c / t) - s_y / t",
  .paper = "Zhai, Wu, \"Classification is a strong baseline for deep metric learning\", BMVC 2019",
  .inputs = cr_class_inputs, .outputs = cr_class_outputs, .options = options,
  .stats = cr_class_stats, .check = check, .forward = forward, .backward = backward,
};
