/* rnn_cell.c - one step of a plain recurrent layer
 *
 *   h' = tanh(W_ih x + b_ih + W_hh h + b_hh)            or relu, by nonlinearity
 *
 *   h = crun.rnn_cell(x, h, w_ih, w_hh, b_ih, b_hh)          x [B D], h [B H]
 *
 * w_ih [H, D], w_hh [H, H]. The first state and the biases may be nil: zeros. */
#include "autograd/recurrent_layer.h"

enum { X, H0, W_IH, W_HH, B_IH, B_HH };
enum { NONLINEARITY };

static const cr_input inputs[] = {
  [X]    = { "x", "B D", CR_TREAL, 0 },
  [H0]   = { "h", "B H", CR_TREAL, CR_OPTIONAL },
  [W_IH] = { "w_ih", "G D", CR_TREAL, 0 },
  [W_HH] = { "w_hh", "G H", CR_TREAL, 0 },
  [B_IH] = { "b_ih", "G", CR_TREAL, CR_OPTIONAL },
  [B_HH] = { "b_hh", "G", CR_TREAL, CR_OPTIONAL },
  { 0 }
};
static const cr_output outputs[] = {
  { "h", "B H", CR_TREAL },
  { 0 }
};

static const cr_option options[] = {
  [NONLINEARITY] = { "nonlinearity", 0, 0, 0, "of the new state", CR_CHOICE, "tanh relu" },
  { 0 }
};

static cr_recurrent_kind kind_of(const cr_call *c) {
  return (int)c->option[NONLINEARITY] == 0 ? CR_RNN_TANH : CR_RNN_RELU;
}

static bool check(cr_call *c, cr_error *err) {
  return cr_recurrent_layer_check(c, kind_of(c), err);
}
static void forward(cr_call *c) { cr_recurrent_layer_forward(c, kind_of(c)); }
static void backward(cr_call *c) { cr_recurrent_layer_backward(c, kind_of(c)); }

const cr_op cr_op_rnn_cell = {
  .name = "rnn_cell", .help = "one step of a plain recurrent layer",
  .formula = "h' = tanh(W_ih x + b_ih + W_hh h + b_hh)",
  .paper = "Elman, \"Finding structure in time\", Cognitive Science 1990",
  .inputs = inputs, .outputs = outputs, .options = options,
  .backward_reads = 1u << X | 1u << W_IH | 1u << W_HH,
  .check = check, .forward = forward, .backward = backward,
};
