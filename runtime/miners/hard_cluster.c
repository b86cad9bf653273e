/* hard_cluster.c - one triplet for each class, hard as seen from the mean of the class
 *
 *   a   the row of the class nearest to its mean, which it stands for
 *   p   the row of the class farthest from its mean
 *   n   the row of another class nearest to that mean
 *
 * for every class of two rows or more, in the order of labels, where there is another class. Rows
 * are compared with C means in place of B rows: cost C B D. After OML's HardClusterMiner, which
 * gives the means themselves and needs classes of one size. Not for references or relations. */
#include "autograd/miner.h"
#include "kernels/label_order.h"

enum { NORMALIZE };

static const cr_option options[] = {
  [NORMALIZE] = { "normalize", 0, 0, 1, "divide rows by their norm first", CR_FLAG, NULL, false },
  { 0 }
};

/* Some classes at once: the places where each begins and ends, its mean, and that mean's distances
 * to all rows. */
enum { GROUP = 32 };
typedef struct group {
  int64_t n, begin[GROUP], end[GROUP];
  real square[GROUP], *mean, *d;
} group;

static void find_mean(const cr_miner *m, group *g, int64_t c) {
  int64_t D = m->pairs.width;
  real *mean = g->mean + c * D;
  for (int64_t k = 0; k < D; k++) {
    double sum = 0;
    for (int64_t r = g->begin[c]; r < g->end[c]; r++) sum += (double)m->x[m->order[r] * D + k];
    mean[k] = (real)(sum / (double)(g->end[c] - g->begin[c]));
  }
  g->square[c] = cr_pairs_centre(D, mean, NULL, mean);
}

static void measure(const cr_miner *m, group *g) {
  cr_pairs pairs = m->pairs;
  for (int64_t c = 0; c < g->n; c++) find_mean(m, g, c);
  pairs.x = g->mean;
  pairs.xx = g->square;
  pairs.rows = g->n;
  pairs.same = false;
  cr_pairs_products(&pairs, 0, g->n, g->d);
  for (int64_t c = 0; c < g->n; c++) cr_pairs_row(&pairs, c, g->d + c * m->rows);
}

static bool mine_class(cr_miner *m, int64_t begin, int64_t end, const real *d, cr_error *err) {
  const int64_t *label = m->label, wanted = label[m->order[begin]];
  int64_t a = m->order[begin], p = m->order[begin], n = -1;
  for (int64_t k = begin; k < end; k++) {
    int64_t j = m->order[k];
    if (d[j] < d[a]) a = j;
    if (d[j] > d[p]) p = j;
  }
  if (p == a) p = m->order[begin + 1];          /* all equally far */
  for (int64_t j = 0; j < m->rows; j++)
    if (label[j] != wanted && (n < 0 || d[j] < d[n])) n = j;
  return n < 0 || cr_mine_triplet(m, a, p, n, err);
}

static bool mine_group(cr_miner *m, group *g, cr_error *err) {
  measure(m, g);
  for (int64_t c = 0; c < g->n; c++)
    if (!mine_class(m, g->begin[c], g->end[c], g->d + c * m->rows, err)) return false;
  g->n = 0;
  return true;
}

static bool mine(cr_miner *m, group *g, cr_error *err) {
  for (int64_t begin = 0, end; begin < m->rows; begin = end) {
    int64_t first;
    cr_label_slice(m->rows, m->label, m->order, m->label[m->order[begin]], &first, &end);
    if (end - begin < 2) continue;
    g->begin[g->n] = begin;
    g->end[g->n++] = end;
    if (g->n == GROUP && !mine_group(m, g, err)) return false;
  }
  return g->n == 0 || mine_group(m, g, err);
}

static bool check(cr_call *c, cr_error *err) {
  cr_mine_shape shape = { CR_EUCLIDEAN, false, c->option[NORMALIZE] != 0 };
  group g = { 0 };
  cr_miner m;
  for (int k = CR_MINER_REFERENCES; k <= CR_MINER_DISTANCES; k++)
    if (c->in[k] != NULL)
      return cr_fail(err, CR_EVALUE, "takes embeddings and labels only, got %s",
                     c->op->inputs[k].name);
  bool ok = cr_miner_open(&m, c, &shape, err);
  if (ok) g.mean = cr_alloc(GROUP * (size_t)(m.pairs.width + m.rows) * sizeof *g.mean, err);
  if (g.mean != NULL) g.d = g.mean + GROUP * m.pairs.width;
  ok = g.mean != NULL && mine(&m, &g, err);
  cr_free(g.mean);
  return cr_miner_close(&m, ok, err);
}

const cr_op cr_miner_hard_cluster = {
  .name = "hard_cluster", .help = "one triplet for each class, hard as seen from its mean",
  .formula = "mu = mean of class: a = argmin |x - mu|, p = argmax |x - mu|, "
             "n = argmin |x_other - mu|",
  .differs = "OML gives mean vectors in place of rows and needs classes of one size",
  .inputs = cr_miner_inputs, .outputs = cr_triplet_outputs, .options = options,
  .stats = cr_triplet_stats, .check = check, .forward = cr_miner_forward,
};
