/* strokes_fuzz.c - any bytes as a file of strokes: a tensor or an error. See fuzz.h. */
#include "fuzz.h"
#include "io/strokes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  cr_error err = { 0 };
  cr_tensor *t = cr_strokes_read(data, n, &err);
  if (t == NULL) must(err.kind != CR_OK && err.text[0] != '\0');
  else must(t->ndim == 2 && t->shape[0] >= 2 && cr_reals(t)[3] == 1);
  cr_tensor_release(t);
  must(cr_memory().live_bytes == 0);
  return 0;
}
