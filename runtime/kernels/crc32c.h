/* crc32c.h - CRC-32C (Castagnoli), RFC 3720 appendix B.4; "123456789" gives 0xe3069283 */
#ifndef CR_KERNELS_CRC32C_H
#define CR_KERNELS_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t cr_crc32c(const void *data, size_t n);

#endif
