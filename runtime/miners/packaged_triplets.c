/* packaged_triplets.c - a batch whose rows come as anchor, positive, negative, anchor, ...
 *
 *   B = 3 T rows  ->  (1, 2, 3), (4, 5, 6), ...          labels are not looked at */
#include "autograd/miner.h"

static const cr_input inputs[] = {
  { "embeddings", "B D", CR_TREAL, CR_NOGRAD },
  { "labels",     "B",   CR_TINT,  CR_OPTIONAL | CR_NOGRAD },
  { 0 }
};

static bool check(cr_call *c, cr_error *err) {
  int64_t triplets = c->dim['B'] / 3;
  if (c->dim['B'] % 3 != 0)
    return cr_fail(err, CR_ESHAPE, "embeddings come in threes, got %lld rows",
                   (long long)c->dim['B']);
  for (int k = 0; k < 3; k++) cr_out_shape(c, k, 1, &triplets);
  return true;
}

static void forward(cr_call *c) {
  int64_t triplets = c->dim['B'] / 3;
  for (int k = 0; k < 3; k++)
    for (int64_t i = 0; i < triplets; i++) cr_ints(c->out[k])[i] = 3 * i + k + 1;
  c->stat[0] = c->stat[1] = (double)triplets;
}

const cr_op cr_miner_packaged_triplets = {
  .name = "packaged_triplets", .help = "rows that come as anchor, positive, negative, and again",
  .formula = "{ (3i + 1, 3i + 2, 3i + 3) }",
  .inputs = inputs, .outputs = cr_triplet_outputs, .stats = cr_triplet_stats,
  .check = check, .forward = forward,
};
