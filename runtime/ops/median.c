/* median.c - the middle element over dimensions
 *
 *   y = x_(k)        k = ceil(n/2) in rising order        dL/dx_i = g at the first element equal to y, else 0
 *
 * With an even number of elements the lower of the two in the middle (as torch), so that y is always one of the x_i. nan where
 * there is a nan. Quickselect on a copy, about 3n comparisons. */
#include "autograd/op.h"
#include "kernels/reduce.h"

enum { DIM, KEEPDIM };

static const cr_input inputs[] = { { "x", "...", CR_TREAL, 0 }, { 0 } };
static const cr_output outputs[] = { { "y", NULL, CR_TREAL }, { 0 } };

static const cr_option options[] = {
  [DIM] = { "dim", NAN, 0, 0, "dimensions to reduce; all by default", CR_DIMS },
  [KEEPDIM] = { "keepdim", 0, 0, 1, "leave reduced dimensions in place with size 1", CR_FLAG },
  { 0 }
};

/* The k-th smallest of x, which is put into another order on the way (Hoare) */
static real select_kth(real *x, int64_t n, int64_t k) {
  int64_t low = 0, high = n - 1;
  while (low < high) {
    real pivot = x[low + (high - low) / 2];
    int64_t i = low, j = high;
    while (i <= j) {
      while (x[i] < pivot) i++;
      while (pivot < x[j]) j--;
      if (i > j) break;
      real swap = x[i];
      x[i++] = x[j];
      x[j--] = swap;
    }
    if (k <= j) high = j;
    else if (k >= i) low = i;
    else break;
  }
  return x[k];
}

/* gx is the row itself, which forward has copied for this */
static void value(const cr_row *r) {
  real most = cr_kernel_row_max(r->x, r->n);
  *r->y = most != most ? most : select_kth(r->gx, r->n, (r->n - 1) / 2);
}

static void gradient(const cr_row *r) {
  for (int64_t i = 0; i < r->n; i++) r->gx[i] = 0;
  r->gx[cr_kernel_row_find(r->x, r->n, *r->y)] = *r->g;
}

static bool check(cr_call *c, cr_error *err) {
  cr_reduction r;
  if (!cr_reduce_check(c, CR_OVER_DIMS, 1, &r, err) || !cr_reduce_needs_elements(&r, err)) return false;
  cr_rows_scratch(c, &r, 1, 2);
  c->scratch_bytes = (size_t)(r.rows * r.n) * sizeof(real);
  return true;
}

/* The packed copy is made in any case, for its elements are moved about. */
static void forward(cr_call *c) {
  cr_reduction r;
  bool mask[CR_MAX_DIMS];
  cr_reduce_plan(c, c->in[0], CR_OVER_DIMS, &r, mask, NULL);
  real *copy = c->scratch;
  cr_kernel_pack_rows(&r, cr_reals(c->in[0]), sizeof(real), copy);
  cr_kernel_rows(&(cr_rows){ .rows = r.rows, .n = r.n, .width = 1, .x = copy, .gx = copy,
                             .y = cr_reals(c->out[0]), .option = c->option, .fn = value });
}

static void backward(cr_call *c) { cr_rows_backward(c, CR_OVER_DIMS, false, gradient); }

const cr_op cr_op_median = {
  .name = "median", .help = "the middle element over dimensions, the lower of two",
  .formula = "y = x_(ceil(n/2)) in rising order",
  .inputs = inputs, .outputs = outputs, .options = options, .backward_reads = CR_READS_IN0 | CR_READS_OUT0,
  .check = check, .forward = forward, .backward = backward,
};
