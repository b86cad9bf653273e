/* cifar_fuzz.c - any bytes as a file of CIFAR-10: two tensors or an error. See fuzz.h. */
#include "fuzz.h"
#include "io/cifar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  cr_error err = { 0 };
  cr_tensor *images = NULL, *labels = NULL;
  if (cr_cifar_read(data, n, &images, &labels, &err)) {
    must(images->shape[0] == labels->shape[0]);
    for (int64_t i = 0; i < labels->shape[0]; i++)
      must(cr_ints(labels)[i] >= 1 && cr_ints(labels)[i] <= 10);
    cr_tensor_release(images);
    cr_tensor_release(labels);
  } else {
    must(err.kind != CR_OK && err.text[0] != '\0');
  }
  must(cr_memory().live_bytes == 0);
  return 0;
}
