/* sha256.c - FIPS 180-4, sections 4.1.2, 5.1.1 and 6.2 */
#include "kernels/sha256.h"

#include <string.h>

/* the first 32 bits of the fractional parts of the cube roots of the first 64 primes */
static const uint32_t K[64] = {
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2
};

static uint32_t rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

static uint32_t big_endian(const unsigned char *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

static void one_block(uint32_t state[8], const unsigned char *block) {
  uint32_t w[64];
  for (int t = 0; t < 16; t++) w[t] = big_endian(block + 4 * t);
  for (int t = 16; t < 64; t++) {
    uint32_t x = w[t - 15], y = w[t - 2];
    uint32_t s0 = rotate(x, 7) ^ rotate(x, 18) ^ x >> 3;
    uint32_t s1 = rotate(y, 17) ^ rotate(y, 19) ^ y >> 10;
    w[t] = w[t - 16] + s0 + w[t - 7] + s1;
  }
  uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
  uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
  for (int t = 0; t < 64; t++) {
    uint32_t S1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25), choose = (e & f) ^ (~e & g);
    uint32_t S0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
    uint32_t majority = (a & b) ^ (a & c) ^ (b & c);
    uint32_t t1 = h + S1 + choose + K[t] + w[t], t2 = S0 + majority;
    h = g, g = f, f = e, e = d + t1;
    d = c, c = b, b = a, a = t1 + t2;
  }
  state[0] += a, state[1] += b, state[2] += c, state[3] += d;
  state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

void cr_sha256_init(cr_sha256 *h) {
  /* the same of the square roots of the first 8 primes */
  *h = (cr_sha256){ .state = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                               0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 } };
}

void cr_sha256_add(cr_sha256 *h, const void *data, size_t n) {
  const unsigned char *p = data;
  size_t held = h->bytes % 64;
  h->bytes += n;
  if (held > 0) {
    size_t take = n < 64 - held ? n : 64 - held;
    memcpy(h->block + held, p, take);
    if (held + take < 64) return;
    one_block(h->state, h->block);
    p += take;
    n -= take;
  }
  for (; n >= 64; p += 64, n -= 64) one_block(h->state, p);
  if (n > 0) memcpy(h->block, p, n);
}

void cr_sha256_text(cr_sha256 *h, char text[CR_SHA256_TEXT]) {
  /* a 1 bit, zeros, and the length in bits fill the last block */
  unsigned char padding[72] = { 0x80 };
  uint64_t bits = h->bytes * 8;
  size_t n = 64 - (h->bytes + 8) % 64;
  for (int i = 0; i < 8; i++) padding[n + (size_t)i] = (unsigned char)(bits >> (56 - 8 * i));
  cr_sha256_add(h, padding, n + 8);
  for (int i = 0; i < 64; i++)
    text[i] = "0123456789abcdef"[h->state[i / 8] >> (28 - 4 * (i % 8)) & 15];
  text[64] = '\0';
}
