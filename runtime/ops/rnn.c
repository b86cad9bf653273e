/* rnn.c - a plain recurrent layer over a sequence
 *
 *   h' = tanh(W_ih x + b_ih + W_hh h + b_hh)            or relu, by nonlinearity
 *
 *   out, hn = crun.rnn(x, h0, w_ih, w_hh, b_ih, b_hh, lengths)
 *                                             x [T B D], out [T B H]
 *
 * w_ih [H, D], w_hh [H, H]. The first state and the biases may be nil: zeros.
 * lengths [B]: steps t > lengths[b] of a row are padding, hold its state (out repeats it)
 * and get no gradient.
 * reverse walks from the last step to the first; layers and both directions are stacked in Lua. */
#include "autograd/recurrent_layer.h"

enum { X, H0, W_IH, W_HH, B_IH, B_HH, LENGTHS };
enum { REVERSE, NONLINEARITY };

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
  [REVERSE]      = { "reverse", 0, 0, 1, "from the last step to the first", CR_FLAG },
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

const cr_op cr_op_rnn = {
  .name = "rnn", .help = "a plain recurrent layer over a sequence",
  .formula = "h' = tanh(W_ih x + b_ih + W_hh h + b_hh)",
  .paper = "Elman, \"Finding structure in time\", Cognitive Science 1990",
  .inputs = inputs, .outputs = outputs, .options = options,
  .backward_reads = 1u << X | 1u << W_IH | 1u << W_HH | 1u << LENGTHS,
  .check = check, .forward = forward, .backward = backward,
};
