/* lstm_cell.c - one step of an LSTM layer
 *
 *   i, f, o = sigmoid and g = tanh of the parts of W_ih x + b_ih + W_hh h + b_hh
 *   c' = f c + i g,  h' = o tanh(c')
 *
 *   h, c = crun.lstm_cell(x, h, c, w_ih, w_hh, b_ih, b_hh)          x [B D], h and c [B H]
 *
 * w_ih [4 H, D], w_hh [4 H, H]. The first state and the biases may be nil: zeros.
 * Rows of the weights: input, forget, cell, output, H each. */
#include "autograd/recurrent_layer.h"

enum { X, H0, C0, W_IH, W_HH, B_IH, B_HH };

static const cr_input inputs[] = {
  [X]    = { "x", "B D", CR_TREAL, 0 },
  [H0]   = { "h", "B H", CR_TREAL, CR_OPTIONAL },
  [C0]   = { "c", "B H", CR_TREAL, CR_OPTIONAL },
  [W_IH] = { "w_ih", "G D", CR_TREAL, 0 },
  [W_HH] = { "w_hh", "G H", CR_TREAL, 0 },
  [B_IH] = { "b_ih", "G", CR_TREAL, CR_OPTIONAL },
  [B_HH] = { "b_hh", "G", CR_TREAL, CR_OPTIONAL },
  { 0 }
};
static const cr_output outputs[] = {
  { "h", "B H", CR_TREAL },
  { "c", "B H", CR_TREAL },
  { 0 }
};

static bool check(cr_call *c, cr_error *err) {
  return cr_recurrent_layer_check(c, CR_RNN_LSTM, err);
}
static void forward(cr_call *c) { cr_recurrent_layer_forward(c, CR_RNN_LSTM); }
static void backward(cr_call *c) { cr_recurrent_layer_backward(c, CR_RNN_LSTM); }

const cr_op cr_op_lstm_cell = {
  .name = "lstm_cell", .help = "one step of an LSTM layer",
  .formula = "c' = f c + i g,  h' = o tanh(c')",
  .paper = "Hochreiter, Schmidhuber, \"Long short-term memory\", Neural Computation 1997",
  .inputs = inputs, .outputs = outputs,
  .backward_reads = 1u << X | 1u << W_IH | 1u << W_HH,
  .check = check, .forward = forward, .backward = backward,
};
