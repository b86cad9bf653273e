/* vmath.h - exp, log, tanh and their kin as inline functions that loops vectorise
 *
 * In the float build: a few ulp, no branches, no tables, and right at the edges (infinities, nan, zeros of either sign,
 * denormal arguments and results). In the double build: the C library, whose last bit the gradient checks want.
 * The polynomials are own minimax fits (Remez) of the function after its leading terms, on the interval named. The
 * selects keep nan because a comparison with nan is false; do not turn them round. */
#ifndef CR_KERNELS_VMATH_H
#define CR_KERNELS_VMATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>
#include "base/real.h"

#ifdef CR_DOUBLE

static inline real cr_exp(real x) { return exp(x); }
static inline real cr_expm1(real x) { return expm1(x); }
static inline real cr_log(real x) { return log(x); }
static inline real cr_log1p(real x) { return log1p(x); }
static inline real cr_tanh(real x) { return tanh(x); }
static inline real cr_erf(real x) { return erf(x); }

#else

static inline int32_t cr_float_bits(float x) {
  int32_t i;
  memcpy(&i, &x, sizeof i);
  return i;
}

static inline float cr_float_from(int32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* 2^n for -126 <= n <= 127 */
static inline float cr_power_of_two(int32_t n) {
  return cr_float_from((int32_t)((uint32_t)(n + 127) << 23));
}

/* x = n log 2 + r with |r| <= log(2) / 2; returns e^r - 1. Adding 1.5 * 2^23 rounds to a whole number. */
static inline float cr_exp_reduced(float x, int32_t *n) {
  const float shift = 12582912.0f;
  float t = x * 1.44269504f + shift, whole = t - shift;
  *n = cr_float_bits(t) - 0x4B400000;
  float r = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
  float p = 1.99143393e-4f;
  p = p * r + 1.39411096e-3f;
  p = p * r + 8.33327277e-3f;
  p = p * r + 4.16663536e-2f;
  p = p * r + 1.66666668e-1f;
  p = p * r + 5.00000005e-1f;
  return p * (r * r) + r;
}

/* 2^n in two factors: n runs from -150 (denormal results) to 129 (infinity). */
static inline float cr_exp(float x) {
  int32_t n;
  x = x > 89.0f ? 89.0f : x;
  x = x < -104.0f ? -104.0f : x;
  float q = cr_exp_reduced(x, &n);
  n = x == x ? n : 0;
  int32_t half = n >> 1;
  return ((q + 1) * cr_power_of_two(half)) * cr_power_of_two(n - half);
}

/* 2^n (1 + q) - 1 = 2^n q + (2^n - 1), which keeps small x */
static inline float cr_expm1(float x) {
  int32_t n;
  float clipped = x > 80.0f ? 80.0f : x;
  clipped = clipped < -20.0f ? -20.0f : clipped;
  float q = cr_exp_reduced(clipped, &n);
  float scale = cr_power_of_two(x == x ? n : 0);
  float small = scale * q + (scale - 1);
  small = x == 0 ? x : small;                       /* keeps -0 */
  return x > 80.0f ? cr_exp(x) : small;
}

/* x = 2^e m with m in [sqrt(1/2), sqrt(2)); log x = e log 2 + log m */
static inline float cr_log(float x) {
  float lifted = x < FLT_MIN ? x * 8388608.0f : x;  /* 2^23: denormals */
  int32_t bits = (int32_t)((uint32_t)cr_float_bits(lifted) - 0x3F3504F3u);
  int32_t e = (bits >> 23) - (x < FLT_MIN ? 23 : 0);
  float f = cr_float_from((bits & 0x007FFFFF) + 0x3F3504F3) - 1, ff = f * f;
  float p = 6.92098184e-2f;
  p = p * f - 1.17806524e-1f;
  p = p * f + 1.18651353e-1f;
  p = p * f - 1.23855603e-1f;
  p = p * f + 1.42200223e-1f;
  p = p * f - 1.66692159e-1f;
  p = p * f + 2.00021460e-1f;
  p = p * f - 2.49999864e-1f;
  p = p * f + 3.33333119e-1f;
  float n = (float)e;
  float y = ((p * f * ff - n * 2.12194440e-4f) - 0.5f * ff) + f + n * 0.693359375f;
  y = x == INFINITY ? x : y;
  y = x == 0 ? -INFINITY : y;
  return x >= 0 ? y : NAN;
}

/* log of the rounded 1 + x, and what rounding lost to first order (Kahan) */
static inline float cr_log1p(float x) {
  float u = 1 + x, lost = (x - (u - 1)) / u;
  float y = cr_log(u) + (u > 0 && u < INFINITY ? lost : 0);
  return x == 0 ? x : y;
}

/* x + x^3 T(x^2) near 0, and 1 - 2 / (e^2x + 1) away from it */
static inline float cr_tanh(float x) {
  float a = fabsf(x), s = x * x;
  float p = -5.72163822e-3f;
  p = p * s + 2.06552265e-2f;
  p = p * s - 5.37451473e-2f;
  p = p * s + 1.33315152e-1f;
  p = p * s - 3.33332851e-1f;
  float near = x + x * (s * p), far = 1 - 2 / (cr_exp(2 * a) + 1);
  near = x == 0 ? x : near;                         /* keeps -0 */
  return a < 0.625f ? near : copysignf(far, x);
}

/* x + x E(x^2) below 0.93, and 1 - e^{-t (1 + R(t))} above it; 1 from 4 on */
static inline float cr_erf(float x) {
  float t = fabsf(x), s = x * x;
  float p = -5.97689629e-4f;
  p = p * s + 4.99098079e-3f;
  p = p * s - 2.67655674e-2f;
  p = p * s + 1.12818028e-1f;
  p = p * s - 3.76124943e-1f;
  p = p * s + 1.28379150e-1f;
  float near = x + x * p;
  t = t > 4.0f ? 4.0f : t;
  float r = 1.58499894e-5f;
  r = r * t - 3.66738758e-4f;
  r = r * t + 3.81173860e-3f;
  r = r * t - 2.41006142e-2f;
  r = r * t + 1.06608018e-1f;
  r = r * t + 6.34939578e-1f;
  r = r * t + 1.28697672e-1f;
  float far = 1 - cr_exp(-(t + t * r));
  return t < 0.93f ? near : copysignf(far, x);
}

#endif

/* 1 / (1 + e^-x), without overflow and with full relative accuracy on the left */
static inline real cr_sigmoid(real x) {
  real e = cr_exp(x < 0 ? x : -x), s = 1 / (1 + e);
  return x < 0 ? e * s : s;
}

/* log(1 + e^x) */
static inline real cr_softplus(real x) {
  real e = cr_exp(x < 0 ? x : -x);
  return (x < 0 ? 0 : x) + cr_log1p(e);
}

#endif
