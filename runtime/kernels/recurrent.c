/* recurrent.c - see recurrent.h
 *
 * saved: the parts of every step after their sigmoid or tanh, [T B parts H], then [T B H]: lstm's
 * c, or gru's W_hn h + b_hn. Backward turns the parts of every step into gradients before their
 * sigmoid or tanh, and leaves the weights to one matrix product over all steps. */
#include "kernels/recurrent.h"

#include <string.h>
#include <tgmath.h>
#include "base/pool.h"
#include "kernels/gemm.h"

int cr_recurrent_parts(cr_recurrent_kind kind) {
  return kind == CR_RNN_LSTM ? 4 : kind == CR_RNN_GRU ? 3 : 1;
}

static int64_t width(const cr_recurrent *r) { return cr_recurrent_parts(r->kind) * r->H; }
static bool keeps_state(const cr_recurrent *r) {
  return r->kind == CR_RNN_LSTM || r->kind == CR_RNN_GRU;
}

size_t cr_recurrent_saved_bytes(const cr_recurrent *r) {
  return (size_t)(r->T * r->B * (width(r) + (keeps_state(r) ? r->H : 0))) * sizeof(real);
}

size_t cr_recurrent_scratch_bytes(const cr_recurrent *r, bool backward) {
  int64_t W = width(r), steps = r->T * r->B * W * (r->kind == CR_RNN_GRU ? 2 : 1);
  return (size_t)(backward ? steps + 2 * r->B * r->H : r->B * W) * sizeof(real);
}

/* One step as its rows see it: step t, the step before it in walking order, and where its numbers
 * are. */
typedef struct step {
  const cr_recurrent *r;
  int64_t t, W;
  real *parts, *state, *out;            /* of this step */
  const real *h, *c;                    /* before it; NULL: zeros */
  real *hh;                             /* forward: W_hh h, [B W] */
  real *dx, *dh_parts, *dh, *dc;        /* backward: of both halves of the parts, of h and c */
} step;

static step step_of(const cr_recurrent *r, int64_t number) {
  int64_t t = r->reverse ? r->T - 1 - number : number, before = r->reverse ? t + 1 : t - 1,
          BH = r->B * r->H;
  real *parts = r->saved, *state = parts + r->T * r->B * width(r);
  return (step){
    .r = r, .t = t, .W = width(r), .parts = parts + t * r->B * width(r), .state = state + t * BH,
    .out = r->out + t * BH, .h = number == 0 ? r->h0 : r->out + before * BH,
    .c = number == 0 ? r->c0 : state + before * BH, .hh = r->scratch,
  };
}

static bool is_padding(const step *s, int64_t b) {
  return s->r->length != NULL && s->t >= s->r->length[b];
}

static void hold(real *to, const real *from, int64_t n) {
  if (from) memcpy(to, from, (size_t)n * sizeof(real));
  else memset(to, 0, (size_t)n * sizeof(real));
}

static real sigmoid(real x) { return 1 / (1 + exp(-x)); }

static void forward_rows(void *context, int64_t begin, int64_t end) {
  const step *s = context;
  const cr_recurrent *r = s->r;
  int64_t H = r->H, W = s->W;
  for (int64_t b = begin; b < end; b++) {
    real *p = s->parts + b * W, *q = s->hh + b * W, *out = s->out + b * H,
         *state = s->state + b * H;
    if (is_padding(s, b)) {
      hold(out, s->h ? s->h + b * H : NULL, H);
      if (r->kind == CR_RNN_LSTM) hold(state, s->c ? s->c + b * H : NULL, H);
      continue;
    }
    for (int64_t j = 0; j < W; j++) {
      if (r->b_ih) p[j] += r->b_ih[j];
      if (r->b_hh) q[j] += r->b_hh[j];
    }
    for (int64_t j = 0; j < H; j++) {
      if (r->kind == CR_RNN_LSTM) {
        real i = sigmoid(p[j] + q[j]), f = sigmoid(p[H+j] + q[H+j]);
        real g = tanh(p[2*H+j] + q[2*H+j]), o = sigmoid(p[3*H+j] + q[3*H+j]);
        state[j] = i * g + (s->c ? f * s->c[b*H+j] : 0);
        out[j] = o * tanh(state[j]);
        p[j] = i, p[H+j] = f, p[2*H+j] = g, p[3*H+j] = o;
      } else if (r->kind == CR_RNN_GRU) {
        real reset = sigmoid(p[j] + q[j]), z = sigmoid(p[H + j] + q[H + j]),
             n = tanh(p[2 * H + j] + reset * q[2 * H + j]);
        state[j] = q[2*H+j];
        out[j] = (1 - z) * n + (s->h ? z * s->h[b*H+j] : 0);
        p[j] = reset, p[H+j] = z, p[2*H+j] = n;
      } else {
        real sum = p[j] + q[j];
        out[j] = r->kind == CR_RNN_TANH ? tanh(sum) : sum > 0 ? sum : 0;
      }
    }
  }
}

static int64_t grain(const cr_recurrent *r) {
  return r->H >= 2048 ? 1 : 2048 / (r->H > 1 ? r->H : 1);
}

void cr_recurrent_forward(const cr_recurrent *r) {
  int64_t W = width(r), BH = r->B * r->H;
  cr_gemm(false, true, r->T * r->B, W, r->D, r->x, r->D, r->w_ih, r->D, false, r->saved, W);
  for (int64_t number = 0; number < r->T; number++) {
    step s = step_of(r, number);
    if (s.h) cr_gemm(false, true, r->B, W, r->H, s.h, r->H, r->w_hh, r->H, false, s.hh, W);
    else memset(s.hh, 0, (size_t)(r->B * W) * sizeof(real));
    cr_pool_for(r->B, grain(r), forward_rows, &s);
  }
  if (r->T == 0) return;
  step last = step_of(r, r->T - 1);
  if (r->hn) memcpy(r->hn, last.out, (size_t)BH * sizeof(real));
  if (r->cn) memcpy(r->cn, last.state, (size_t)BH * sizeof(real));
}

static void backward_rows(void *context, int64_t begin, int64_t end) {
  const step *s = context;
  const cr_recurrent *r = s->r;
  int64_t H = r->H, W = s->W;
  for (int64_t b = begin; b < end; b++) {
    const real *p = s->parts + b * W, *g_out = r->g_out ? r->g_out + (s->t * r->B + b) * H : NULL;
    real *dx = s->dx + b * W, *dq = s->dh_parts + b * W;
    if (is_padding(s, b)) {
      for (int64_t j = 0; g_out && j < H; j++) s->dh[b * H + j] += g_out[j];
      memset(dx, 0, (size_t)W * sizeof(real));
      memset(dq, 0, (size_t)W * sizeof(real));
      continue;
    }
    for (int64_t j = 0; j < H; j++) {
      int64_t at = b * H + j;
      real d = s->dh[at] + (g_out ? g_out[j] : 0);
      if (r->kind == CR_RNN_LSTM) {
        real i = p[j], f = p[H+j], g = p[2*H+j], o = p[3*H+j], t = tanh(s->state[at]);
        real dc = s->dc[at] + d * o * (1 - t * t);
        dx[j] = dc * g * i * (1 - i);
        dx[H+j] = (s->c ? dc * s->c[at] : 0) * f * (1 - f);
        dx[2*H+j] = dc * i * (1 - g * g);
        dx[3*H+j] = d * t * o * (1 - o);
        s->dc[at] = dc * f;
        s->dh[at] = 0;
      } else if (r->kind == CR_RNN_GRU) {
        real reset = p[j], z = p[H + j], n = p[2 * H + j], h = s->h ? s->h[at] : 0,
             dn = d * (1 - z) * (1 - n * n);
        dx[j] = dq[j] = dn * s->state[at] * reset * (1 - reset);
        dx[H+j] = dq[H+j] = d * (h - n) * z * (1 - z);
        dx[2*H+j] = dn;
        dq[2*H+j] = dn * reset;
        s->dh[at] = d * z;
      } else {
        real h = s->out[at];
        dx[j] = r->kind == CR_RNN_TANH ? d * (1 - h * h) : h > 0 ? d : 0;
        s->dh[at] = 0;
      }
    }
  }
}

static void sum_rows(const real *g, int64_t rows, int64_t n, real *to) {
  enum { WIDTH = 64 };
  for (int64_t first = 0; to && first < n; first += WIDTH) {
    int64_t some = n - first < WIDTH ? n - first : WIDTH;
    double sum[WIDTH] = { 0 };
    for (int64_t i = 0; i < rows; i++)
      for (int64_t j = 0; j < some; j++) sum[j] += (double)g[i * n + first + j];
    for (int64_t j = 0; j < some; j++) to[first + j] = (real)sum[j];
  }
}

void cr_recurrent_backward(const cr_recurrent *r) {
  int64_t W = width(r), H = r->H, B = r->B, BH = B * H, rows = r->T * B;
  real *dx = r->scratch, *dq = r->kind == CR_RNN_GRU ? dx + rows * W : dx, *dh = dq + rows * W,
       *dc = dh + BH;
  hold(dh, r->g_hn, BH);
  hold(dc, r->g_cn, BH);
  for (int64_t number = r->T - 1; number >= 0; number--) {
    step s = step_of(r, number);
    s.dx = dx + s.t * B * W, s.dh_parts = dq + s.t * B * W, s.dh = dh, s.dc = dc;
    cr_pool_for(B, grain(r), backward_rows, &s);
    /* what is left in dh reaches the step before directly: gru's z h, and padding */
    cr_gemm(false, false, B, H, W, s.dh_parts, W, r->w_hh, H, true, dh, H);
  }
  if (r->gh0) memcpy(r->gh0, dh, (size_t)BH * sizeof(real));
  if (r->gc0) memcpy(r->gc0, dc, (size_t)BH * sizeof(real));
  if (r->gx) cr_gemm(false, false, rows, r->D, W, dx, W, r->w_ih, r->D, false, r->gx, r->D);
  if (r->gw_ih) cr_gemm(true, false, W, r->D, rows, dx, W, r->x, r->D, false, r->gw_ih, r->D);
  if (r->gw_hh) {
    /* all steps but the first see the result of the step before; the first sees h0 */
    int64_t later = r->T > 0 ? rows - B : 0, shift = B;
    const real *h = r->reverse ? r->out + shift * H : r->out, *d = r->reverse ? dq : dq + shift * W;
    cr_gemm(true, false, W, H, later, d, W, h, H, false, r->gw_hh, H);
    if (r->h0 && r->T > 0)
      cr_gemm(true, false, W, H, B, r->reverse ? dq + later * W : dq, W, r->h0, H, true, r->gw_hh,
              H);
  }
  sum_rows(dx, rows, W, r->gb_ih);
  sum_rows(dq, rows, W, r->gb_hh);
}
