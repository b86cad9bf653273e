/* rng.h - counter-based random numbers, Philox 4x32-10
 *
 * Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. A number is a pure function of
 * (seed, stream, place, draw): nothing needs saving but those four, and the order in which places are visited, or
 * the thread that visits them, cannot change what is drawn. One stream per purpose, one place per sample. */
#ifndef CR_BASE_RNG_H
#define CR_BASE_RNG_H

#include <stdint.h>

typedef struct cr_rng {
  uint32_t key[2];      /* from seed and stream */
  uint64_t place;       /* high half of the counter: which sample, row, step */
  uint64_t draw;        /* low half: how many words of this place have been drawn */
  uint32_t word[4];     /* the block that draw lies in */
} cr_rng;

/* The raw block function, as published. */
void cr_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

cr_rng cr_rng_at(uint64_t seed, uint64_t stream, uint64_t place);
uint32_t cr_rng_u32(cr_rng *rng);
uint64_t cr_rng_u64(cr_rng *rng);
uint64_t cr_rng_below(cr_rng *rng, uint64_t n);         /* uniform in 0 .. n-1, without bias; n > 0 */
double cr_rng_uniform(cr_rng *rng);                     /* [0, 1), 53 bits */
double cr_rng_range(cr_rng *rng, double low, double high);
double cr_rng_normal(cr_rng *rng);                      /* mean 0, variance 1; two words a draw, Box-Muller */
uint64_t cr_rng_hash(const char *text);                 /* a stream number from its name */

#endif
