/* lstm.c - an LSTM layer over a sequence
 *
 *   i, f, o = sigmoid and g = tanh of the parts of W_ih x + b_ih + W_hh h + b_hh
 *   c' = f c + i g,  h' = o tanh(c')
 *
 *   out, hn, cn = crun.lstm(x, h0, c0, w_ih, w_hh, b_ih, b_hh, lengths)
 *                                             x [T B D], out [T B H]
 *
 * w_ih [4 H, D], w_hh [4 H, H]. The first state and the biases may be nil: zeros.
 * lengths [B]: steps t > lengths[b] of a row are padding, hold its state (out repeats it)
 * and get no gradient.
 * reverse walks from the last step to the first; layers and both directions are stacked in Lua.
 * Rows of the weights: input, forget, cell, output, H each. */
#include "autograd/recurrent_layer.h"

enum { X, H0, C0, W_IH, W_HH, B_IH, B_HH, LENGTHS };
enum { REVERSE };

static const cr_input inputs[] = {
  [X]    = { "x", "T B D", CR_TREAL, 0 },
  [H0]   = { "h0", "B H", CR_TREAL, CR_OPTIONAL },
  [C0]   = { "c0", "B H", CR_TREAL, CR_OPTIONAL },
  [W_IH] = { "w_ih", "G D", CR_TREAL, 0 },
  [W_HH] = { "w_hh", "G H", CR_TREAL, 0 },
  [B_IH] = { "b_ih", "G", CR_TREAL, CR_OPTIONAL },
  [B_HH] = { "b_hh", "G", CR_TREAL, CR_OPTIONAL },
  [LENGTHS] = { "lengths", "B", CR_TINT, CR_OPTIONAL | CR_NOGRAD },
  { 0 }
};
static const cr_output outputs[] = {
  { "out", "T B H", CR_TREAL },
  { "hn", "B H", CR_TREAL },
  { "cn", "B H", CR_TREAL },
  { 0 }
};

static const cr_option options[] = {
  [REVERSE] = { "reverse", 0, 0, 1, "from the last step to the first", CR_FLAG },
  { 0 }
};

static bool check(cr_call *c, cr_error *err) {
  return cr_recurrent_layer_check(c, CR_RNN_LSTM, err);
}
static void forward(cr_call *c) { cr_recurrent_layer_forward(c, CR_RNN_LSTM); }
static void backward(cr_call *c) { cr_recurrent_layer_backward(c, CR_RNN_LSTM); }

const cr_op cr_op_lstm = {
  .name = "lstm", .help = "an LSTM layer over a sequence",
  .formula = "c' = f c + i g,  h' = o tanh(c')",
  .paper = "Hochreiter, Schmidhuber, \"Long short-term memory\", Neural Computation 1997",
  .inputs = inputs, .outputs = outputs, .options = options,
  .backward_reads = 1u << X | 1u << W_IH | 1u << W_HH | 1u << LENGTHS,
  .check = check, .forward = forward, .backward = backward,
};
