/* label_order.h - rows sorted by label
 *
 * Once the rows of a batch are sorted by label, the rows of one class are one slice, and no mask is
 * needed any more. */
#ifndef CR_KERNELS_LABEL_ORDER_H
#define CR_KERNELS_LABEL_ORDER_H

#include <stdint.h>

/* order[0 .. n-1]: row numbers, by label and then by row. scratch holds n numbers. */
void cr_label_order(int64_t n, const int64_t *label, int64_t *order, int64_t *scratch);

/* The slice begin .. end-1 of places whose rows carry `wanted`. */
void cr_label_slice(int64_t n, const int64_t *label, const int64_t *order, int64_t wanted,
                    int64_t *begin, int64_t *end);

/* The number of rows of the largest class. */
int64_t cr_label_largest(int64_t n, const int64_t *label, const int64_t *order);

#endif
