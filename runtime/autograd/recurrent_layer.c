/* recurrent_layer.c - see recurrent_layer.h */
#include "autograd/recurrent_layer.h"

enum { X, H0, C0 };             /* lstm; without c0 the weights come one place earlier */

static real *reals(cr_tensor *const *t, int i) { return t[i] ? cr_reals(t[i]) : NULL; }

static bool is_cell(const cr_call *c) { return c->op->inputs[X].shape[0] != 'T'; }
static int first_weight(cr_recurrent_kind kind) { return kind == CR_RNN_LSTM ? C0 + 1 : C0; }
static int last_state(const cr_call *c) { return is_cell(c) ? 1 : 2; }       /* the output cn */

/* The steps of each row; NULL when all have all of them. */
static const int64_t *lengths_of(const cr_call *c, cr_recurrent_kind kind) {
  cr_tensor *lengths = is_cell(c) ? NULL : c->in[first_weight(kind) + 4];
  return lengths != NULL ? cr_ints(lengths) : NULL;
}

static cr_recurrent job_of(const cr_call *c, cr_recurrent_kind kind) {
  int w = first_weight(kind);
  return (cr_recurrent){
    .kind = kind,
    .reverse = !is_cell(c) && c->option[0] != 0,
    .T = is_cell(c) ? 1 : c->dim['T'],
    .B = c->dim['B'],
    .D = c->dim['D'],
    .H = c->dim['H'],
    .x = reals(c->in, X),
    .h0 = reals(c->in, H0),
    .c0 = kind == CR_RNN_LSTM ? reals(c->in, C0) : NULL,
    .w_ih = reals(c->in, w),
    .w_hh = reals(c->in, w + 1),
    .b_ih = reals(c->in, w + 2),
    .b_hh = reals(c->in, w + 3),
    .length = lengths_of(c, kind),
    .saved = c->saved,
    .scratch = c->scratch,
  };
}

bool cr_recurrent_layer_check(cr_call *c, cr_recurrent_kind kind, cr_error *err) {
  cr_recurrent job = job_of(c, kind);
  int parts = cr_recurrent_parts(kind);
  if (c->dim['G'] != parts * job.H)
    return cr_fail(err, CR_ESHAPE,
                   "w_ih must have %d H = %lld rows with H = %lld as in w_hh, got %lld", parts,
                   (long long)(parts * job.H), (long long)job.H, (long long)c->dim['G']);
  if (job.T < 1) return cr_fail(err, CR_ESHAPE, "x must have 1 step or more, got 0");
  for (int64_t b = 0; job.length != NULL && b < job.B; b++)
    if (job.length[b] < 0 || job.length[b] > job.T)
      return cr_fail(err, CR_EVALUE, "lengths must be in 0 .. T = %lld, row %lld has %lld",
                     (long long)job.T, (long long)(b + 1), (long long)job.length[b]);
  c->saved_bytes = cr_recurrent_saved_bytes(&job);
  c->scratch_bytes = cr_recurrent_scratch_bytes(&job, false);
  c->backward_scratch_bytes = cr_recurrent_scratch_bytes(&job, true);
  return true;
}

void cr_recurrent_layer_forward(cr_call *c, cr_recurrent_kind kind) {
  cr_recurrent job = job_of(c, kind);
  job.out = reals(c->out, 0);
  if (!is_cell(c)) job.hn = reals(c->out, 1);
  if (kind == CR_RNN_LSTM) job.cn = reals(c->out, last_state(c));
  cr_recurrent_forward(&job);
}

void cr_recurrent_layer_backward(cr_call *c, cr_recurrent_kind kind) {
  cr_recurrent job = job_of(c, kind);
  int w = first_weight(kind);
  job.g_out = reals(c->gout, 0);
  if (!is_cell(c)) job.g_hn = reals(c->gout, 1);
  if (kind == CR_RNN_LSTM) {
    job.g_cn = reals(c->gout, last_state(c));
    job.gc0 = reals(c->gin, C0);
  }
  job.gx = reals(c->gin, X), job.gh0 = reals(c->gin, H0);
  job.gw_ih = reals(c->gin, w), job.gw_hh = reals(c->gin, w + 1);
  job.gb_ih = reals(c->gin, w + 2), job.gb_hh = reals(c->gin, w + 3);
  cr_recurrent_backward(&job);
}
