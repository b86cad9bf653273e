/* twin_rows.h - losses between row i of x and row i of y
 *
 * The loss gives one function for a pair of rows: its value, and the derivative by either row.
 * Normalising the rows, spreading them over the pool, reducing and scaling are here. */
#ifndef CR_KERNELS_TWIN_ROWS_H
#define CR_KERNELS_TWIN_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/real.h"

/* The loss of a pair of rows. gx and gy [width] (both or neither are NULL): its gradient. */
typedef double (*cr_twin_fn)(const void *context, int64_t width, const real *x, const real *y,
                             real *gx, real *gy);

typedef struct cr_twins {
  int64_t rows, width;
  const real *x, *y;
  bool normalize;             /* to length 1 first; a row of zeros stays and has gradient 0 */
  cr_twin_fn fn;
  const void *context;
} cr_twins;

/* loss[i] for each row. saved: both gradients, [2, rows, width], or NULL. scratch: 2 width numbers
 * for each worker, cr_twin_bytes in all; 0 bytes unless rows are normalised. */
size_t cr_twin_bytes(const cr_twins *t);
void cr_twin_forward(const cr_twins *t, double *loss, real *saved, void *scratch);
/* g = scale * gout[by_row ? i : 0] * saved; g may be NULL. */
void cr_twin_backward(int64_t rows, int64_t width, const real *saved, double scale,
                      const real *gout, bool by_row, real *g);

#endif
