/* einsum.c - sums of products named by letters
 *
 *   crun.einsum({a, b}, "bij,bjk->bik")          a batch of matrix products
 *   crun.einsum({a}, "ii->")                     a trace
 *   crun.einsum({a, b}, "i,j->ij")               an outer product
 *
 * One letter for each dimension of each tensor; letters that are not on the right are summed over.
 * Without "->" the right side is the letters that come once, in alphabetical order. A letter twice
 * in one tensor means its diagonal.
 *
 * Tensors are contracted two at a time from the left. A pair is packed into [batch, m, k] and
 * [batch, n, k], where k are the letters nobody needs afterwards, and multiplied as matrices. The
 * gradient of a tensor is an einsum of the gradient of the result with all the others. */
#include <ctype.h>
#include <string.h>
#include "autograd/op.h"
#include "base/pool.h"
#include "kernels/batch_stats.h"
#include "kernels/gemm.h"

enum { EQUATION };
enum { LETTERS = 52, TENSORS = 16 };

static const cr_input inputs[] = { { "tensors", "...", CR_TREAL, CR_LIST }, { 0 } };
static const cr_output outputs[] = { { "out", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [EQUATION] = { "equation", 0, 0, 0, "such as ij,jk->ik", CR_TEXT, NULL, true },
  { 0 }
};

/* The equation, read: what backward keeps. Tensor n is the result. */
typedef struct names {
  int n, ndim[TENSORS + 1];
  unsigned char letter[TENSORS + 1][CR_MAX_DIMS];       /* 0 .. LETTERS-1 */
  int64_t size[LETTERS];
} names;

/* A tensor as a function of letters: the step in memory for each of those it has, 0 for the
 * others. */
typedef struct term {
  const real *data;
  uint64_t has;
  int64_t step[LETTERS];
} term;

static uint64_t bit(int letter) { return (uint64_t)1 << letter; }

static uint64_t letters_of(const names *e, int i) {
  uint64_t has = 0;
  for (int d = 0; d < e->ndim[i]; d++) has |= bit(e->letter[i][d]);
  return has;
}

/* ---- reading ---- */

static char shown(int letter) { return (char)(letter < 26 ? 'a' + letter : 'A' + letter - 26); }

/* Letters up to a comma, an arrow or the end, as tensor i. */
static bool read_letters(const char **p, names *e, int i, cr_error *err) {
  for (e->ndim[i] = 0; **p != '\0' && **p != ',' && **p != '-'; ++*p) {
    if (**p == ' ') continue;
    if (!isalpha((unsigned char)**p))
      return cr_fail(err, CR_EVALUE, "equation must hold letters, commas and ->, got '%c'", **p);
    if (e->ndim[i] == CR_MAX_DIMS)
      return cr_fail(err, CR_EVALUE, "equation names more than %d dimensions of one tensor",
                     CR_MAX_DIMS);
    int letter = islower((unsigned char)**p) ? **p - 'a' : **p - 'A' + 26;
    e->letter[i][e->ndim[i]++] = (unsigned char)letter;
  }
  return true;
}

static bool read_result(const char *p, names *e, cr_error *err) {
  int count[LETTERS] = { 0 };
  uint64_t known = 0, seen = 0;
  for (int i = 0; i < e->n; i++) {
    known |= letters_of(e, i);
    for (int d = 0; d < e->ndim[i]; d++) count[e->letter[i][d]]++;
  }
  if (*p == '\0') {
    e->ndim[e->n] = 0;
    for (int l = 0; l < LETTERS; l++) {
      if (count[l] != 1) continue;
      if (e->ndim[e->n] == CR_MAX_DIMS)
        return cr_fail(err, CR_EVALUE, "the result would have more than %d dimensions",
                       CR_MAX_DIMS);
      e->letter[e->n][e->ndim[e->n]++] = (unsigned char)l;
    }
    return true;
  }
  if (p[0] != '-' || p[1] != '>')
    return cr_fail(err, CR_EVALUE, "equation has a '-' that is not part of ->");
  p += 2;
  if (!read_letters(&p, e, e->n, err)) return false;
  if (*p != '\0') return cr_fail(err, CR_EVALUE, "equation goes on after its result: '%s'", p);
  for (int d = 0; d < e->ndim[e->n]; d++) {
    int l = e->letter[e->n][d];
    if (!(known & bit(l)))
      return cr_fail(err, CR_EVALUE, "'%c' of the result is in no tensor", shown(l));
    if (seen & bit(l)) return cr_fail(err, CR_EVALUE, "'%c' is twice in the result", shown(l));
    seen |= bit(l);
  }
  return true;
}

static bool read_equation(const cr_call *c, names *e, cr_error *err) {
  const char *p = c->text[EQUATION];
  int named = 0;
  memset(e, 0, sizeof *e);
  if (c->n_in < 1 || c->n_in > TENSORS)
    return cr_fail(err, CR_EVALUE, "einsum takes 1 to %d tensors, got %d", TENSORS, c->n_in);
  e->n = c->n_in;
  for (;; p++) {
    if (named < e->n && !read_letters(&p, e, named, err)) return false;
    named++;
    if (*p != ',' || named > e->n) break;
  }
  if (named != e->n)
    return cr_fail(err, CR_EVALUE, "equation names %s tensors than the %d given",
                   named < e->n ? "fewer" : "more", e->n);
  if (!read_result(p, e, err)) return false;
  for (int l = 0; l < LETTERS; l++) e->size[l] = -1;
  for (int i = 0; i < e->n; i++) {
    const cr_tensor *t = c->in[i];
    if (t->ndim != e->ndim[i])
      return cr_fail(err, CR_ESHAPE, "tensors[%d] has %d dimensions, its letters are %d", i + 1,
                     t->ndim, e->ndim[i]);
    for (int d = 0; d < t->ndim; d++) {
      int l = e->letter[i][d];
      if (e->size[l] >= 0 && e->size[l] != t->shape[d])
        return cr_fail(err, CR_ESHAPE, "'%c' is %lld in tensors[%d] and %lld before", shown(l),
                       (long long)t->shape[d], i + 1, (long long)e->size[l]);
      e->size[l] = t->shape[d];
    }
  }
  return true;
}

/* ---- computing ----
 *
 * Everything below runs twice: in check with work.at NULL, to count the scratch it will take, and
 * then for real. */

typedef struct work { const names *e; unsigned char *at; size_t used; } work;

static real *take(work *w, int64_t numbers) {
  size_t start = w->used;
  w->used += ((size_t)numbers * sizeof(real) + 63) & ~(size_t)63;
  return w->at ? (real *)(void *)(w->at + start) : NULL;
}

static term term_of(const names *e, int i, const real *data) {
  term t = { .data = data, .has = letters_of(e, i) };
  int64_t step = 1;
  for (int d = e->ndim[i] - 1; d >= 0; d--) {
    t.step[e->letter[i][d]] += step;            /* a diagonal walks along both */
    step *= e->size[e->letter[i][d]];
  }
  return t;
}

/* The letters of a set in rising order, and how many places they span. */
typedef struct group { int n, letter[LETTERS]; int64_t span; } group;

static group group_of(const names *e, uint64_t set) {
  group g = { .span = 1 };
  for (int l = 0; l < LETTERS; l++) {
    if (!(set & bit(l))) continue;
    g.letter[g.n++] = l;
    g.span *= e->size[l];
  }
  return g;
}

/* The next place of a group, moving an offset along in each of two tensors; false after the
 * last. */
static bool advance(const names *e, const group *g, int64_t *place, const int64_t *a, int64_t *at_a,
                    const int64_t *b, int64_t *at_b) {
  for (int k = g->n - 1; k >= 0; k--) {
    int l = g->letter[k];
    *at_a += a[l];
    if (b) *at_b += b[l];
    if (++place[k] < e->size[l]) return true;
    place[k] = 0;
    *at_a -= a[l] * e->size[l];
    if (b) *at_b -= b[l] * e->size[l];
  }
  return false;
}

/* out at every place of `kept`, by its own steps, = t summed over its other letters */
static void spread(const names *e, const term *t, uint64_t kept, const int64_t *step, real *out) {
  group outer = group_of(e, kept), inner = group_of(e, t->has & ~kept);
  int64_t place[LETTERS] = { 0 }, from = 0, to = 0;
  if (outer.span == 0) return;
  do {
    int64_t within[LETTERS] = { 0 }, at = from;
    double sum = 0;
    if (inner.n == 0) {
      out[to] = t->data[from];
      continue;
    }
    if (inner.span > 0) {
      do sum += (double)t->data[at];
      while (advance(e, &inner, within, t->step, &at, NULL, NULL));
    }
    out[to] = (real)sum;
  } while (advance(e, &outer, place, t->step, &from, step, &to));
}

/* Contiguous steps for the letters of three sets, one after the other. */
static void pack_steps(const names *e, const uint64_t set[3], int64_t step[LETTERS]) {
  int64_t size = 1;
  for (int l = 0; l < LETTERS; l++) step[l] = 0;
  for (int s = 2; s >= 0; s--)
    for (int l = LETTERS - 1; l >= 0; l--) {
      if (!(set[s] & bit(l))) continue;
      step[l] = size;
      size *= e->size[l];
    }
}

/* t as a contiguous [set0, set1, set2], summed over letters in none of them; t's own memory where
 * it is that already */
static const real *pack(work *w, const term *t, uint64_t set0, uint64_t set1, uint64_t set2) {
  const uint64_t set[3] = { set0, set1, set2 }, all = set0 | set1 | set2;
  int64_t step[LETTERS];
  bool same = t->has == all;
  pack_steps(w->e, set, step);
  for (int l = 0; same && l < LETTERS; l++)
    same = !(all & bit(l)) || w->e->size[l] == 1 || step[l] == t->step[l];
  if (same) return t->data;
  real *packed = take(w, group_of(w->e, all).span);
  if (packed) spread(w->e, t, all, step, packed);
  return packed;
}

typedef struct product { int64_t m, n, k; const real *a, *b; real *out; } product;

static void multiply(void *context, int64_t begin, int64_t end) {
  const product *p = context;
  for (int64_t i = begin; i < end; i++) {
    const real *a = p->a + i * p->m * p->k, *b = p->b + i * p->n * p->k;
    real *out = p->out + i * p->m * p->n;
    if (p->m * p->n > 16) {
      cr_gemm_serial(false, true, p->m, p->n, p->k, a, p->k, b, p->k, false, out, p->n);
      continue;
    }
    for (int64_t r = 0; r < p->m; r++)
      for (int64_t s = 0; s < p->n; s++)
        out[r * p->n + s] = (real)cr_stats_dot(a + r * p->k, b + s * p->k, p->k);
  }
}

/* a and b as one term, without the letters that nobody in `needed` has */
static term contract(work *w, const term *a, const term *b, uint64_t needed) {
  uint64_t both = a->has & b->has, batch = both & needed, inner = both & ~needed;
  uint64_t left = a->has & ~both & needed, right = b->has & ~both & needed;
  const names *e = w->e;
  product p = {
    .m = group_of(e, left).span, .n = group_of(e, right).span, .k = group_of(e, inner).span,
    .a = pack(w, a, batch, left, inner), .b = pack(w, b, batch, right, inner),
  };
  int64_t batches = group_of(e, batch).span, each = p.m * p.n * (p.k > 1 ? p.k : 1);
  p.out = take(w, batches * p.m * p.n);
  if (w->at && batches == 1 && p.m * p.n > 16)
    cr_gemm(false, true, p.m, p.n, p.k, p.a, p.k, p.b, p.k, false, p.out, p.n);
  else if (w->at && each > 0)
    cr_pool_for(batches, each < 16384 ? 16384 / each : 1, multiply, &p);
  term out = { .data = p.out, .has = batch | left | right };
  pack_steps(e, (uint64_t[3]){ batch, left, right }, out.step);
  return out;
}

/* The einsum of `n` terms into tensor number `result` of e, of which `out` is the memory. */
static void evaluate(work *w, const term *terms, int n, int result, real *out) {
  term all = terms[0];
  uint64_t kept = letters_of(w->e, result);
  for (int i = 1; i < n; i++) {
    uint64_t needed = kept;
    for (int later = i + 1; later < n; later++) needed |= terms[later].has;
    all = contract(w, &all, &terms[i], needed);
  }
  if (w->at) spread(w->e, &all, kept, term_of(w->e, result, NULL).step, out);
}

/* The terms of the gradient of tensor k: that of the result, then the other tensors. */
static void gradient(work *w, const cr_call *c, int k, const real *g, real *out) {
  term terms[TENSORS];
  int n = 0;
  terms[n++] = term_of(w->e, w->e->n, g);
  for (int i = 0; i < w->e->n; i++)
    if (i != k) terms[n++] = term_of(w->e, i, cr_reals(c->in[i]));
  evaluate(w, terms, n, k, out);
}

static void value(work *w, const cr_call *c, real *out) {
  term terms[TENSORS];
  for (int i = 0; i < w->e->n; i++) terms[i] = term_of(w->e, i, cr_reals(c->in[i]));
  evaluate(w, terms, w->e->n, w->e->n, out);
}

static bool check(cr_call *c, cr_error *err) {
  names e;
  int64_t shape[CR_MAX_DIMS];
  if (!read_equation(c, &e, err)) return false;
  for (int d = 0; d < e.ndim[e.n]; d++) shape[d] = e.size[e.letter[e.n][d]];
  cr_out_shape(c, 0, e.ndim[e.n], shape);
  work w = { &e, NULL, 0 };
  value(&w, c, NULL);
  c->scratch_bytes = w.used + 64;
  for (int k = 0; c->wants_grad && k < e.n; k++) {
    w.used = 0;
    gradient(&w, c, k, NULL, NULL);
    if (w.used + 64 > c->backward_scratch_bytes) c->backward_scratch_bytes = w.used + 64;
  }
  c->saved_bytes = sizeof e;
  return true;
}

static void forward(cr_call *c) {
  names *e = c->saved;
  read_equation(c, e, NULL);
  work w = { e, c->scratch, 0 };
  value(&w, c, cr_reals(c->out[0]));
}

static void backward(cr_call *c) {
  const names *e = c->saved;
  for (int k = 0; k < e->n; k++) {
    if (!c->gin[k]) continue;
    work w = { e, c->scratch, 0 };
    cr_tensor_fill(c->gin[k], 0);               /* off the diagonals */
    gradient(&w, c, k, cr_reals(c->gout[0]), cr_reals(c->gin[k]));
  }
}

const cr_op cr_op_einsum = {
  .name = "einsum", .help = "sums of products named by letters",
  .inputs = inputs, .outputs = outputs, .options = options,
  .check = check, .forward = forward, .backward = backward,
};
