/* turn.c - see turn.h; 4 x 4 elements at a time are turned in registers */
#include "kernels/turn.h"

#include "base/pool.h"

typedef real four __attribute__((vector_size(4 * sizeof(real)), aligned(sizeof(real)), may_alias));
#ifdef CR_DOUBLE
typedef int64_t places __attribute__((vector_size(32)));
#else
typedef int32_t places __attribute__((vector_size(16)));
#endif

enum { STRIP = 64 };                    /* columns in a block of the pool */
static const double WORTH_A_THREAD = 1 << 14;

typedef struct { int64_t rows, columns, strips; const real *from; real *to; } job;

CR_VECTOR static void turn_strip(void *context, int64_t block, int worker) {
  const job *t = context;
  const int64_t rows = t->rows, columns = t->columns;
  const real *restrict from = t->from + block / t->strips * rows * columns;
  real *restrict to = t->to + block / t->strips * rows * columns;
  int64_t j = block % t->strips * STRIP, end = j + STRIP < columns ? j + STRIP : columns;
  (void)worker;
  for (; j + 4 <= end; j += 4) {
    int64_t i = 0;
    for (; i + 4 <= rows; i += 4) {
      const real *f = from + i*columns + j;
      real *o = to + j*rows + i;
      four a = *(const four *)f, b = *(const four *)(f + columns);
      four c = *(const four *)(f + 2*columns), d = *(const four *)(f + 3*columns);
      four ac0 = __builtin_shuffle(a, c, (places){ 0, 4, 1, 5 });
      four ac1 = __builtin_shuffle(a, c, (places){ 2, 6, 3, 7 });
      four bd0 = __builtin_shuffle(b, d, (places){ 0, 4, 1, 5 });
      four bd1 = __builtin_shuffle(b, d, (places){ 2, 6, 3, 7 });
      *(four *)o = __builtin_shuffle(ac0, bd0, (places){ 0, 4, 1, 5 });
      *(four *)(o + rows) = __builtin_shuffle(ac0, bd0, (places){ 2, 6, 3, 7 });
      *(four *)(o + 2*rows) = __builtin_shuffle(ac1, bd1, (places){ 0, 4, 1, 5 });
      *(four *)(o + 3*rows) = __builtin_shuffle(ac1, bd1, (places){ 2, 6, 3, 7 });
    }
    for (; i < rows; i++)
      for (int64_t l = j; l < j + 4; l++) to[l*rows + i] = from[i*columns + l];
  }
  for (; j < end; j++)
    for (int64_t i = 0; i < rows; i++) to[j*rows + i] = from[i*columns + j];
}

void cr_turn(int64_t images, int64_t rows, int64_t columns, const real *from, real *to) {
  job t = { rows, columns, (columns + STRIP - 1) / STRIP, from, to };
  int64_t blocks = images * t.strips;
  if ((double)images * (double)rows * (double)columns >= 2 * WORTH_A_THREAD)
    cr_pool_run(blocks, turn_strip, &t);
  else for (int64_t b = 0; b < blocks; b++) turn_strip(&t, b, 0);
}
