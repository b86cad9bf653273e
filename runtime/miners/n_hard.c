/* n_hard.c - for each anchor its n farthest positives with its n nearest negatives
 *
 *   positives by falling distance, negatives by rising distance, numbered from 1; kept are the
 *   numbers n_positive = {first, last} and n_negative = {first, last}, every one with every one.
 *   A single n is {1, n}. A first above 1 skips the hardest, which may well be mislabelled.
 *
 * An anchor with fewer than first gives nothing, with fewer than last what there is. Of equals the
 * first in the batch. Cost B R D and a heap of n for each row. As in OML's NHardTripletsMiner. */
#include "autograd/miner.h"
#include "kernels/sort.h"

enum { N_POSITIVE, N_NEGATIVE, DISTANCE };

static const cr_option options[] = {
  [N_POSITIVE] = { "n_positive", 1, 1, 1e9, "how many, or {first, last}; default 1", CR_COUNTS,
                   NULL, false },
  [N_NEGATIVE] = { "n_negative", 1, 1, 1e9, "how many, or {first, last}; default 1", CR_COUNTS,
                   NULL, false },
  CR_MINER_OPTIONS(CR_EUCLIDEAN),
  { 0 }
};

typedef struct side { int64_t first, last, n; cr_sort_item *item; } side;
typedef struct work { side side[2]; cr_sort_item *spare; } work;

/* The hardest `last` of one kind, sorted. */
static void pick(const cr_mine_row *r, int kind, side *s, cr_sort_item *spare) {
  int64_t n = 0;
  for (int64_t j = 0; j < r->columns; j++)
    if (r->kind[j] == kind)
      s->item[n++] = (cr_sort_item){ cr_sort_key_real(r->d[j], kind == CR_POSITIVE), j };
  s->n = n < s->last ? n : s->last;
  cr_sort_top(s->item, spare, n, s->n);
}

static bool row(cr_miner *m, const cr_mine_row *r, void *context, cr_error *err) {
  work *w = context;
  side *pos = &w->side[0], *neg = &w->side[1];
  pick(r, CR_POSITIVE, pos, w->spare);
  pick(r, CR_NEGATIVE, neg, w->spare);
  for (int64_t p = pos->first - 1; p < pos->n; p++)
    for (int64_t n = neg->first - 1; n < neg->n; n++)
      if (!cr_mine_triplet(m, r->i, pos->item[p].index, neg->item[n].index, err)) return false;
  return true;
}

static bool read_range(const cr_call *c, int option, side *s, cr_error *err) {
  const cr_list *l = &c->list[option];
  s->first = l->n == 2 ? l->at[0] : 1;
  s->last = l->n == 0 ? 1 : l->at[l->n - 1];
  if (l->n > 2 || s->first > s->last)
    return cr_fail(err, CR_EVALUE, "%s must be a number or {first, last} with first <= last",
                   c->op->options[option].name);
  return true;
}

static bool check(cr_call *c, cr_error *err) {
  work w = { 0 };
  cr_mine_shape shape;
  cr_miner m;
  if (!read_range(c, N_POSITIVE, &w.side[0], err) || !read_range(c, N_NEGATIVE, &w.side[1], err) ||
      !cr_mine_options(c, DISTANCE, &shape, err)) return false;
  bool ok = cr_miner_open(&m, c, &shape, err);
  if (ok) w.spare = cr_alloc(3 * (size_t)m.columns * sizeof *w.spare, err);
  ok = w.spare != NULL;
  if (ok) w.side[0].item = w.spare + m.columns, w.side[1].item = w.spare + 2 * m.columns;
  ok = ok && cr_miner_pass(&m, row, &w, err);
  cr_free(w.spare);
  return cr_miner_close(&m, ok, err);
}

const cr_op cr_miner_n_hard = {
  .name = "n_hard", .help = "for each anchor its n farthest positives with its n nearest negatives",
  .formula = "{ (a, p, n): rank of d(a,p) from above in n_positive, of d(a,n) from below in "
             "n_negative }",
  .inputs = cr_miner_inputs, .outputs = cr_triplet_outputs, .options = options,
  .stats = cr_triplet_stats, .check = check, .forward = cr_miner_forward,
};
