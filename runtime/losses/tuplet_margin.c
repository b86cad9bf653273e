/* tuplet_margin.c - tuplet margin loss
 *
 *   l_ip = log(1 + sum_n e^(scale (cos t_in - cos(t_ip - margin))))
 *
 * for every pair of a row i and a positive p of it; t_ij is the angle between the rows and n runs
 * over the negatives of i. The slack makes a positive count as `margin` degrees nearer than it is,
 * which leaves alone what is near enough. Yu, Tao 2019.
 *
 * Only for distance = "cosine". Terms are pairs, (i, p) and (p, i) both; the negatives are summed
 * once for a row. An angle of 0 has no direction to shrink in: where a positive equals its anchor
 * the slope of cos(t - margin) is taken as cos(margin), which is finite. Cost: B^2 D, memory a tile
 * of rows by B. */
#include <math.h>

#include "autograd/pair_loss.h"

enum { MARGIN, SCALE };

static const cr_option options[] = {
  [MARGIN] = { "margin", 5.73, -180, 180, "slack of a positive, in degrees", CR_NUMBER, NULL,
               false },
  [SCALE]  = { "scale", 64, 1e-6, 1e6, "multiplies cosines", CR_NUMBER, NULL, false },
  CR_PAIR_OPTIONS(CR_COSINE, 0, CR_PAIR_MEAN),
  { 0 }
};

typedef struct settings { double scale, cosine, sine; } settings;

static bool check(cr_call *c, cr_error *err) {
  if (cr_pair_metric(c) != CR_COSINE)
    return cr_fail(err, CR_EVALUE, "distance must be \"cosine\"");
  return cr_pair_check(c, err);
}

/* cos(t - m) = cos t cos m + sin t sin m, less scale, which the sum over negatives lacks as well:
 * scale cos t_in = scale - scale d_in. With d = 1 - cos t, sin^2 t = d (2 - d). */
static double slackened(double d, double *slope, void *context) {
  const settings *s = context;
  double square = d * (2 - d), sine = square > 0 ? sqrt(square) : 0, cosine = 1 - d;
  /* below this the angle is rounding */
  double cotangent = square > 16 * (double)CR_REAL_EPSILON ? cosine / sine : 0;
  *slope = -s->scale * (s->cosine - cotangent * s->sine);
  return s->scale * (cosine * s->cosine + sine * s->sine - 1);
}

static void row_loss(const cr_row *row, void *context) {
  const settings *s = context;
  cr_lse_each_positive(row, -s->scale, slackened, context, cr_pair_term);
}

static void forward(cr_call *c) {
  double margin = c->option[MARGIN] * (3.14159265358979323846 / 180);
  settings s = { c->option[SCALE], cos(margin), sin(margin) };
  cr_pair_forward(c, row_loss, &s);
}

const cr_op cr_loss_tuplet_margin = {
  .name = "tuplet_margin", .help = "each positive against all negatives, with an angle of slack",
  .formula = "mean over pairs of log(1 + sum_n e^(scale (cos t_in - cos(t_ip - margin))))",
  .paper = "Yu, Tao, \"Deep metric learning with tuplet margin loss\", ICCV 2019",
  .differs = "pytorch-metric-learning gives nan for equal positives; here they have a finite "
             "gradient",
  .inputs = cr_pair_loss_inputs, .options = options, .stats = cr_pair_loss_stats,
  .backward_reads = CR_READS_NOTHING,
  .check = check, .forward = forward, .backward = cr_pair_backward,
};
