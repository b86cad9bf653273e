/* rng.c - Philox 4x32-10 and what is drawn from it
 *
 * The 128-bit counter of a word is (place, draw / 4), the word within the block draw % 4. Seed and
 * stream are 64 bits each and the key of Philox has 64: they are folded by two rounds of the
 * splitmix64 finaliser (Steele, Lea, Flood, "Fast splittable pseudorandom number generators",
 * OOPSLA 2014), so neighbouring seeds and streams get unrelated keys. Two (seed, stream) pairs
 * share a key with probability 2^-64. */
#include "base/rng.h"

#include <math.h>

enum { ROUNDS = 10 };

static const double TWO_PI = 6.283185307179586476925;

void cr_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
  uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
  uint32_t k0 = key[0], k1 = key[1];

  for (int round = 0; round < ROUNDS; round++) {
    uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
    c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
    c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c1 = (uint32_t)p1;
    c3 = (uint32_t)p0;
    k0 += 0x9E3779B9u;                    /* golden ratio */
    k1 += 0xBB67AE85u;                    /* sqrt(3) - 1 */
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

static uint64_t mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

cr_rng cr_rng_at(uint64_t seed, uint64_t stream, uint64_t place) {
  uint64_t key = mix(mix(seed) ^ stream);
  return (cr_rng){ .key = { (uint32_t)key, (uint32_t)(key >> 32) }, .place = place };
}

uint32_t cr_rng_u32(cr_rng *rng) {
  unsigned at = (unsigned)(rng->draw & 3);
  if (at == 0) {
    uint64_t block = rng->draw >> 2;
    uint32_t counter[4] = { (uint32_t)block, (uint32_t)(block >> 32),
                            (uint32_t)rng->place, (uint32_t)(rng->place >> 32) };
    cr_philox4x32(counter, rng->key, rng->word);
  }
  rng->draw++;
  return rng->word[at];
}

uint64_t cr_rng_u64(cr_rng *rng) {
  uint64_t low = cr_rng_u32(rng);
  return low | (uint64_t)cr_rng_u32(rng) << 32;
}

/* Lemire, "Fast random integer generation in an interval", ACM TOMACS 2019: the high half of x * n,
 * drawn again in the few cases (fewer than n in 2^32 or 2^64) that would make some numbers likelier
 * than others. */
uint64_t cr_rng_below(cr_rng *rng, uint64_t n) {
  if (n <= UINT32_MAX) {
    uint32_t n32 = (uint32_t)n, refused = (0u - n32) % n32;
    uint64_t product;
    do product = (uint64_t)cr_rng_u32(rng) * n32;
    while ((uint32_t)product < refused);
    return product >> 32;
  }
  uint64_t refused = (0u - n) % n;
  unsigned __int128 product;
  do product = (unsigned __int128)cr_rng_u64(rng) * n;
  while ((uint64_t)product < refused);
  return (uint64_t)(product >> 64);
}

double cr_rng_uniform(cr_rng *rng) { return (double)(cr_rng_u64(rng) >> 11) * 0x1p-53; }

double cr_rng_range(cr_rng *rng, double low, double high) {
  return low + (high - low) * cr_rng_uniform(rng);
}

double cr_rng_normal(cr_rng *rng) {
  double radius = ((double)cr_rng_u32(rng) + 0.5) * 0x1p-32;    /* never 0: at most 6.8 sigma */
  double turn = (double)cr_rng_u32(rng) * 0x1p-32;
  return sqrt(-2 * log(radius)) * cos(TWO_PI * turn);
}

uint64_t cr_rng_hash(const char *text) {                        /* FNV-1a, then mixed */
  uint64_t hash = 0xCBF29CE484222325u;
  for (; *text; text++) hash = (hash ^ (unsigned char)*text) * 0x100000001B3u;
  return mix(hash);
}
