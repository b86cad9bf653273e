/* pool.h - the one pool of worker threads
 *
 * Work is cut into blocks whose borders depend on the problem alone, never on the number of threads; a block is computed
 * by one thread from start to end; what blocks produce is reduced in block order. So the bits of a result do not
 * depend on the number of threads. Workers run kernels and nothing else: no allocation, no Lua, no errors. */
#ifndef CR_BASE_POOL_H
#define CR_BASE_POOL_H

#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"

enum { CR_POOL_MAX_THREADS = 64 };

int cr_pool_threads(void);                              /* threads in use, the caller's included */
int cr_pool_default_threads(void);                      /* processors this process may run on */
bool cr_pool_set_threads(int threads, cr_error *err);   /* 1 .. CR_POOL_MAX_THREADS; stops or starts workers */

/* Calls fn(context, block, worker) for block = 0 .. blocks-1 and returns when all are done. worker is in
 * 0 .. cr_pool_threads()-1 and names the scratch a block may use, nothing else. A call from inside a block runs
 * its blocks in place, one after another, with that block's worker number. */
typedef void (*cr_block_fn)(void *context, int64_t block, int worker);
void cr_pool_run(int64_t blocks, cr_block_fn fn, void *context);

/* fn(context, begin, end) over 0 .. n-1 in blocks of `grain`; in the caller when one block holds all. */
typedef void (*cr_range_fn)(void *context, int64_t begin, int64_t end);
void cr_pool_for(int64_t n, int64_t grain, cr_range_fn fn, void *context);

#endif
