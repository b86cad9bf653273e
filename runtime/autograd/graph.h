/* graph.h - calls, and the backward walk over them
 *
 * A call that may need a gradient stays alive as a node: its outputs hold it, and it holds the calls that fed it and
 * whatever backward reads. A node never holds its own output, so there are no cycles. Everything that walks a graph walks
 * a list: a chain of a million operators is not a deep stack. */
#ifndef CR_AUTOGRAD_GRAPH_H
#define CR_AUTOGRAD_GRAPH_H

#include "autograd/op.h"

/* What can be worked out once about a descriptor. */
typedef struct cr_op_info {
  const cr_op *op;
  const char *room;             /* "ops", "losses", ... */
  char where[64];               /* what messages begin with: "relu", "losses.triplet" */
  int n_inputs, n_outputs, n_options, n_stats;
  bool takes_list;              /* the only input is a CR_LIST */
  bool letters;                 /* some shape line says more than "..." */
  bool lists, texts;            /* some option is a list, a text */
} cr_op_info;

cr_op_info cr_op_info_of(const cr_op *op, const char *room);

/* A call with its options at their defaults and no inputs. One reference, the caller's. n_in is the length of the list
 * for a CR_LIST operator and n_inputs otherwise. NULL on failure. */
cr_call *cr_call_new(const cr_op_info *info, int n_in, cr_error *err);
/* Checks, allocates, computes. The caller has set in[] (retained) and the options. On success out[0 .. n_out-1] hold
 * references, each of which cr_call_take must hand over before the call is released. */
bool cr_call_run(cr_call *c, cr_error *err);
cr_tensor *cr_call_take(cr_call *c, int k);
void cr_call_release(cr_call *c);

/* d(root)/d(leaf) is added to the grad of every leaf that wants one. grad: of root's shape; NULL: 1, for a root of
 * one element. Frees the graph as it walks; a second call is an error. */
bool cr_graph_backward(cr_tensor *root, cr_tensor *grad, cr_error *err);

bool cr_graph_enabled(void);
bool cr_graph_set_enabled(bool on);               /* returns what it was */

#endif
