/* pairs_to_triplets.c - every positive pair joined with every negative pair of its anchor
 *
 *   a1, p [P] and a2, n [N], row numbers  ->  (a, p, n) for every pair of places with a1 = a2,
 *   in the order of the positive pairs, then of the negative pairs */
#include "autograd/miner.h"
#include "kernels/label_order.h"

enum { A1, P, A2, N };

static const cr_input inputs[] = {
  [A1] = { "a1", "P", CR_TINT, CR_NOGRAD },
  [P]  = { "p",  "P", CR_TINT, CR_NOGRAD },
  [A2] = { "a2", "N", CR_TINT, CR_NOGRAD },
  [N]  = { "n",  "N", CR_TINT, CR_NOGRAD },
  { 0 }
};

static bool check(cr_call *c, cr_error *err) {
  int64_t pairs = c->dim['P'], others = c->dim['N'], total = 0, begin, end;
  const int64_t *a1 = cr_ints(c->in[A1]), *a2 = cr_ints(c->in[A2]);
  int64_t *order = cr_alloc(2 * (size_t)others * sizeof *order, err);
  if (order == NULL) return false;
  cr_label_order(others, a2, order, order + others);
  for (int64_t i = 0; i < pairs; i++) {
    cr_label_slice(others, a2, order, a1[i], &begin, &end);
    total += end - begin;
  }
  cr_free(order);
  for (int k = 0; k < 3; k++) cr_out_shape(c, k, 1, &total);
  c->scratch_bytes = 2 * (size_t)others * sizeof *order;
  return true;
}

static void forward(cr_call *c) {
  int64_t pairs = c->dim['P'], others = c->dim['N'], row = 0, anchors = 0, begin, end;
  const int64_t *a1 = cr_ints(c->in[A1]), *a2 = cr_ints(c->in[A2]);
  int64_t *order = c->scratch;
  cr_label_order(others, a2, order, order + others);
  for (int64_t i = 0; i < pairs; i++) {
    cr_label_slice(others, a2, order, a1[i], &begin, &end);
    anchors += end > begin && (row == 0 || cr_ints(c->out[0])[row - 1] != a1[i]);
    for (int64_t k = begin; k < end; k++, row++) {
      cr_ints(c->out[0])[row] = a1[i];
      cr_ints(c->out[1])[row] = cr_ints(c->in[P])[i];
      cr_ints(c->out[2])[row] = cr_ints(c->in[N])[order[k]];
    }
  }
  c->stat[0] = (double)row;
  c->stat[1] = (double)anchors;
}

const cr_op cr_miner_pairs_to_triplets = {
  .name = "pairs_to_triplets", .help = "every positive pair with every negative pair of its anchor",
  .formula = "{ (a, p, n): (a, p) a positive pair, (a, n) a negative pair }",
  .inputs = inputs, .outputs = cr_triplet_outputs, .stats = cr_triplet_stats,
  .check = check, .forward = forward,
};
