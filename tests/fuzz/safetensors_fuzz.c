/* safetensors_fuzz.c - any bytes as a .safetensors file: tensors or an error. See fuzz.h. */
#include "fuzz.h"
#include "io/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  cr_error err = { 0 };
  cr_safetensors file;
  if (!cr_safetensors_read(data, n, &file, &err)) {
    must(err.kind != CR_OK && err.text[0] != '\0');
  } else {
    for (size_t i = 0; i < file.n; i++) {
      cr_tensor *t = cr_safetensors_tensor(&file, i, &err);
      must(t != NULL);
      cr_tensor_release(t);
    }
    for (size_t i = 0; i < file.n_metadata; i++)
      must(strlen(file.metadata[i].key) + strlen(file.metadata[i].value) < n);
    cr_safetensors_clear(&file);
  }
  must(cr_memory().live_bytes == 0);
  return 0;
}
