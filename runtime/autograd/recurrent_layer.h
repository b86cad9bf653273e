/* recurrent_layer.h - what rnn, lstm, gru and their cells have in common
 *
 * Their descriptors have the inputs x, h0, (lstm: c0,) w_ih, w_hh, b_ih, b_hh, (over a sequence:
 * lengths) with the letters T B D H G of the shape lines, and the outputs out, (over a sequence: hn,) (lstm: cn). Over a
 * sequence, x is "T B D" and option 0 is `reverse`; a cell has "B D" and is a sequence of one
 * step. */
#ifndef CR_AUTOGRAD_RECURRENT_LAYER_H
#define CR_AUTOGRAD_RECURRENT_LAYER_H

#include "autograd/op.h"
#include "kernels/recurrent.h"

bool cr_recurrent_layer_check(cr_call *c, cr_recurrent_kind kind, cr_error *err);
void cr_recurrent_layer_forward(cr_call *c, cr_recurrent_kind kind);
void cr_recurrent_layer_backward(cr_call *c, cr_recurrent_kind kind);

#endif
