/* jpeg_fuzz.c - any bytes as a JPEG file: a tensor or an error. See fuzz.h. */
#include "fuzz.h"
#include "io/jpeg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  cr_error err = { 0 };
  cr_tensor *t = cr_jpeg_read(data, n, 1 << 18, &err);
  if (t == NULL) must(err.kind != CR_OK && err.text[0] != '\0');
  else must(t->ndim == 3 && (t->shape[0] == 1 || t->shape[0] == 3));
  cr_tensor_release(t);
  must(cr_memory().live_bytes == 0);
  return 0;
}
