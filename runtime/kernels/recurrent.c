/* recurrent.c - see recurrent.h
 *
 * Rows of a batch know nothing of each other, so they are dealt into pieces, longest row first, one
 * to each piece in turn, and a piece walks all its steps in one block of the pool. Within a piece
 * the rows that are still running are the first ones: step t works on `running` rows and computes
 * no padding. What is kept of a step is kept for those rows only, piece by piece, step by step,
 * "packed": N = sum of lengths rows in all.
 *
 * saved: the rows of each piece and where its steps begin; then, packed, the parts after their
 * sigmoid or tanh [N, parts H], h before the step [N H], and [N H]: lstm's c before the step, or
 * gru's W_hn h + b_hn. Backward turns parts into gradients before their sigmoid or tanh, and leaves
 * the weights to one matrix product over all N rows. Pieces depend on B alone. */
#include "kernels/recurrent.h"

#include <string.h>
#include <tgmath.h>
#include "base/pool.h"
#include "base/region.h"
#include "kernels/gemm.h"
#include "kernels/vmath.h"

int cr_recurrent_parts(cr_recurrent_kind kind) {
  return kind == CR_RNN_LSTM ? 4 : kind == CR_RNN_GRU ? 3 : 1;
}

static int64_t width(const cr_recurrent *r) { return cr_recurrent_parts(r->kind) * r->H; }
static bool keeps_state(const cr_recurrent *r) {
  return r->kind == CR_RNN_LSTM || r->kind == CR_RNN_GRU;
}

/* ---- pieces, and what is where ---------------------------------------------------------------- */

static int64_t length_of(const cr_recurrent *r, int64_t b) {
  return r->length ? r->length[b] : r->T;
}

static int64_t rows_in_all(const cr_recurrent *r) {
  int64_t n = 0;
  for (int64_t b = 0; b < r->B; b++) n += length_of(r, b);
  return n;
}

/* Two as soon as each has 8 rows, then one for 32: a product of fewer rows does not repay reading
 * the weights. */
static int64_t pieces_of(const cr_recurrent *r) {
  return r->B >= 64 ? (r->B + 31) / 32 : r->B >= 16 ? 2 : 1;
}

typedef struct layout {
  const cr_recurrent *r;
  int64_t N, W, pieces;
  int64_t *order;               /* [B]: rows of the batch, piece by piece, the longest first */
  int64_t *start;               /* [pieces, T + 1]: the first packed row of a step */
  real *parts, *before, *state; /* packed */
  real *x, *gx;                 /* packed, [N D] */
  real *h, *c;                  /* [B H], in the order of `order`: where the walk is; gradients */
  real *q;                      /* forward: W_hh h, [B W] */
  real *w_hh;                   /* forward: turned, [H W] */
  real *b_ih, *b_hh;            /* forward: [W], zeros where there is none */
  real *dx, *dq;                /* backward: packed, of both halves of the parts */
} layout;

static layout lay_saved(const cr_recurrent *r, cr_region *g) {
  layout l = { .r = r, .N = rows_in_all(r), .W = width(r), .pieces = pieces_of(r) };
  l.order = cr_take(g, r->B, sizeof(int64_t));
  l.start = cr_take(g, l.pieces * (r->T + 1), sizeof(int64_t));
  l.parts = cr_take(g, l.N * l.W, sizeof(real));
  l.before = cr_take(g, l.N * r->H, sizeof(real));
  l.state = cr_take(g, keeps_state(r) ? l.N * r->H : 0, sizeof(real));
  return l;
}

static void lay_scratch(layout *l, cr_region *g, bool backward) {
  const cr_recurrent *r = l->r;
  l->x = cr_take(g, l->N * r->D, sizeof(real));
  l->h = cr_take(g, r->B * r->H, sizeof(real));
  l->c = cr_take(g, r->kind == CR_RNN_LSTM ? r->B * r->H : 0, sizeof(real));
  if (backward) {
    l->gx = cr_take(g, l->N * r->D, sizeof(real));
    l->dx = cr_take(g, l->N * l->W, sizeof(real));
    l->dq = r->kind == CR_RNN_GRU ? cr_take(g, l->N * l->W, sizeof(real)) : l->dx;
  } else {
    l->q = cr_take(g, r->B * l->W, sizeof(real));
    l->w_hh = cr_take(g, r->H * l->W, sizeof(real));
    l->b_ih = cr_take(g, l->W, sizeof(real));
    l->b_hh = cr_take(g, l->W, sizeof(real));
  }
}

size_t cr_recurrent_saved_bytes(const cr_recurrent *r) {
  cr_region g = { 0 };
  lay_saved(r, &g);
  return g.used;
}

size_t cr_recurrent_scratch_bytes(const cr_recurrent *r, bool backward) {
  cr_region ignored = { 0 }, g = { 0 };
  layout l = lay_saved(r, &ignored);
  lay_scratch(&l, &g, backward);
  return g.used;
}

static layout layout_of(const cr_recurrent *r, bool backward) {
  cr_region saved = { .base = r->saved }, scratch = { .base = r->scratch };
  layout l = lay_saved(r, &saved);
  lay_scratch(&l, &scratch, backward);
  return l;
}

/* The first place of a piece in `order`; that of the piece behind the last is B. */
static int64_t first_of(const layout *l, int64_t piece) {
  int64_t more = l->r->B % l->pieces;
  return piece * (l->r->B / l->pieces) + (piece < more ? piece : more);
}

/* Fills order and start. Rows of one length keep their order. */
static void deal(layout *l) {
  const cr_recurrent *r = l->r;
  int64_t place = 0, at = 0;
  int64_t *longer = l->start;                   /* by length: rows that are longer; [T + 1] fit */
  memset(longer, 0, (size_t)(r->T + 1) * sizeof *longer);
  for (int64_t b = 0; b < r->B; b++) longer[length_of(r, b)]++;
  for (int64_t t = r->T; t >= 0; t--) {
    int64_t here = longer[t];
    longer[t] = place;
    place += here;
  }
  for (int64_t b = 0; b < r->B; b++) {
    int64_t sorted = longer[length_of(r, b)]++;
    l->order[first_of(l, sorted % l->pieces) + sorted / l->pieces] = b;
  }
  for (int64_t k = 0; k < l->pieces; k++) {
    int64_t first = first_of(l, k), running = first_of(l, k + 1) - first;
    for (int64_t t = 0; t < r->T; t++) {
      while (running > 0 && length_of(r, l->order[first + running - 1]) <= t) running--;
      l->start[k * (r->T + 1) + t] = at;
      at += running;
    }
    l->start[k * (r->T + 1) + r->T] = at;
  }
}

/* ---- one row of one step ---------------------------------------------------------------------- */

/* p: the parts W_ih x, which become those after sigmoid or tanh; q: W_hh h; h and c before the
 * step, and then behind it. No two of the arrays overlap. */
CR_VECTOR static void forward_row(const layout *l, real *restrict p, const real *restrict q,
                                  real *restrict h, real *restrict c, real *restrict before,
                                  real *restrict state) {
  const real *restrict bi = l->b_ih, *restrict bh = l->b_hh;
  int64_t H = l->r->H;
  memcpy(before, h, (size_t)H * sizeof(real));
  switch (l->r->kind) {
    case CR_RNN_GRU:
#pragma GCC ivdep
      for (int64_t j = 0; j < H; j++) {
        real reset = cr_sigmoid(p[j] + bi[j] + (q[j] + bh[j])),
             z = cr_sigmoid(p[H + j] + bi[H + j] + (q[H + j] + bh[H + j])),
             hn = q[2 * H + j] + bh[2 * H + j],
             n = cr_tanh(p[2 * H + j] + bi[2 * H + j] + reset * hn);
        state[j] = hn;
        h[j] = (1 - z) * n + z * before[j];
        p[j] = reset, p[H + j] = z, p[2 * H + j] = n;
      }
      break;
    case CR_RNN_LSTM:
#pragma GCC ivdep
      for (int64_t j = 0; j < H; j++) {
        real i = cr_sigmoid(p[j] + bi[j] + (q[j] + bh[j])),
             f = cr_sigmoid(p[H + j] + bi[H + j] + (q[H + j] + bh[H + j])),
             g = cr_tanh(p[2 * H + j] + bi[2 * H + j] + (q[2 * H + j] + bh[2 * H + j])),
             o = cr_sigmoid(p[3 * H + j] + bi[3 * H + j] + (q[3 * H + j] + bh[3 * H + j]));
        state[j] = c[j];
        c[j] = i * g + f * state[j];
        h[j] = o * cr_tanh(c[j]);
        p[j] = i, p[H + j] = f, p[2 * H + j] = g, p[3 * H + j] = o;
      }
      break;
    case CR_RNN_TANH:
#pragma GCC ivdep
      for (int64_t j = 0; j < H; j++) h[j] = p[j] = cr_tanh(p[j] + bi[j] + (q[j] + bh[j]));
      break;
    case CR_RNN_RELU:
#pragma GCC ivdep
      for (int64_t j = 0; j < H; j++) {
        real sum = p[j] + bi[j] + (q[j] + bh[j]);
        h[j] = p[j] = sum > 0 ? sum : 0;
      }
      break;
  }
}

/* dh, dc: gradients behind the step, then what of them goes past the weights to the step before. */
CR_VECTOR static void backward_row(const layout *l, const real *restrict p,
                                   const real *restrict before, const real *restrict state,
                                   real *restrict dx, real *restrict dq, real *restrict dh,
                                   real *restrict dc) {
  int64_t H = l->r->H;
  switch (l->r->kind) {
    case CR_RNN_GRU:
#pragma GCC ivdep
      for (int64_t j = 0; j < H; j++) {
        real d = dh[j], reset = p[j], z = p[H + j], n = p[2 * H + j],
             dn = d * (1 - z) * (1 - n * n), dr = dn * state[j] * reset * (1 - reset),
             dz = d * (before[j] - n) * z * (1 - z);
        dx[j] = dr, dx[H + j] = dz, dx[2 * H + j] = dn;
        dq[j] = dr, dq[H + j] = dz, dq[2 * H + j] = dn * reset;
        dh[j] = d * z;
      }
      break;
    case CR_RNN_LSTM:
#pragma GCC ivdep
      for (int64_t j = 0; j < H; j++) {
        real d = dh[j], i = p[j], f = p[H + j], u = p[2 * H + j], o = p[3 * H + j],
             t = cr_tanh(i * u + f * state[j]), e = dc[j] + d * o * (1 - t * t);
        dx[j] = e * u * i * (1 - i);
        dx[H + j] = e * state[j] * f * (1 - f);
        dx[2 * H + j] = e * i * (1 - u * u);
        dx[3 * H + j] = d * t * o * (1 - o);
        dc[j] = e * f;
        dh[j] = 0;
      }
      break;
    case CR_RNN_TANH:
#pragma GCC ivdep
      for (int64_t j = 0; j < H; j++) {
        dx[j] = dh[j] * (1 - p[j] * p[j]);
        dh[j] = 0;
      }
      break;
    case CR_RNN_RELU:
#pragma GCC ivdep
      for (int64_t j = 0; j < H; j++) {
        dx[j] = p[j] > 0 ? dh[j] : 0;
        dh[j] = 0;
      }
      break;
  }
}

/* ---- the walk of a piece ---------------------------------------------------------------------- */

/* Rows of a [B H] array in the order of the piece, or zeros; and back. */
static void gather(const layout *l, int64_t piece, const real *from, real *to) {
  int64_t H = l->r->H;
  for (int64_t i = first_of(l, piece); i < first_of(l, piece + 1); i++) {
    if (from) memcpy(to + i * H, from + l->order[i] * H, (size_t)H * sizeof(real));
    else memset(to + i * H, 0, (size_t)H * sizeof(real));
  }
}

static void spread(const layout *l, int64_t piece, const real *from, real *to) {
  int64_t H = l->r->H;
  for (int64_t i = first_of(l, piece); to && i < first_of(l, piece + 1); i++)
    memcpy(to + l->order[i] * H, from + i * H, (size_t)H * sizeof(real));
}

/* The piece's rows of x, packed. */
static void gather_x(const layout *l, int64_t piece) {
  const cr_recurrent *r = l->r;
  const int64_t *start = l->start + piece * (r->T + 1), *order = l->order + first_of(l, piece);
  for (int64_t t = 0; t < r->T; t++)
    for (int64_t i = 0; i < start[t + 1] - start[t]; i++)
      memcpy(l->x + (start[t] + i) * r->D, r->x + (t * r->B + order[i]) * r->D,
             (size_t)r->D * sizeof(real));
}

static void forward_piece(void *context, int64_t piece, int worker) {
  (void)worker;
  const layout *l = context;
  const cr_recurrent *r = l->r;
  int64_t H = r->H, W = l->W, T = r->T, first = first_of(l, piece),
          rows = first_of(l, piece + 1) - first;
  const int64_t *start = l->start + piece * (T + 1), *order = l->order + first;
  real *h = l->h + first * H, *c = l->c ? l->c + first * H : NULL, *q = l->q + first * W;
  gather_x(l, piece);
  gather(l, piece, r->h0, l->h);
  if (r->kind == CR_RNN_LSTM) gather(l, piece, r->c0, l->c);
  cr_gemm_serial(false, true, start[T] - start[0], W, r->D, l->x + start[0] * r->D, r->D, r->w_ih,
                 r->D, false, l->parts + start[0] * W, W);
  for (int64_t number = 0; number < T; number++) {
    int64_t t = r->reverse ? T - 1 - number : number, at = start[t], running = start[t + 1] - at;
    cr_gemm_serial(false, false, running, W, H, h, H, l->w_hh, W, false, q, W);
    for (int64_t i = 0; i < running; i++)
      forward_row(l, l->parts + (at + i) * W, q + i * W, h + i * H, c ? c + i * H : NULL,
                  l->before + (at + i) * H, keeps_state(r) ? l->state + (at + i) * H : NULL);
    for (int64_t i = 0; i < rows; i++)
      memcpy(r->out + (t * r->B + order[i]) * H, h + i * H, (size_t)H * sizeof(real));
  }
  spread(l, piece, l->h, r->hn);
  spread(l, piece, l->c, r->cn);
}

static void backward_piece(void *context, int64_t piece, int worker) {
  (void)worker;
  const layout *l = context;
  const cr_recurrent *r = l->r;
  int64_t H = r->H, W = l->W, T = r->T, first = first_of(l, piece),
          rows = first_of(l, piece + 1) - first;
  const int64_t *start = l->start + piece * (T + 1), *order = l->order + first;
  real *dh = l->h + first * H, *dc = l->c ? l->c + first * H : NULL;
  if (r->gw_ih) gather_x(l, piece);
  gather(l, piece, r->g_hn, l->h);
  if (r->kind == CR_RNN_LSTM) gather(l, piece, r->g_cn, l->c);
  for (int64_t number = T - 1; number >= 0; number--) {
    int64_t t = r->reverse ? T - 1 - number : number, at = start[t], running = start[t + 1] - at;
    for (int64_t i = 0; i < rows; i++) {
      real *d = dh + i * H;
      if (r->g_out) {
        const real *g = r->g_out + (t * r->B + order[i]) * H;
        for (int64_t j = 0; j < H; j++) d[j] += g[j];
      }
      if (i >= running) continue;
      backward_row(l, l->parts + (at + i) * W, l->before + (at + i) * H,
                   keeps_state(r) ? l->state + (at + i) * H : NULL, l->dx + (at + i) * W,
                   l->dq + (at + i) * W, d, dc ? dc + i * H : NULL);
    }
    cr_gemm_serial(false, false, running, H, W, l->dq + at * W, W, r->w_hh, H, true, dh, H);
  }
  spread(l, piece, l->h, r->gh0);
  spread(l, piece, l->c, r->gc0);
}

/* ---- all of it -------------------------------------------------------------------------------- */

void cr_recurrent_forward(const cr_recurrent *r) {
  layout l = layout_of(r, false);
  deal(&l);
  for (int64_t i = 0; i < l.W; i++)
    for (int64_t j = 0; j < r->H; j++) l.w_hh[j * l.W + i] = r->w_hh[i * r->H + j];
  for (int64_t j = 0; j < l.W; j++) {
    l.b_ih[j] = r->b_ih ? r->b_ih[j] : 0;
    l.b_hh[j] = r->b_hh ? r->b_hh[j] : 0;
  }
  cr_pool_run(l.pieces, forward_piece, &l);
}

typedef struct { const real *g; int64_t rows, n; real *to; } columns;

CR_VECTOR static void sum_columns(void *context, int64_t begin, int64_t end) {
  enum { AT_ONCE = 32 };
  const columns *c = context;
  for (int64_t first = begin; first < end; first += AT_ONCE) {
    int64_t some = end - first < AT_ONCE ? end - first : AT_ONCE;
    double sum[AT_ONCE] = { 0 };
    for (int64_t i = 0; i < c->rows; i++) {
      const real *restrict g = c->g + i * c->n + first;
      if (some == AT_ONCE) for (int64_t j = 0; j < AT_ONCE; j++) sum[j] += (double)g[j];
      else                 for (int64_t j = 0; j < some; j++) sum[j] += (double)g[j];
    }
    for (int64_t j = 0; j < some; j++) c->to[first + j] = (real)sum[j];
  }
}

static void sum_rows(const real *g, int64_t rows, int64_t n, real *to) {
  columns c = { g, rows, n, to };
  if (to) cr_pool_for(n, rows * 64 > 20000 ? 64 : n, sum_columns, &c);
}

/* gx from its packed rows; padding gets none */
static void spread_gx(void *context, int64_t piece, int worker) {
  (void)worker;
  const layout *l = context;
  const cr_recurrent *r = l->r;
  const int64_t *start = l->start + piece * (r->T + 1), *order = l->order + first_of(l, piece);
  int64_t rows = first_of(l, piece + 1) - first_of(l, piece);
  size_t bytes = (size_t)r->D * sizeof(real);
  for (int64_t t = 0; t < r->T; t++)
    for (int64_t i = 0; i < rows; i++) {
      real *to = r->gx + (t * r->B + order[i]) * r->D;
      if (i < start[t + 1] - start[t]) memcpy(to, l->gx + (start[t] + i) * r->D, bytes);
      else memset(to, 0, bytes);
    }
}

void cr_recurrent_backward(const cr_recurrent *r) {
  layout l = layout_of(r, true);
  int64_t W = l.W, H = r->H, D = r->D, N = l.N;
  cr_pool_run(l.pieces, backward_piece, &l);
  if (r->gx) {
    cr_gemm(false, false, N, D, W, l.dx, W, r->w_ih, D, false, l.gx, D);
    cr_pool_run(l.pieces, spread_gx, &l);
  }
  if (r->gw_ih) cr_gemm(true, false, W, D, N, l.dx, W, l.x, D, false, r->gw_ih, D);
  if (r->gw_hh) cr_gemm(true, false, W, H, N, l.dq, W, l.before, H, false, r->gw_hh, H);
  sum_rows(l.dx, N, W, r->gb_ih);
  sum_rows(l.dq, N, W, r->gb_hh);
}
