/* pgm_fuzz.c - any bytes as a .pgm or .ppm file: an image or an error, and an image survives a round trip. See fuzz.h. */
#include "fuzz.h"
#include "io/pgm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  cr_error err = { 0 };
  cr_tensor *t = cr_pgm_read(data, n, 1 << 20, &err);
  if (t == NULL) {
    must(err.kind != CR_OK && err.text[0] != '\0');
  } else {
    /* what was read can be written, and reads back the same */
    cr_buffer out = { 0 };
    must(cr_pgm_write(t, &out, &err));
    cr_tensor *back = cr_pgm_read(out.data, out.n, 1 << 20, &err);
    must(back != NULL);
    must_be_same(t, back);
    cr_tensor_release(back);
    cr_buffer_clear(&out);
  }
  cr_tensor_release(t);
  must(cr_memory().live_bytes == 0);
  return 0;
}
