/* cifar.c - see cifar.h; Krizhevsky, "Learning multiple layers of features from tiny images", 2009
 */
#include "io/cifar.h"

#include <string.h>

enum { PIXELS = 3 * 32 * 32, RECORD = 1 + PIXELS, CLASSES = 10 };

bool cr_cifar_read(const void *bytes, size_t n, cr_tensor **images, cr_tensor **labels,
                   cr_error *err) {
  const unsigned char *p = bytes;
  if (n == 0 || n % RECORD != 0)
    return cr_fail(err, CR_EFORMAT, "CIFAR-10: %zu bytes, expected records of %d", n, RECORD);
  int64_t N = (int64_t)(n / RECORD), shape[4] = { N, 3, 32, 32 };
  for (int64_t i = 0; i < N; i++)
    if (p[i * RECORD] >= CLASSES)
      return cr_fail(err, CR_EFORMAT, "CIFAR-10: record %lld is of class %u, expected 0 to 9",
                     (long long)i + 1, p[i * RECORD]);
  *images = cr_tensor_new(CR_BYTE, 4, shape, err);
  *labels = *images == NULL ? NULL : cr_tensor_new(CR_INT, 1, shape, err);
  if (*labels == NULL) {
    cr_tensor_release(*images);
    return false;
  }
  for (int64_t i = 0; i < N; i++) {
    cr_ints(*labels)[i] = p[i * RECORD] + 1;
    memcpy(cr_bytes(*images) + i * PIXELS, p + i * RECORD + 1, PIXELS);
  }
  return true;
}
