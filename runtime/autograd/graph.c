/* graph.c - see graph.h and op.h
 *
 * A call is one block: the struct, then its arrays. The link, allocated only for a call that becomes a node, holds who feeds
 * each input, the version of every tensor that backward will read, and the walk's own counters. */
#include "autograd/graph.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "autograd/shape_line.h"
#include "base/pool.h"
#include "tensor/node.h"

typedef struct edge {
  cr_call *node;                /* the call that computed this input, retained; or */
  cr_tensor *leaf;              /* the leaf that wants a gradient, retained; or neither */
  int output, ndim;
  int64_t shape[CR_MAX_DIMS];
} edge;

struct cr_graph_link {
  cr_call *next;                /* in the walk's list, or the list of calls to free */
  int64_t pending;              /* edges into this node that have not delivered yet */
  bool seen, spent;
  uint64_t *version;            /* of in[i] and then out[k], where backward reads them */
  edge edges[];                 /* one for each input */
};

static bool enabled = true;

bool cr_graph_enabled(void) { return enabled; }

bool cr_graph_set_enabled(bool on) {
  bool was = enabled;
  enabled = on;
  return was;
}

/* ---- descriptors -------------------------------------------------------------------------------------- */

cr_op_info cr_op_info_of(const cr_op *op, const char *room) {
  static const cr_output one_scalar[] = { { "result", "", CR_TREAL }, { 0 } };
  const cr_output *outputs = op->outputs ? op->outputs : one_scalar;
  cr_op_info info = { .op = op, .room = room };
  bool plain = strcmp(room, "ops") == 0;
  snprintf(info.where, sizeof info.where, "%s%s%s", plain ? "" : room, plain ? "" : ".", op->name);
  for (const cr_input *in = op->inputs; in && in->name; in++) {
    info.n_inputs++;
    info.takes_list |= (in->flags & CR_LIST) != 0;
    info.letters |= cr_shape_line_has_letters(in->shape);
  }
  for (; outputs[info.n_outputs].name; info.n_outputs++) { }
  for (const cr_option *o = op->options; o && o->name; o++) {
    info.n_options++;
    info.lists |= o->kind == CR_DIMS || o->kind == CR_COUNTS;
    info.texts |= o->kind == CR_TEXT;
  }
  for (const char *const *s = op->stats; s && *s; s++) info.n_stats++;
  return info;
}

/* ---- the life of a call ------------------------------------------------------------------------------- */

static void *carve(unsigned char **at, size_t bytes) {
  void *p = *at;
  *at += (bytes + 7) & ~(size_t)7;
  return p;
}

cr_call *cr_call_new(const cr_op_info *info, int n_in, cr_error *err) {
  size_t in = (size_t)n_in, out = (size_t)info->n_outputs, options = (size_t)info->n_options;
  size_t bytes = sizeof(cr_call) + (2 * in + 2 * out) * sizeof(cr_tensor *) +
                 options * sizeof(double) + (size_t)info->n_stats * sizeof(double);
  if (info->lists) bytes += options * sizeof(cr_list);
  if (info->texts) bytes += options * sizeof(char *);
  if (info->letters) bytes += 128 * sizeof(int64_t);
  cr_call *c = cr_alloc(bytes, err);
  if (c == NULL) return NULL;
  unsigned char *at = (unsigned char *)(c + 1);
  memset(c, 0, sizeof *c);
  c->op = info->op;
  c->refs = 1;
  c->n_in = n_in;
  c->n_out = info->n_outputs;
  c->in = carve(&at, in * sizeof(cr_tensor *));
  c->gin = carve(&at, in * sizeof(cr_tensor *));
  c->out = carve(&at, out * sizeof(cr_tensor *));
  c->gout = carve(&at, out * sizeof(cr_tensor *));
  memset(c->in, 0, (2 * in + 2 * out) * sizeof(cr_tensor *));
  c->option = carve(&at, options * sizeof(double));
  c->stat = carve(&at, (size_t)info->n_stats * sizeof(double));
  if (info->lists) c->list = carve(&at, options * sizeof(cr_list));
  if (info->texts) c->text = carve(&at, options * sizeof(char *));
  if (info->letters) c->dim = carve(&at, 128 * sizeof(int64_t));
  for (size_t i = 0; i < options; i++) {
    c->option[i] = info->op->options[i].value;
    if (info->lists) c->list[i].n = 0;
    if (info->texts) c->text[i] = NULL;
  }
  for (int i = 0; i < info->n_stats; i++) c->stat[i] = 0;
  return c;
}

static void release_all(cr_tensor **t, int n) {
  for (int i = 0; i < n; i++) {
    cr_tensor *gone = t[i];
    t[i] = NULL;
    cr_tensor_release(gone);
  }
}

/* Lets go of what backward would have read: a node that has run keeps nothing. */
static void drop_contents(cr_call *c) {
  release_all(c->in, c->n_in);
  release_all(c->out, c->n_out);
  release_all(c->gin, c->n_in);
  release_all(c->gout, c->n_out);
  cr_free(c->saved);
  cr_free(c->scratch);
  c->saved = c->scratch = NULL;
}

static void drop_edges(cr_call *c) {
  for (int i = 0; i < c->n_in; i++) {
    edge *e = &c->link->edges[i];
    cr_call *node = e->node;
    cr_tensor *leaf = e->leaf;
    e->node = NULL;
    e->leaf = NULL;
    if (node != NULL) cr_call_release(node);
    cr_tensor_release(leaf);
  }
}

/* Freeing a call lets go of the calls that fed it: they are put on a list that the outermost release empties. */
void cr_call_release(cr_call *c) {
  static cr_call *doomed;
  static bool draining;
  if (--c->refs > 0) return;
  if (c->link == NULL) {                      /* not a node: nobody can be below it */
    drop_contents(c);
    cr_free(c);
    return;
  }
  c->link->next = doomed;
  doomed = c;
  if (draining) return;
  draining = true;
  while (doomed != NULL) {
    cr_call *dead = doomed;
    doomed = dead->link->next;
    drop_contents(dead);
    drop_edges(dead);
    cr_free(dead->link);
    cr_free(dead);
  }
  draining = false;
}

/* ---- forward ------------------------------------------------------------------------------------------ */

static const cr_input *input_of(const cr_call *c, int i) {
  const cr_input *inputs = c->op->inputs;
  return (inputs[0].flags & CR_LIST) ? &inputs[0] : &inputs[i];
}

/* "labels", or "tensors[3]" for the third of a list */
static const char *input_name(const cr_call *c, int i, char *text, size_t size) {
  const cr_input *spec = input_of(c, i);
  if (spec->flags & CR_LIST) snprintf(text, size, "%s[%d]", spec->name, i + 1);
  else snprintf(text, size, "%s", spec->name);
  return text;
}

static bool is_wanted(const cr_tensor *t) {
  return t->dtype == CR_REAL && (t->requires_grad || t->node != NULL);
}

static cr_dtype common_dtype(const cr_call *c) {
  bool all_int = true, all_byte = true;
  for (int i = 0; i < c->n_in; i++) {
    if (c->in[i] == NULL || input_of(c, i)->type != CR_TSAME) continue;
    all_int &= c->in[i]->dtype == CR_INT;
    all_byte &= c->in[i]->dtype == CR_BYTE;
  }
  return all_int ? CR_INT : all_byte ? CR_BYTE : CR_REAL;
}

static bool replace(cr_tensor **slot, cr_tensor *by) {
  if (by == NULL) return false;
  cr_tensor_release(*slot);
  *slot = by;
  return true;
}

static bool convert(cr_call *c, int i, cr_dtype dtype, cr_error *err) {
  return c->in[i]->dtype == dtype || replace(&c->in[i], cr_tensor_as(c->in[i], dtype, err));
}

/* Types, contiguity. The edge of an input is taken before it is replaced by a packed copy. */
static bool prepare_input(cr_call *c, int i, cr_dtype common, cr_error *err) {
  const cr_input *spec = input_of(c, i);
  cr_tensor *t = c->in[i];
  char name[64];
  if (t == NULL) {
    if (spec->flags & CR_OPTIONAL) return true;
    return cr_fail(err, CR_ETYPE, "%s is missing", input_name(c, i, name, sizeof name));
  }
  switch (spec->type) {
    case CR_TREAL:
      if (!convert(c, i, CR_REAL, err)) return false;
      break;
    case CR_TSAME:
      if (!convert(c, i, common, err)) return false;
      break;
    case CR_TINT:
    case CR_TBYTE: {
      cr_dtype want = spec->type == CR_TINT ? CR_INT : CR_BYTE;
      if (t->dtype != want)
        return cr_fail(err, CR_ETYPE, "%s must be %s, got %s", input_name(c, i, name, sizeof name),
                       cr_dtype_name(want), cr_dtype_name(t->dtype));
      break;
    }
    case CR_TANY:
      break;
  }
  if ((spec->flags & CR_STRIDED) || cr_tensor_is_contiguous(c->in[i])) return true;
  if (spec->flags & CR_INPLACE)
    return cr_fail(err, CR_ESHAPE, "%s is changed in place and must be contiguous",
                   input_name(c, i, name, sizeof name));
  return replace(&c->in[i], cr_tensor_contiguous(c->in[i], err));
}

void cr_out_shape(cr_call *c, int k, int ndim, const int64_t *shape) {
  if (k >= c->n_out) return;                    /* not wanted: cr_out_count came first */
  cr_dtype dtype = CR_REAL;
  const cr_output *o = c->op->outputs ? &c->op->outputs[k] : NULL;
  if (o != NULL && o->type == CR_TINT) dtype = CR_INT;
  if (o != NULL && o->type == CR_TBYTE) dtype = CR_BYTE;
  if (o != NULL && (o->type == CR_TSAME || o->type == CR_TANY)) dtype = c->in[0]->dtype;
  cr_tensor_release(c->out[k]);
  cr_error ignored;
  c->out[k] = cr_tensor_new(dtype, ndim, shape, &ignored);   /* NULL: cr_call_run says so */
}

void cr_out_count(cr_call *c, int n) {
  assert(n >= 0 && n <= c->n_out);
  release_all(c->out + n, c->n_out - n);        /* whose shape was set already */
  c->n_out = n;
}

static bool allocate_outputs(cr_call *c, cr_error *err) {
  for (int k = 0; k < c->n_out; k++) {
    if (c->out[k] != NULL) continue;
    const cr_output *o = c->op->outputs ? &c->op->outputs[k] : NULL;
    if (o != NULL && o->shape == NULL) {
      /* check() set it and memory was short, or check() forgot */
      return cr_fail(err, CR_EMEMORY, "out of memory for %s", o->name);
    }
    int ndim = 0;
    int64_t shape[CR_MAX_DIMS];
    if (o != NULL) cr_shape_line_output(o->shape, c, &ndim, shape);
    cr_out_shape(c, k, ndim, shape);
    if (c->out[k] == NULL) {
      char text[CR_SHAPE_TEXT];
      cr_memory_stats m = cr_memory();
      return cr_fail(err, CR_EMEMORY,
                     "out of memory for a result of shape %s: %zu bytes are in use%s",
                     cr_shape_text(ndim, shape, text), m.live_bytes,
                     m.ceiling_bytes ? " below the ceiling" : "");
    }
  }
  return true;
}

static bool make_view(cr_call *c, cr_error *err) {
  cr_tensor_release(c->out[0]);
  c->out[0] = cr_tensor_view(c->in[0], err);
  return c->out[0] != NULL && c->op->view(c, err);
}

static void take_edges(cr_call *c, cr_tensor *const *given, struct cr_graph_link *link) {
  for (int i = 0; i < c->n_in; i++) {
    edge *e = &link->edges[i];
    const cr_tensor *t = given[i];
    e->node = NULL;
    e->leaf = NULL;
    if (t == NULL || (input_of(c, i)->flags & CR_NOGRAD) || !is_wanted(t)) continue;
    if (t->node != NULL) {
      e->node = t->node;
      e->node->refs++;
    } else {
      e->leaf = cr_tensor_retain(given[i]);
    }
    e->output = t->node_output;
    e->ndim = t->ndim;
    for (int d = 0; d < t->ndim; d++) e->shape[d] = t->shape[d];
  }
}

static bool reads_input(const cr_op *op, int i) {
  return op->backward_reads == 0 || (i < 16 && (op->backward_reads & (1u << i)));
}

static bool reads_output(const cr_op *op, int k) {
  return k < 8 && (op->backward_reads & (CR_READS_OUT0 << k)) != 0 &&
         !(op->backward_reads & CR_READS_NOTHING);
}

/* Keeps what backward reads, lets the rest go, and hangs the call on its outputs. */
static bool become_node(cr_call *c, struct cr_graph_link *link, cr_error *err) {
  cr_tensor *kept[16] = { 0 };
  for (int k = 0; k < c->n_out && k < 8; k++) {
    if (!reads_output(c->op, k)) continue;
    kept[k] = cr_tensor_view(c->out[k], err);
    if (kept[k] == NULL) {
      release_all(kept, k);
      return false;
    }
  }
  for (int i = 0; i < c->n_in; i++) {
    if (!reads_input(c->op, i)) {
      cr_tensor_release(c->in[i]);
      c->in[i] = NULL;
    }
    if (c->in[i] != NULL) link->version[i] = c->in[i]->storage->version;
  }
  c->link = link;
  cr_tensor_node_release = cr_call_release;
  for (int k = 0; k < c->n_out; k++) {
    cr_tensor *out = c->out[k];
    /* outputs move to gout for the moment; `out` holds what backward reads */
    if (out->dtype == CR_REAL) {
      out->node = c;
      out->node_output = k;
      c->refs++;
    }
    c->gout[k] = out;
    c->out[k] = k < 8 ? kept[k] : NULL;
    if (c->out[k] != NULL) link->version[c->n_in + k] = c->out[k]->storage->version;
  }
  return true;
}

static bool compute(cr_call *c, cr_error *err) {
  if (c->op->check != NULL && !c->op->check(c, err)) return false;
  if (!allocate_outputs(c, err)) return false;
  if (c->saved_bytes > 0 && (c->saved = cr_alloc(c->saved_bytes, err)) == NULL) return false;
  if (c->scratch_bytes > 0 && (c->scratch = cr_alloc(c->scratch_bytes, err)) == NULL) return false;
  for (int i = 0; i < c->n_in; i++)
    if (c->in[i] != NULL && (input_of(c, i)->flags & CR_INPLACE)) c->in[i]->storage->version++;
  c->op->forward(c);
  cr_free(c->scratch);
  c->scratch = NULL;
  return true;
}

static struct cr_graph_link *new_link(const cr_call *c, cr_error *err) {
  size_t edges = sizeof(struct cr_graph_link) + (size_t)c->n_in * sizeof(edge);
  struct cr_graph_link *link =
    cr_alloc(edges + (size_t)(c->n_in + c->n_out) * sizeof(uint64_t), err);
  if (link == NULL) return NULL;
  link->next = NULL;
  link->pending = 0;
  link->seen = link->spent = false;
  link->version = (uint64_t *)(void *)((unsigned char *)link + edges);
  return link;
}

bool cr_call_run(cr_call *c, cr_error *err) {
  const cr_op *op = c->op;
  struct cr_graph_link *link = NULL;
  if (enabled && op->backward != NULL) {
    for (int i = 0; i < c->n_in; i++) {
      bool want = c->in[i] != NULL && !(input_of(c, i)->flags & CR_NOGRAD) && is_wanted(c->in[i]);
      if (i < 8) c->want[i] = want;
      c->wants_grad |= want;
    }
    if (c->wants_grad) {
      for (int i = 0; i < c->n_in; i++)
        if (c->in[i] != NULL && (input_of(c, i)->flags & CR_INPLACE) && is_wanted(c->in[i]))
          return cr_fail(err, CR_EGRAPH, "%s is changed in place and cannot want a gradient",
                         input_of(c, i)->name);
      link = new_link(c, err);
      if (link == NULL) return false;
      take_edges(c, c->in, link);
    }
  }
  bool ok = true, same_known = false;
  cr_dtype common = CR_REAL;
  for (int i = 0; ok && i < c->n_in; i++) {
    if (!same_known && input_of(c, i)->type == CR_TSAME) {
      common = common_dtype(c);
      same_known = true;
    }
    ok = prepare_input(c, i, common, err);
  }
  ok = ok && (c->dim == NULL || cr_shape_lines_check(c, err));
  ok = ok && (op->view != NULL ? make_view(c, err) : compute(c, err));
  ok = ok && (link == NULL || become_node(c, link, err));
  if (!ok && link != NULL) {
    c->link = link;
    drop_edges(c);
    c->link = NULL;
    cr_free(link);
  }
  return ok;
}

cr_tensor *cr_call_take(cr_call *c, int k) {
  cr_tensor **slot = c->link != NULL ? &c->gout[k] : &c->out[k];
  cr_tensor *t = *slot;
  *slot = NULL;
  return t;
}

/* ---- backward ----------------------------------------------------------------------------------------- */

/* Every node below root, on a list; pending counts the edges into each. */
static void count_edges(cr_call *root) {
  cr_call *todo = root;
  root->link->seen = true;
  root->link->next = NULL;
  while (todo != NULL) {
    cr_call *c = todo;
    todo = c->link->next;
    for (int i = 0; i < c->n_in; i++) {
      cr_call *below = c->link->edges[i].node;
      if (below == NULL) continue;
      below->link->pending++;
      if (below->link->seen) continue;
      below->link->seen = true;
      below->link->next = todo;
      todo = below;
    }
  }
}

typedef struct { real *sum; const real *term; } addition;

CR_VECTOR static void add_range(void *context, int64_t begin, int64_t end) {
  const addition *a = context;
  real *restrict sum = a->sum;
  const real *restrict term = a->term;
  for (int64_t i = begin; i < end; i++) sum[i] += term[i];
}

/* *sum += t, or *sum = t; takes the reference to t. */
static void accumulate(cr_tensor **sum, cr_tensor *t) {
  if (*sum == NULL) {
    *sum = t;
    return;
  }
  addition a = { cr_reals(*sum), cr_reals(t) };
  cr_pool_for(cr_tensor_numel(t), 1 << 16, add_range, &a);
  (*sum)->storage->version++;
  cr_tensor_release(t);
}

static bool unchanged(const cr_call *c, cr_error *err) {
  for (int i = 0; i < c->n_in; i++)
    if (c->in[i] != NULL && c->in[i]->storage->version != c->link->version[i]) {
      char name[64];
      return cr_fail(err, CR_EGRAPH,
                     "backward of %s needs %s, which was changed in place after it was used",
                     c->op->name, input_name(c, i, name, sizeof name));
    }
  for (int k = 0; k < c->n_out; k++)
    if (c->out[k] != NULL && c->out[k]->storage->version != c->link->version[c->n_in + k])
      return cr_fail(err, CR_EGRAPH,
                     "backward of %s needs its own result, which was changed in place", c->op->name);
  return true;
}

/* One node: gout is complete; computes gin and hands it to the nodes and leaves below. */
static bool step(cr_call *c, cr_error *err) {
  if (c->link->spent)
    return cr_fail(err, CR_EGRAPH,
                   "the graph below %s is gone: backward has already been through it", c->op->name);
  bool reached = false;
  for (int k = 0; k < c->n_out; k++) reached |= c->gout[k] != NULL;
  if (reached) {
    if (!unchanged(c, err)) return false;
    for (int i = 0; i < c->n_in; i++) {
      edge *e = &c->link->edges[i];
      if (e->node == NULL && e->leaf == NULL) continue;
      c->gin[i] = cr_tensor_new(CR_REAL, e->ndim, e->shape, err);
      if (c->gin[i] == NULL) return cr_fail_in(err, c->op->name);
    }
    if (c->backward_scratch_bytes > 0) {
      c->scratch = cr_alloc(c->backward_scratch_bytes, err);
      if (c->scratch == NULL) return cr_fail_in(err, c->op->name);
    }
    c->op->backward(c);
    for (int i = 0; i < c->n_in; i++) {
      edge *e = &c->link->edges[i];
      if (c->gin[i] == NULL) continue;
      accumulate(e->node != NULL ? &e->node->gout[e->output] : &e->leaf->grad, c->gin[i]);
      c->gin[i] = NULL;
    }
  }
  c->link->spent = true;
  drop_contents(c);
  return true;
}

/* Nodes in an order in which each has its whole gradient before it runs. After a failure the walk goes on without
 * computing, so that what is left of the graph is spent and holds nothing. Each node on the list is held by the list. */
static bool walk(cr_call *root, cr_error *err) {
  bool ok = true;
  cr_call *ready = root;
  root->link->next = NULL;
  root->refs++;
  while (ready != NULL) {
    cr_call *c = ready;
    ready = c->link->next;
    ok = ok && step(c, err);
    if (!ok) {
      c->link->spent = true;
      drop_contents(c);
    }
    for (int i = 0; i < c->n_in; i++) {
      cr_call *below = c->link->edges[i].node;
      if (below == NULL || --below->link->pending > 0) continue;
      below->link->next = ready;
      below->refs++;
      ready = below;
    }
    drop_edges(c);
    cr_call_release(c);
  }
  return ok;
}

static cr_tensor *seed_gradient(const cr_tensor *root, cr_tensor *grad, cr_error *err) {
  char want[CR_SHAPE_TEXT], got[CR_SHAPE_TEXT];
  if (grad == NULL) {
    if (cr_tensor_numel(root) != 1) {
      cr_fail(err, CR_ESHAPE, "backward starts from one number, got shape %s: give a gradient or reduce",
              cr_shape_text(root->ndim, root->shape, got));
      return NULL;
    }
    cr_tensor *one = cr_tensor_new(CR_REAL, root->ndim, root->shape, err);
    if (one != NULL) *cr_reals(one) = 1;
    return one;
  }
  if (!cr_tensor_same_shape(root, grad) || grad->dtype != CR_REAL) {
    cr_fail(err, CR_ESHAPE, "the gradient must be %s of shape %s, got %s of shape %s", CR_REAL_NAME,
            cr_shape_text(root->ndim, root->shape, want), cr_dtype_name(grad->dtype),
            cr_shape_text(grad->ndim, grad->shape, got));
    return NULL;
  }
  return cr_tensor_as(grad, CR_REAL, err);
}

bool cr_graph_backward(cr_tensor *root, cr_tensor *grad, cr_error *err) {
  if (root->node == NULL && !root->requires_grad)
    return cr_fail(err, CR_EGRAPH, "backward: this tensor depends on nothing that wants a gradient");
  cr_tensor *seed = seed_gradient(root, grad, err);
  if (seed == NULL) return false;
  if (root->node == NULL) {
    accumulate(&root->grad, seed);
    return true;
  }
  cr_call *c = root->node;
  if (c->link->spent) {
    cr_tensor_release(seed);
    return cr_fail(err, CR_EGRAPH,
                   "backward has already been through this graph; it is gone. Compute the loss again");
  }
  count_edges(c);
  accumulate(&c->gout[root->node_output], seed);
  return walk(c, err);
}
