/* soft_triple.c - softmax over classes of several centres, pooled by a softmax of their own
 *
 *   S_ic = sum_k softmax_k(s_ick / gamma) s_ick               s: cosine
 *   l_i  = log sum_c exp(la (S_ic - margin [c = y])) - la (S_iy - margin)
 *
 * weights [C D] holds centers_per_class rows a class, those of class 1 first. The paper's
 * regulariser, which lets centres of a class merge, is crun.regularizers.sparse_centers.
 *
 * embeddings [B D], labels [B] class numbers from 1, weights [C D], item_weights? [B] multiply the
 * rows' losses; reduction mean (over the rows), sum, none.
 *
 * Cost: B C D, memory a tile of rows by C (autograd/class_loss.h). */
#include "autograd/class_loss.h"

enum { CENTERS, LA, GAMMA, MARGIN, REDUCTION };

static const cr_option options[] = {
  [CENTERS] = { "centers_per_class", 10, 1, 1000,
    "rows of weights for each class", CR_COUNT, NULL, false },
  [LA] = { "la", 20, 0, 1e6,
    "what similarities are multiplied by", CR_NUMBER, NULL, false },
  [GAMMA] = { "gamma", 0.1, 1e-6, 1e6,
    "temperature of the softmax over the centres of a class", CR_NUMBER, NULL, false },
  [MARGIN] = { "margin", 0.01, -2, 2,
    "what is taken from the similarity with the class", CR_NUMBER, NULL, false },
  [REDUCTION] = CR_REDUCTION_OPTION,
  { 0 }
};

static cr_class_settings settings(const cr_call *c) {
  return (cr_class_settings){
    .row = cr_class_softmax, .reduction = (int)c->option[REDUCTION], .metric = CR_COSINE,
    .scale = c->option[LA], .margin = c->option[MARGIN], .target = cr_class_minus,
    .centers = (int64_t)c->option[CENTERS], .pool = CR_POOL_SOFT, .gamma = c->option[GAMMA],
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

const cr_op cr_loss_soft_triple = {
  .name = "soft_triple",
  .help = "softmax over classes, each a softly chosen one of several centres",
  .formula = "mean of log sum_c exp(la S_c) - la S_y, S_y less a margin; "
           "S_c = sum_k softmax(s_ck / gamma) s_ck",
  .paper = "Qian, Shang, Sun, Hu, Li, Jin, \"SoftTriple loss: deep metric learning without triplet "
           "sampling\", ICCV 2019, eq. 8",
  .inputs = cr_class_inputs, .outputs = cr_class_outputs, .options = options,
  .stats = cr_class_stats, .check = check, .forward = forward, .backward = backward,
};
