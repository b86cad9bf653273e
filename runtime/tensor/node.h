/* node.h - how a tensor lets go of the call that computed it
 *
 * tensor/ knows nothing of the graph above it; autograd/ sets this when it first hangs a node on a tensor. */
#ifndef CR_TENSOR_NODE_H
#define CR_TENSOR_NODE_H

struct cr_call;
extern void (*cr_tensor_node_release)(struct cr_call *node);

#endif
