/* elementwise.c - see elementwise.h */
#include "kernels/elementwise.h"

static void plan(cr_reduction *r, int ndim, const int64_t *shape, int out_ndim, const int64_t *out_shape) {
  bool repeated[CR_SHAPE_MAX];
  int lead = out_ndim - ndim;
  for (int d = 0; d < out_ndim; d++)
    repeated[d] = d < lead || (shape[d - lead] == 1 && out_shape[d] != 1);
  cr_reduction_init(r, out_ndim, out_shape, repeated);
}

size_t cr_kernel_sum_to_bytes(int ndim, const int64_t *shape, int out_ndim, const int64_t *out_shape) {
  cr_reduction r;
  plan(&r, ndim, shape, out_ndim, out_shape);
  return cr_kernel_sum_bytes(&r);
}

void cr_kernel_sum_to(real *gradient, int ndim, const int64_t *shape, const real *from, int out_ndim,
                      const int64_t *out_shape, double scale, void *scratch) {
  cr_reduction r;
  plan(&r, ndim, shape, out_ndim, out_shape);
  cr_kernel_sum(&r, from, scale, gradient, scratch);
}
