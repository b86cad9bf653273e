/* negative_cosine.c - minus the cosine of a prediction and its target, as in SimSiam and BYOL
 *
 *   form = "simsiam"    l_i = -<p_i, z_i> / (|p_i| |z_i|)
 *          "byol"       l_i = | p_i / |p_i| - z_i / |z_i| |^2 = 2 - 2 cos
 *
 * p [B D] are predictions of one view, z [B D] the embeddings of the other. What keeps the network
 * from giving the same embedding for everything is that no gradient goes to z: pass z:detach().
 * (Without it z has its gradient as p does.) Both papers take both directions,
 *
 *   local loss = (criterion(p1, z2:detach()) + criterion(p2, z1:detach())) / 2       BYOL: the sum
 *
 * reduction = "mean", "sum" or "none" ([B]). A row of zeros has cosine 0 and gradient 0. Cost and
 * memory: B D.
 *
 * Chen, He, "Exploring Simple Siamese Representation Learning", CVPR 2021, eq. 1; Grill et al.,
 * "Bootstrap Your Own Latent", NeurIPS 2020, eq. 2. */
#include "autograd/term_loss.h"
#include "kernels/twin_rows.h"

enum { P, Z };
enum { REDUCTION, FORM };
enum { SIMSIAM, BYOL };
enum { COSINE };

static const cr_input inputs[] = {
  [P] = { "p", "B D", CR_TREAL, 0 },
  [Z] = { "z", "B D", CR_TREAL, 0 },
  { 0 }
};

static const cr_output outputs[] = { { "loss", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [REDUCTION] = CR_REDUCTION_OPTION,
  [FORM] = { "form", SIMSIAM, 0, 0, "simsiam: -cos; byol: 2 - 2 cos", CR_CHOICE, "simsiam byol" },
  { 0 }
};

static const char *const stats[] = { [COSINE] = "cosine", NULL };       /* mean */

static double minus_product(const void *context, int64_t width, const real *x, const real *y,
                            real *gx, real *gy) {
  double sum = 0;
  (void)context;
  for (int64_t k = 0; k < width; k++) sum += (double)x[k] * (double)y[k];
  for (int64_t k = 0; gx != NULL && k < width; k++) {
    gx[k] = -y[k];
    gy[k] = -x[k];
  }
  return -sum;
}

static cr_twins twins_of(const cr_call *c) {
  return (cr_twins){ .rows = c->dim['B'], .width = c->dim['D'], .normalize = true,
                     .fn = minus_product };
}

static bool check(cr_call *c, cr_error *err) {
  cr_twins t = twins_of(c);
  (void)err;
  cr_out_shape(c, 0, c->option[REDUCTION] == CR_NONE ? 1 : 0, &t.rows);
  c->scratch_bytes = (size_t)t.rows * sizeof(double) + cr_twin_bytes(&t);
  if (c->wants_grad) c->saved_bytes = 2 * (size_t)(t.rows * t.width) * sizeof(real);
  return true;
}

static double divisor(const cr_call *c) {
  return c->option[REDUCTION] == CR_MEAN && c->dim['B'] > 0 ? (double)c->dim['B'] : 1;
}

static void forward(cr_call *c) {
  cr_twins t = twins_of(c);
  bool byol = c->option[FORM] == BYOL;
  double *loss = c->scratch, sum = 0, cosine = 0;
  t.x = cr_reals(c->in[P]);
  t.y = cr_reals(c->in[Z]);
  cr_twin_forward(&t, loss, c->wants_grad ? c->saved : NULL, loss + t.rows);
  for (int64_t i = 0; i < t.rows; i++) {
    double l = byol ? 2 + 2 * loss[i] : loss[i];
    cosine -= loss[i];
    sum += l;
    if (c->option[REDUCTION] == CR_NONE) cr_reals(c->out[0])[i] = (real)l;
  }
  if (c->option[REDUCTION] != CR_NONE) *cr_reals(c->out[0]) = (real)(sum / divisor(c));
  c->stat[COSINE] = t.rows > 0 ? cosine / (double)t.rows : 0;
}

static void backward(cr_call *c) {
  int64_t B = c->dim['B'], D = c->dim['D'];
  double scale = (c->option[FORM] == BYOL ? 2 : 1) / divisor(c);
  for (int k = P; k <= Z; k++)
    cr_twin_backward(B, D, (const real *)c->saved + k * B * D, scale, cr_reals(c->gout[0]),
                     c->option[REDUCTION] == CR_NONE,
                     c->gin[k] != NULL ? cr_reals(c->gin[k]) : NULL);
}

const cr_op cr_loss_negative_cosine = {
  .name = "negative_cosine", .help = "minus the cosine of a prediction and its (detached) target",
  .formula = "-<p, z> / (|p| |z|), or 2 - 2 cos with form = \"byol\"",
  .paper = "Chen, He, \"Exploring Simple Siamese Representation Learning\", CVPR 2021, eq. 1; "
           "Grill et al., \"Bootstrap Your Own Latent\", NeurIPS 2020, eq. 2",
  .differs = "the target is detached by the caller, z:detach(), as in lightly",
  .inputs = inputs, .outputs = outputs, .options = options, .stats = stats,
  .backward_reads = CR_READS_NOTHING, .check = check, .forward = forward, .backward = backward,
};
