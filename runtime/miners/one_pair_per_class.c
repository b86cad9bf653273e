/* one_pair_per_class.c - the first positive pair of each class, for N-pair losses
 *
 *   (a, p)  for each class with two rows or more (with references: one row and one reference), in
 *           the order of labels: its first row and the first other row that is positive to it
 *
 * As pytorch-metric-learning's convert_to_pos_pairs_with_unique_labels. Not for a relation: it has
 * no classes. */
#include "autograd/miner.h"
#include "kernels/label_order.h"

static const cr_output outputs[] = { { "a", NULL, CR_TINT }, { "p", NULL, CR_TINT }, { 0 } };
static const char *const stats[] = { "pairs", "anchors", NULL };

/* order: the rows sorted by label; one that begins a class counts. */
static bool mine(cr_miner *m, const int64_t *order, cr_error *err) {
  const int64_t *label = m->label;
  for (int64_t k = 0; k < m->rows; k++) {
    int64_t a = order[k], begin, end;
    if (k > 0 && label[order[k - 1]] == label[a]) continue;
    cr_label_slice(m->columns, m->reference_label, m->order, label[a], &begin, &end);
    if (m->pairs.same) begin++;                     /* the first is a itself */
    if (begin < end && !cr_mine_pair(m, CR_POSITIVE, a, m->order[begin], err)) return false;
  }
  return true;
}

static bool check(cr_call *c, cr_error *err) {
  cr_miner m;
  if (c->in[CR_MINER_RELATION] != NULL)
    return cr_fail(err, CR_EVALUE, "needs labels; a relation has no classes");
  bool ok = cr_miner_open(&m, c, NULL, err);
  int64_t n = ok ? m.rows : 0, *order = ok ? cr_alloc(2 * (size_t)n * sizeof *order, err) : NULL;
  if (order != NULL) cr_label_order(n, m.label, order, order + n);
  ok = order != NULL && mine(&m, order, err);
  cr_free(order);
  return cr_miner_close(&m, ok, err);
}

const cr_op cr_miner_one_pair_per_class = {
  .name = "one_pair_per_class", .help = "the first positive pair of each class",
  .formula = "for each class its lexicographically first (a, p) with y_a = y_p, a != p",
  .paper = "Sohn, \"Improved deep metric learning with multi-class N-pair loss objective\", "
           "NIPS 2016",
  .inputs = cr_miner_inputs, .outputs = outputs, .stats = stats,
  .check = check, .forward = cr_miner_forward,
};
