/* sha256.h - SHA-256, FIPS 180-4: a checksum that also says that nobody changed a file on purpose
 */
#ifndef CR_KERNELS_SHA256_H
#define CR_KERNELS_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { CR_SHA256_BYTES = 32, CR_SHA256_TEXT = 65 };

typedef struct cr_sha256 {
  uint32_t state[8];
  uint64_t bytes;             /* taken so far */
  unsigned char block[64];    /* the part of them that fills no whole block */
} cr_sha256;

void cr_sha256_init(cr_sha256 *h);
void cr_sha256_add(cr_sha256 *h, const void *data, size_t n);
/* The checksum of all that was added, as 64 lower-case hexadecimal digits and a NUL. Ends h. */
void cr_sha256_text(cr_sha256 *h, char text[CR_SHA256_TEXT]);

#endif
