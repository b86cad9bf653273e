/* real.h - the scalar type of this build of the engine
 *
 * The engine is compiled twice from the same sources, once for float and once for double (CR_DOUBLE).
 * Kernels are written in `real`; <tgmath.h> picks expf or exp. Nothing dispatches on precision at run time.
 * Sums that grow with the batch are kept in double in both builds. */
#ifndef CR_BASE_REAL_H
#define CR_BASE_REAL_H

#include <float.h>

#ifdef CR_DOUBLE
typedef double real;
#define CR_REAL_NAME "float64"
#define CR_REAL_EPSILON DBL_EPSILON
#define CR_REAL_MAX DBL_MAX
#else
typedef float real;
#define CR_REAL_NAME "float32"
#define CR_REAL_EPSILON FLT_EPSILON
#define CR_REAL_MAX FLT_MAX
#endif

/* Marks a hot loop: compiled for plain x86-64, AVX2+FMA and AVX-512, the best picked when the program
 * starts. Only for functions with external linkage or `static` ones called through it; it cannot be inlined.
 * Empty on other processors and in sanitizer builds, whose start-up cannot run resolvers. */
#if defined(__x86_64__) && !defined(CR_NO_CLONES)
#define CR_VECTOR __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define CR_VECTOR
#endif

#endif
