/* idx_fuzz.c - any bytes as an IDX file: a tensor or an error. See fuzz.h. */
#include "fuzz.h"
#include "io/idx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  cr_error err = { 0 };
  cr_tensor *t = cr_idx_read(data, n, &err);
  if (t == NULL) must(err.kind != CR_OK && err.text[0] != '\0');
  else must((size_t)cr_tensor_numel(t) <= n);
  cr_tensor_release(t);
  must(cr_memory().live_bytes == 0);
  return 0;
}
