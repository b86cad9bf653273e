/* class_loss.h - losses of embeddings against rows of weights that stand for classes
 *
 *   inputs    embeddings [B D], labels [B] class numbers 1 .. classes, weights [C D], item_weights?
 *             [B]
 *   loss      the mean (or sum) over rows of item_weight_i l_i; reduction "none": those products,
 *             [B]
 *
 * weights holds `centers` rows for each class, one class after the other. The batch is run through
 * the tile engine (kernels/tile_loss.h) with the weights as its references: a tile of rows by C
 * numbers is in memory at a time, never B by C, and the gradients of both sides come out of the
 * same pass. reduction "none" works distances out again in backward, where it learns what each row
 * counts.
 *
 * A loss gives its settings and the function of one row. cr_class_softmax is that function for all
 * losses that are a softmax cross-entropy of similarities with the target's made harder:
 *
 *   l_i = log sum_c exp(u_c) - u_y         u_c = a s_c for c != y,  u_y = a target(s_y)
 *
 * s is the cosine, the inner product or minus the distance, pooled over the rows of a class. */
#ifndef CR_AUTOGRAD_CLASS_LOSS_H
#define CR_AUTOGRAD_CLASS_LOSS_H

#include "autograd/op.h"
#include "autograd/term_loss.h"
#include "kernels/tile_loss.h"

enum { CR_CLASS_EMBEDDINGS, CR_CLASS_LABELS, CR_CLASS_WEIGHTS, CR_CLASS_ITEM_WEIGHTS };

extern const cr_input cr_class_inputs[];
extern const cr_output cr_class_outputs[];
extern const char *const cr_class_stats[];

typedef enum {
  CR_POOL_ONE,                /* one row of weights a class */
  CR_POOL_MAX,                /* the most similar row */
  CR_POOL_SOFT                /* sum_k softmax(s_k / gamma) s_k */
} cr_class_pool;

typedef enum {
  CR_NORM_NONE,               /* a = scale */
  CR_NORM_EMBEDDING,          /* a = scale |x| */
  CR_NORM_BOTH                /* a = scale |x| |w_c|; metric is CR_DOT, target sees the cosine */
} cr_class_norm;

typedef struct cr_class_settings cr_class_settings;

/* The row's part of the work. by: what l_i counts in the loss. */
typedef struct cr_class_row {
  const cr_class_settings *settings;
  const cr_row *row;          /* distances to all rows of weights; row->w: dL/dd goes there, if not
                                 NULL */
  int64_t classes, target;    /* the label, from 0 */
  double by, norm, target_norm; /* norms: 0 where not asked for */
  real *v;                    /* [classes], free to use */
  real *pooled, *share;       /* [classes], [C]: where there is pooling */
  /* to be set */
  double loss, right;         /* l_i; 1 where no other class is more similar than the label's */
  double along, target_along; /* dL/d|x| and dL/d|w_y| at constant distances */
} cr_class_row;

struct cr_class_settings {
  void (*row)(cr_class_row *r);
  int reduction;              /* CR_MEAN, CR_SUM, CR_NONE */
  cr_metric metric;
  bool squared, normalize;
  int64_t centers;            /* 0 counts as 1 */
  /* cr_class_softmax: */
  double scale, margin, gamma;
  /* the target's similarity made harder, and its slope; NULL: left alone */
  double (*target)(double s, double margin, double *slope);
  cr_class_pool pool;
  cr_class_norm norm;
};

void cr_class_softmax(cr_class_row *r);
/* s - margin */
double cr_class_minus(double s, double margin, double *slope);
/* cos(acos(s) + margin), and s - margin sin(margin) where that angle would be past pi */
double cr_class_angle(double s, double margin, double *slope);
/* (-1)^k cos(m acos(s)) - 2k, k = floor(m acos(s) / pi), for whole m */
double cr_class_multiple(double s, double m, double *slope);

bool cr_class_check(cr_call *c, const cr_class_settings *settings, cr_error *err);
void cr_class_forward(cr_call *c, const cr_class_settings *settings);
void cr_class_backward(cr_call *c, const cr_class_settings *settings);

#endif
