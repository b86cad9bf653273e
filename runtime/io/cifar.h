/* cifar.h - CIFAR-10 in its binary form */
#ifndef CR_IO_CIFAR_H
#define CR_IO_CIFAR_H

#include "tensor/tensor.h"

/* uint8 [N 3 32 32] and int64 [N], classes from 1. Records of one class byte, 0 .. 9, and 3072
 * pixel bytes. */
bool cr_cifar_read(const void *bytes, size_t n, cr_tensor **images, cr_tensor **labels,
                   cr_error *err);

#endif
