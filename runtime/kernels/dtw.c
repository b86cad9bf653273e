/* dtw.c - see dtw.h */
#include "kernels/dtw.h"

#include <math.h>
#include <tgmath.h>

#include "base/memory.h"
#include "base/pool.h"

enum { LANES = 16 };

bool cr_sequences_check(const cr_sequences *s, const char *name, cr_error *err) {
  if (s->steps == 0 && s->count > 0)
    return cr_fail(err, CR_ESHAPE, "sequences must have a step or more, got none");
  for (int64_t i = 0; s->length != NULL && i < s->count; i++)
    if (s->length[i] < 1 || s->length[i] > s->steps)
      return cr_fail(err, CR_EVALUE, "%s must lie in 1 .. %lld, got %lld in row %lld", name,
                     (long long)s->steps, (long long)s->length[i], (long long)(i + 1));
  return true;
}

/* Numbers a worker needs: both sequences by lanes, and two rows of the table. */
static bool worker_numbers(const cr_dtw *d, size_t *numbers) {
  size_t steps = (size_t)d->x.steps + (size_t)d->y.steps, sequences;
  return cr_size_mul(steps, (size_t)d->x.width, &sequences)
      && cr_size_add(sequences, 2 * (size_t)(d->y.steps + 2), numbers)
      && cr_size_mul(*numbers, LANES, numbers);
}

bool cr_dtw_bytes(const cr_dtw *d, size_t *bytes) {
  return worker_numbers(d, bytes) && cr_size_mul(*bytes, sizeof(real), bytes)
      && cr_size_mul(*bytes, (size_t)cr_pool_threads(), bytes);
}

/* ---- lanes ----------------------------------------------------------------------------------- */

typedef struct lanes {
  int64_t T, U, width, window;              /* longest of the lanes */
  int64_t n[LANES], m[LANES];
  real *x, *y;                              /* [T, width, LANES], [U, width, LANES] */
  real *row;                                /* [2, U + 2, LANES]; place j holds column j - 1 */
  real result[LANES];
} lanes;

static inline __attribute__((always_inline)) real cost_term(cr_dtw_cost cost, real x, real y) {
  real gap = x - y;
  return cost == CR_DTW_MANHATTAN ? fabs(gap) : gap * gap;
}

static inline __attribute__((always_inline)) void walk(lanes *w, cr_dtw_cost cost) {
  int64_t U = w->U, D = w->width;
  real *before = w->row, *now = w->row + (U + 2) * LANES;
  for (int64_t j = 0; j < (U + 2) * LANES; j++) before[j] = INFINITY, now[j] = INFINITY;
  for (int l = 0; l < LANES; l++) before[l] = 0;
  for (int64_t i = 0; i < w->T; i++) {
    int64_t first = w->window >= 0 && i > w->window ? i - w->window : 0;
    int64_t end = w->window >= 0 && w->window < U - i ? i + w->window + 1 : U;
    for (int l = 0; l < LANES && first <= U; l++) now[first * LANES + l] = INFINITY;
    for (int64_t j = first; j < end; j++) {
      const real *restrict up = before + j * LANES;      /* and right of it */
      real *restrict left = now + j * LANES;
      real sum[LANES] = { 0 };
      for (int64_t k = 0; k < D; k++) {
        const real *restrict x = w->x + (i * D + k) * LANES;
        const real *restrict y = w->y + (j * D + k) * LANES;
        for (int l = 0; l < LANES; l++) sum[l] += cost_term(cost, x[l], y[l]);
      }
      for (int l = 0; l < LANES; l++) {
        real least = up[l] < up[LANES + l] ? up[l] : up[LANES + l];
        least = left[l] < least ? left[l] : least;
        left[LANES + l] = least + (cost == CR_DTW_EUCLIDEAN ? sqrt(sum[l]) : sum[l]);
      }
    }
    if (end < U)
      for (int l = 0; l < LANES; l++) now[(end + 1) * LANES + l] = INFINITY;
    for (int l = 0; l < LANES; l++)
      if (w->n[l] - 1 == i) {
        int64_t last = w->m[l] - 1;
        w->result[l] = last >= first && last < end ? now[(last + 1) * LANES + l] : INFINITY;
      }
    real *swap = before;
    before = now;
    now = swap;
  }
}

CR_VECTOR static void walk_squared(lanes *w) { walk(w, CR_DTW_SQUARED); }
CR_VECTOR static void walk_euclidean(lanes *w) { walk(w, CR_DTW_EUCLIDEAN); }
CR_VECTOR static void walk_manhattan(lanes *w) { walk(w, CR_DTW_MANHATTAN); }

/* ---- pairs ----------------------------------------------------------------------------------- */

typedef struct job {
  const cr_dtw *d;
  real *out, *scratch;
  size_t numbers;                           /* of a worker */
  int64_t chunks;                           /* blocks of a row of the matrix */
} job;

/* Puts sequence s into a lane, zeros after its end. False when a number is not finite. */
static bool pack(const cr_sequences *q, int64_t s, int64_t steps, real *to) {
  int64_t used = cr_sequence_length(q, s) * q->width;
  const real *from = q->at + s * q->steps * q->width;
  bool finite = true;
  for (int64_t k = 0; k < used; k++) {
    to[k * LANES] = from[k];
    finite &= isfinite(from[k]) != 0;
  }
  for (int64_t k = used; k < steps * q->width; k++) to[k * LANES] = 0;
  return finite;
}

static void run_block(void *context, int64_t block, int worker) {
  const job *j = context;
  const cr_dtw *d = j->d;
  int64_t row = d->matrix ? block / j->chunks : 0;
  int64_t first = (d->matrix ? block % j->chunks : block) * LANES, x[LANES], y[LANES];
  bool finite[LANES];
  lanes w = { .width = d->x.width, .window = d->window };
  int used = 0;
  for (int64_t s = first; s < d->y.count && s < first + LANES; s++) {
    if (d->same && s < row) continue;
    x[used] = d->matrix ? row : s;
    y[used++] = s;
  }
  if (used == 0) return;
  for (int l = 0; l < LANES; l++) {
    w.n[l] = l < used ? cr_sequence_length(&d->x, x[l]) : 0;
    w.m[l] = l < used ? cr_sequence_length(&d->y, y[l]) : 0;
    if (w.n[l] > w.T) w.T = w.n[l];
    if (w.m[l] > w.U) w.U = w.m[l];
  }
  w.x = j->scratch + (size_t)worker * j->numbers;
  w.y = w.x + d->x.steps * w.width * LANES;
  w.row = w.y + d->y.steps * w.width * LANES;
  for (int l = 0; l < LANES; l++) {
    int from = l < used ? l : 0;            /* lanes without a pair repeat the first */
    finite[l] = pack(&d->x, x[from], w.T, w.x + l);
    finite[l] &= pack(&d->y, y[from], w.U, w.y + l);
  }
  (d->cost == CR_DTW_SQUARED ? walk_squared : d->cost == CR_DTW_EUCLIDEAN ? walk_euclidean
                                                                          : walk_manhattan)(&w);
  for (int l = 0; l < used; l++) {
    real result = finite[l] ? w.result[l] : NAN;
    if (!d->matrix) {
      j->out[y[l]] = result;
      continue;
    }
    j->out[row * d->y.count + y[l]] = result;
    if (d->same) j->out[y[l] * d->y.count + row] = result;
  }
}

void cr_dtw_run(const cr_dtw *d, real *out, void *scratch) {
  job j = { .d = d, .out = out, .scratch = scratch, .chunks = (d->y.count + LANES - 1) / LANES };
  worker_numbers(d, &j.numbers);
  cr_pool_run(d->matrix ? d->x.count * j.chunks : j.chunks, run_block, &j);
}

/* ---- one pair, with its way ------------------------------------------------------------------ */

static real cost_of(const cr_dtw *d, const real *x, const real *y) {
  real sum = 0;
  for (int64_t k = 0; k < d->x.width; k++) sum += cost_term(d->cost, x[k], y[k]);
  return d->cost == CR_DTW_EUCLIDEAN ? sqrt(sum) : sum;
}

int64_t cr_dtw_path(const cr_dtw *d, int64_t pair, real *table, int64_t *path) {
  int64_t T = d->x.steps, U = d->y.steps, D = d->x.width, cells = 0;
  int64_t n = cr_sequence_length(&d->x, pair), m = cr_sequence_length(&d->y, pair);
  const real *x = d->x.at + pair * T * D, *y = d->y.at + pair * U * D;
  for (int64_t k = 0; k < T * U; k++) table[k] = INFINITY;
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < m; j++) {
      if (d->window >= 0 && (i - j > d->window || j - i > d->window)) continue;
      real least = i == 0 && j == 0 ? 0 : INFINITY, r;
      if (i > 0 && j > 0 && (r = table[(i-1)*U + j - 1]) < least) least = r;
      if (i > 0 && (r = table[(i-1)*U + j]) < least) least = r;
      if (j > 0 && (r = table[i*U + j - 1]) < least) least = r;
      table[i*U + j] = least + cost_of(d, x + i*D, y + j*D);
    }
  if (!(table[(n-1)*U + m - 1] < INFINITY)) return 0;

  /* back from the end; then the cells are turned round */
  int64_t i = n - 1, j = m - 1;
  while (true) {
    path[2*cells] = i;
    path[2*cells++ + 1] = j;
    if (i == 0 && j == 0) break;
    real both = i > 0 && j > 0 ? table[(i-1)*U + j - 1] : INFINITY;
    real in_x = i > 0 ? table[(i-1)*U + j] : INFINITY;
    real in_y = j > 0 ? table[i*U + j - 1] : INFINITY;
    bool diagonal = both <= in_x && both <= in_y, up = !diagonal && in_x <= in_y;
    i -= diagonal || up;
    j -= !up;
  }
  for (int64_t a = 0, b = cells - 1; a < b; a++, b--)
    for (int k = 0; k < 2; k++) {
      int64_t kept = path[2*a + k];
      path[2*a + k] = path[2*b + k];
      path[2*b + k] = kept;
    }
  return cells;
}
