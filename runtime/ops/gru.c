/* gru.c - a GRU layer over a sequence
 *
 *   r, z = sigmoid of the first two parts of W_ih x + b_ih + W_hh h + b_hh
 *   n = tanh(W_in x + b_in + r (W_hn h + b_hn)),  h' = (1 - z) n + z h
 *
 *   out, hn = crun.gru(x, h0, w_ih, w_hh, b_ih, b_hh, lengths)
 *                                             x [T B D], out [T B H]
 *
 * w_ih [3 H, D], w_hh [3 H, H]. The first state and the biases may be nil: zeros.
 * lengths [B]: steps t > lengths[b] of a row are padding, hold its state (out repeats it)
 * and get no gradient.
 * reverse walks from the last step to the first; layers and both directions are stacked in Lua.
 * Rows of the weights: reset, update, new, H each. */
#include "autograd/recurrent_layer.h"

enum { X, H0, W_IH, W_HH, B_IH, B_HH, LENGTHS };
enum { REVERSE };

static const cr_input inputs[] = {
  [X]    = { "x", "T B D", CR_TREAL, 0 },
  [H0]   = { "h0", "B H", CR_TREAL, CR_OPTIONAL },
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
  { 0 }
};

static const cr_option options[] = {
  [REVERSE] = { "reverse", 0, 0, 1, "from the last step to the first", CR_FLAG },
  { 0 }
};

static bool check(cr_call *c, cr_error *err) {
  return cr_recurrent_layer_check(c, CR_RNN_GRU, err);
}
static void forward(cr_call *c) { cr_recurrent_layer_forward(c, CR_RNN_GRU); }
static void backward(cr_call *c) { cr_recurrent_layer_backward(c, CR_RNN_GRU); }

const cr_op cr_op_gru = {
  .name = "gru", .help = "a GRU layer over a sequence",
  .formula = "n = tanh(W_in x + b_in + r (W_hn h + b_hn)),  h' = (1 - z) n + z h",
  .paper = "Cho et al., \"Learning phrase representations using RNN encoder-decoder\", EMNLP 2014",
  .inputs = inputs, .outputs = outputs, .options = options,
  .backward_reads = 1u << X | 1u << W_IH | 1u << W_HH | 1u << LENGTHS,
  .check = check, .forward = forward, .backward = backward,
};
