/* op.h - the descriptor: operators, losses, miners, metrics and optimiser steps are one kind of thing
 *
 * A concept is a function of tensors with named options. Its file defines one constant descriptor,
 *
 *   ops/relu.c       const cr_op cr_op_relu          crun.relu(x), x:relu()
 *   losses/x.c       const cr_op cr_loss_x           crun.losses.x { option = ... } (embeddings, labels)
 *   miners/x.c       const cr_op cr_miner_x          crun.miners.x { ... }
 *   metrics/x.c      const cr_op cr_metric_x         crun.metrics.x(..., { ... })
 *   optim/x.c        const cr_op cr_optim_x          crun.optim.step.x(param, grad, state..., { ... })
 *   data/x.c         const cr_op cr_data_x           crun.data.x(images, { ... })
 *
 * and the Makefile writes the registry from the file names. (A file of helpers without a descriptor lives in kernels/ or
 * base/, never in these rooms.)
 *
 * What happens in a call: the graph checks types and shapes by the shape lines; check() adds what they cannot say, sets the
 * shapes of outputs that have no shape line, and asks for memory (saved_bytes, scratch_bytes); the graph allocates; forward()
 * computes. In the backward walk the graph allocates gin[] and backward() fills it. forward and backward therefore
 * allocate nothing, own nothing and cannot fail.
 *
 * SHAPE LINES. Tokens separated by blanks, or "" for a scalar of 0 dimensions:
 *   an upper-case letter   binds that size (c->dim['B']); the same letter must mean the same size in every input
 *   a number               that size exactly
 *   "..."                  alone: any shape at all. First token: any leading dimensions, e.g. "... D"
 * Output shape lines may use letters bound by inputs, "=k" for the shape of input k, or NULL: check() sets it by cr_out_shape.
 *
 * CONTIGUITY. Inputs come contiguous (a packed copy is made when they are not) unless flagged CR_STRIDED. Outputs, gout and
 * gin are always contiguous. gin[i] has the shape of in[i].
 *
 * BACKWARD WRITES EVERY ELEMENT of gin[i] (which holds garbage before), for every i with gin[i] != NULL. The graph adds up
 * where a tensor is used twice. gout[k] is NULL when output k took no part in the loss: treat it as zero (with one output it
 * is never NULL). */
#ifndef CR_AUTOGRAD_OP_H
#define CR_AUTOGRAD_OP_H

#include "base/error.h"
#include "base/memory.h"
#include "tensor/tensor.h"

/* What an input or output may hold. CR_TREAL converts integers and bytes it is given to real (without gradient). */
typedef enum {
  CR_TREAL,     /* real */
  CR_TINT,      /* int64 */
  CR_TBYTE,     /* uint8: images, masks of 0 and 1 */
  CR_TANY,      /* whatever it is; look at ->dtype */
  CR_TSAME      /* inputs: all CR_TSAME inputs come in one type: int64 when all are int64, uint8 when all are, else real.
                   outputs: the type of the first input */
} cr_type;

enum {                          /* flags of an input */
  CR_OPTIONAL = 1,              /* may be nil: in[i] is NULL */
  CR_LIST     = 2,              /* the only input: a Lua array of tensors, in[0] .. in[n_in-1] */
  CR_STRIDED  = 4,              /* any strides will do */
  CR_NOGRAD   = 8,              /* never has a gradient (indices, labels, masks, statistics) */
  CR_INPLACE  = 16              /* forward changes it; must be contiguous and must not want a gradient itself
                                   (running statistics, parameters in an optimiser step) */
};

typedef struct cr_input {
  const char *name, *shape;
  cr_type type;
  unsigned flags;
} cr_input;

typedef struct cr_output {
  const char *name, *shape;     /* shape may be NULL: set by check() */
  cr_type type;
} cr_output;

typedef enum {
  CR_NUMBER,                    /* c->option[i], a double in [least, most] */
  CR_COUNT,                     /* the same, a whole number */
  CR_FLAG,                      /* 0 or 1; Lua true or false */
  CR_CHOICE,                    /* index into `choices`, names separated by blanks */
  CR_DIM,                       /* a dimension: 1-based (or negative from the end) in Lua, 0-based here; NAN: not given */
  CR_DIMS,                      /* several: c->list[i]; not given: n = 0 */
  CR_COUNTS,                    /* whole numbers: c->list[i]; one Lua number gives n = 1; not given: n = 0 */
  CR_INDEX,                     /* a row number: 1-based in Lua, 0-based here (negative from the end is left negative) */
  CR_TEXT                       /* c->text[i], a string; valid during check and forward only */
} cr_option_kind;

typedef struct cr_option {
  const char *name;
  double value, least, most;    /* default and range. Default NAN: may be left out, then NAN. */
  const char *help;
  cr_option_kind kind;
  const char *choices;
  bool required;
} cr_option;

typedef struct cr_list { int n; int64_t at[CR_MAX_DIMS]; } cr_list;

/* What backward reads; 0 means all inputs. Naming it lets the graph drop the rest at once. */
enum {
  CR_READS_NOTHING = 1 << 30,
  CR_READS_IN0 = 1 << 0, CR_READS_IN1 = 1 << 1, CR_READS_IN2 = 1 << 2, CR_READS_IN3 = 1 << 3, CR_READS_IN4 = 1 << 4,
  CR_READS_OUT0 = 1 << 16, CR_READS_OUT1 = 1 << 17
};

typedef struct cr_op cr_op;

typedef struct cr_call {
  const cr_op *op;
  int64_t refs;
  int n_in, n_out;
  cr_tensor **in;               /* NULL where an optional one is absent, or (in backward) not named in backward_reads */
  cr_tensor **out;              /* forward: where to write. backward: only those named in backward_reads */
  cr_tensor **gin, **gout;      /* backward only */
  double *option;
  cr_list *list;
  const char **text;
  double *stat;                 /* one number for each name in op->stats, set by forward */
  int64_t *dim;                 /* sizes by letter; kept for backward. Also free for own use by lower-case letters a..h */
  void *saved;                  /* saved_bytes, set by forward, read by backward */
  size_t saved_bytes;
  void *scratch;                /* scratch_bytes during forward, backward_scratch_bytes during backward */
  size_t scratch_bytes, backward_scratch_bytes;
  bool wants_grad;              /* forward will be followed by backward, perhaps: skip work for `saved` when false */
  bool want[8];                 /* wants_grad, input by input (the first eight) */
  struct cr_graph_link *link;   /* the graph's own: who feeds each input */
} cr_call;

struct cr_op {
  const char *name, *help;
  const char *formula, *paper, *differs;  /* for `crun help` and the docs; NULL where there is nothing to say */
  const cr_input *inputs;                 /* ends with { 0 } */
  const cr_output *outputs;               /* ends with { 0 }; NULL: one real scalar */
  const cr_option *options;               /* ends with { 0 }; NULL: none */
  const char *const *stats;               /* names, ends with NULL; NULL: none */
  unsigned backward_reads;
  bool (*check)(cr_call *c, cr_error *err);
  void (*forward)(cr_call *c);
  void (*backward)(cr_call *c);           /* NULL: the result has no gradient */
  /* A view: instead of forward. c->out[0] shares in[0]'s storage and comes with its shape; edit shape, stride, offset. */
  bool (*view)(cr_call *c, cr_error *err);
};

/* For check(): the shape (and, for outputs of CR_TSAME that differ, nothing else) of output k. */
void cr_out_shape(cr_call *c, int k, int ndim, const int64_t *shape);
/* Number of outputs actually wanted may be smaller than declared: */
void cr_out_count(cr_call *c, int n);

/* A dimension option against a tensor of ndim dimensions: normalises negatives, checks the range. */
bool cr_option_dim(cr_call *c, int option, int ndim, int *dim, cr_error *err);
/* CR_DIMS against ndim: a mask by dimension; n = 0 means all of them. Repeats are an error. */
bool cr_option_dims(cr_call *c, int option, int ndim, bool mask[CR_MAX_DIMS], cr_error *err);
/* CR_COUNTS of 1 or n numbers spread over n: out[0..n-1]. not given: fallback. */
bool cr_option_counts(cr_call *c, int option, int n, int64_t fallback, int64_t *out, cr_error *err);

#endif
