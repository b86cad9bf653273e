/* fuzz.h - what the targets share: conditions that must hold
 *
 * Build and run, from the top folder (clang-14 has libFuzzer; the corpus is replayed first):
 *   clang-14 -std=gnu11 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
 *     -DCR_NO_CLONES -DCR_NO_CACHE -Iruntime \
 *     tests/fuzz/NAME_fuzz.c runtime/io/[!e]?*.c runtime/io/element.c \
 *     runtime/base/[a-z]*.c runtime/tensor/tensor.c runtime/kernels/sha256.c runtime/kernels/image.c \
 *     -lpng -lyaml -lturbojpeg -lz -lm -lpthread -o build/NAME_fuzz
 *   mkdir -p build/NAME_new && build/NAME_fuzz -max_total_time=300 -rss_limit_mb=1024 build/NAME_new tests/fuzz/corpus/NAME
 */
#ifndef CR_TESTS_FUZZ_H
#define CR_TESTS_FUZZ_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "io/buffer.h"
#include "tensor/tensor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Stops when a condition that must hold does not. */
static inline void must(int holds) {
  if (!holds) abort();
}

/* Stops unless the two are the same in type, shape and every bit. */
static inline void must_be_same(const cr_tensor *a, const cr_tensor *b) {
  must(a->dtype == b->dtype && cr_tensor_same_shape(a, b));
  size_t bytes = (size_t)cr_tensor_numel(a) * cr_dtype_size(a->dtype);
  must(bytes == 0 || memcmp(a->storage->data, b->storage->data, bytes) == 0);
}

#endif
