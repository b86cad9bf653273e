/* place_count_avx512.c - place_count.h where a processor looks up 64 bytes at once (AVX-512 VBMI,
 * VBMI2), for up to 111 bounds in float
 *
 * The table of 256 cells lies in four registers. Places that are sure are packed to one list of
 * bytes, those beyond all bounds are dropped, and those that share a cell with bounds are compared
 * with them, 16 at a time. Then every byte of the list is one increment. */
#include "kernels/place_count.h"

#if defined(__x86_64__) && !defined(CR_DOUBLE)

#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vbmi2,popcnt,bmi,bmi2")
#include <immintrin.h>
#include <string.h>

/* BEYOND: the cell of what lies beyond all bounds. A number of a chunk fits a byte. */
enum { MOST = 111, LANES = 16, BEYOND = 255, CHUNK = 256, OPEN = 128, COPIES = 4 };

bool cr_places_wide(int64_t k) {
  return k <= MOST && __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2")
         && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")
         && __builtin_cpu_supports("avx512vl");
}

static inline __m512 limited(__m512 v) { return _mm512_min_ps(v, _mm512_set1_ps(CR_REAL_MAX)); }

/* The cells of up to 64 numbers, monotone */
static inline __m512i cells_of(const cr_places *p, __mmask64 some, const real *v) {
  __m512 low = _mm512_set1_ps(p->low), scale = _mm512_set1_ps(p->scale);
  __m512 most = _mm512_set1_ps(BEYOND), zero = _mm512_setzero_ps();
  __m128i part[4];
  for (int l = 0; l < 4; l++) {
    __m512 x = limited(_mm512_maskz_loadu_ps((__mmask16)(some >> 16 * l), v + 16 * l));
    __m512 c = _mm512_max_ps(_mm512_mul_ps(_mm512_sub_ps(x, low), scale), zero);
    part[l] = _mm512_cvtepi32_epi8(_mm512_cvttps_epi32(_mm512_min_ps(c, most)));
  }
  __m512i cell = _mm512_inserti32x4(_mm512_castsi128_si512(part[0]), part[1], 1);
  return _mm512_inserti32x4(_mm512_inserti32x4(cell, part[2], 2), part[3], 3);
}

static inline __mmask64 first(int64_t n) {
  return n >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << n) - 1;
}

void cr_places_wide_start(cr_places *p) {
  uint8_t cell[MOST + 64];
  p->scale = (BEYOND - 1) / (p->bound[p->k - 1] > p->low ? p->bound[p->k - 1] - p->low : 1);
  for (int64_t i = 0; i < p->k; i += 64)
    _mm512_storeu_si512(cell + i, cells_of(p, first(p->k - i), p->bound + i));
  for (int32_t c = 0, place = 0; c < CR_PLACES_WIDE_CELLS; c++) {
    int32_t here = place;
    while (place < p->k && cell[place] == c) place++;
    p->wide[c] = (uint8_t)(here | (place > here ? OPEN : 0));
  }
}

/* bound[at] of 16 places below 128, from registers */
static inline __m512 bound_of(const __m512 bound[8], __m512i at) {
  __mmask16 upper = _mm512_test_epi32_mask(at, _mm512_set1_epi32(64));
  __mmask16 odd = _mm512_test_epi32_mask(at, _mm512_set1_epi32(32));
  __m512 low = _mm512_mask_blend_ps(odd, _mm512_permutex2var_ps(bound[0], at, bound[1]),
                                    _mm512_permutex2var_ps(bound[2], at, bound[3]));
  __m512 high = _mm512_mask_blend_ps(odd, _mm512_permutex2var_ps(bound[4], at, bound[5]),
                                     _mm512_permutex2var_ps(bound[6], at, bound[7]));
  return _mm512_mask_blend_ps(upper, low, high);
}

/* Compares `found` numbers with the bounds of their cells; their places follow those held. Returns
 * how many are held then. */
static inline int64_t compare(cr_places *p, int64_t found, const uint8_t *open,
                              const uint8_t *from, const real *v, const int64_t *tag,
                              uint8_t *place, int64_t held) {
  const __m512i one = _mm512_set1_epi32(1);
  __m512 bounds[8];                               /* what lies behind the last is not looked at */
  for (int i = 0; i < 8; i++) bounds[i] = _mm512_loadu_ps(p->bound + (16 * i <= p->k ? 16 * i : 0));
  for (int64_t l = 0; l < found; l += 16) {
    __mmask16 some = (__mmask16)first(found - l), above;
    __m512i j = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(open + l)));
    __m512i at = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(from + l)));
    __m512 x = limited(_mm512_mask_i32gather_ps(_mm512_setzero_ps(), some, j, v, 4)), bound;
    above = _mm512_mask_cmp_ps_mask(some, bound_of(bounds, at), x, _CMP_LT_OQ);
    do {
      at = _mm512_mask_add_epi32(at, above, at, one);
      above = _mm512_mask_cmp_ps_mask(some, bound_of(bounds, at), x, _CMP_LT_OQ);
      at = _mm512_mask_add_epi32(at, above, at, one);
      bound = bound_of(bounds, at);
      above = _mm512_mask_cmp_ps_mask(some, bound, x, _CMP_LT_OQ);
    } while (above != 0);
    __mmask16 equal = _mm512_mask_cmp_ps_mask(some, bound, x, _CMP_EQ_OQ);
    _mm_storeu_si128((__m128i *)(place + held),
                     _mm_maskz_compress_epi8((__mmask16)(some & ~equal), _mm512_cvtepi32_epi8(at)));
    held += __builtin_popcount(some & ~(unsigned)equal);
    for (unsigned left = equal; left != 0; left &= left - 1) {
      int64_t i = open[l + __builtin_ctz(left)];
      real value = v[i] <= CR_REAL_MAX ? v[i] : CR_REAL_MAX;
      cr_places_settle(p, value, tag[i], from[l + __builtin_ctz(left)]);
    }
  }
  return held;
}

void cr_places_wide_count(cr_places *p, int64_t n, const real *v, const int64_t *tag) {
  const __m512i numbers = _mm512_set_epi8(
      63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42,
      41, 40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19,
      18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  __m512i t0 = _mm512_loadu_si512(p->wide), t1 = _mm512_loadu_si512(p->wide + 64);
  __m512i t2 = _mm512_loadu_si512(p->wide + 128), t3 = _mm512_loadu_si512(p->wide + 192);
  int32_t copy[COPIES][MOST + LANES] __attribute__((aligned(64)));
  for (int64_t i = 0; i <= p->k; i += LANES)
    for (int64_t l = 0; l < COPIES; l++)
      _mm512_storeu_si512(copy[l] + i, _mm512_setzero_si512());
  for (int64_t begin = 0; begin < n; begin += CHUNK) {
    uint8_t place[CHUNK + 64], open[CHUNK + 64], from[CHUNK + 64];
    int64_t some = n - begin < CHUNK ? n - begin : CHUNK, held = 0, found = 0;
    for (int64_t q = 0; q < some; q += 64) {
      __mmask64 all = first(some - q);
      __m512i cell = cells_of(p, all, v + begin + q);
      __m512i slot = _mm512_mask_blend_epi8(_mm512_movepi8_mask(cell),
                                            _mm512_permutex2var_epi8(t0, cell, t1),
                                            _mm512_permutex2var_epi8(t2, cell, t3));
      __mmask64 unsure = _mm512_movepi8_mask(slot) & all;
      __mmask64 beyond = _mm512_cmpeq_epi8_mask(cell, _mm512_set1_epi8((char)BEYOND));
      __mmask64 sure = all & ~unsure & ~beyond;
      _mm512_storeu_si512(place + held, _mm512_maskz_compress_epi8(sure, slot));
      _mm512_storeu_si512(open + found, _mm512_maskz_compress_epi8(unsure, _mm512_add_epi8(
          numbers, _mm512_set1_epi8((char)q))));
      _mm512_storeu_si512(from + found, _mm512_maskz_compress_epi8(unsure, _mm512_and_si512(
          slot, _mm512_set1_epi8(OPEN - 1))));
      held += __builtin_popcountll(sure);
      found += __builtin_popcountll(unsure);
    }
    held = compare(p, found, open, from, v + begin, tag + begin, place, held);
    memset(place + held, p->k, COPIES);         /* a whole number of turns: beyond all bounds */
    for (int64_t i = 0; i < held; i += COPIES)
      for (int64_t l = 0; l < COPIES; l++) copy[l][place[i + l]]++;
  }
  for (int64_t i = 0; i < p->k; i += LANES) {
    __m512i sum = _mm512_loadu_si512(p->count + i);
    for (int64_t l = 0; l < COPIES; l++)
      sum = _mm512_add_epi32(sum, _mm512_loadu_si512(copy[l] + i));
    _mm512_storeu_si512(p->count + i, sum);
  }
}

#else

bool cr_places_wide(int64_t k) { (void)k; return false; }
void cr_places_wide_start(cr_places *p) { (void)p; }
void cr_places_wide_count(cr_places *p, int64_t n, const real *v, const int64_t *tag) {
  (void)p, (void)n, (void)v, (void)tag;
}

#endif
