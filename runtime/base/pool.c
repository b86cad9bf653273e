/* pool.c - see pool.h
 *
 * One job at a time. Every thread has a share of its blocks, the same part of each job, so that what a thread wrote in one
 * job it finds in its own cache in the next: another core's lines come slower than memory. A share is one word: the number
 * of the job and the blocks still to be taken, first and end. Its owner takes the first; who has none left takes the last
 * of another's, which succeeds only while the job is the one he knows; so an uneven block costs nothing but itself, and a
 * worker that comes late finds nothing and does no harm. The caller waits for blocks that were taken, never for workers:
 * if they sleep, or the processor is somebody else's, it does the work alone. A worker spins for some microseconds after
 * a job, since the next one usually follows, and then sleeps. */
#define _GNU_SOURCE
#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

enum { SPIN_ROUNDS = 4000 };          /* 30 to 80 microseconds of `pause` */

static _Atomic int wanted_threads;    /* 0: not asked yet */
static int workers;                   /* threads started, the caller not counted */
static pthread_t thread[CR_POOL_MAX_THREADS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static _Thread_local int self = -1;   /* this thread's worker number while it runs a block */

/* What is shared out are runs of blocks, one block each unless there are more than a word can number. */
enum { MOST_RUNS = UINT16_MAX };
static struct {
  cr_block_fn fn;
  void *context;
  int64_t blocks, run;          /* blocks in a run */
} job;
typedef struct { _Alignas(64) _Atomic uint64_t word; } share;
static share shares[CR_POOL_MAX_THREADS];   /* number of the job << 32 | first run << 16 | end */
static _Atomic uint32_t newest;       /* number of the job */
static _Atomic int64_t done;          /* runs of this job that are finished */
static _Atomic int sleepers;
static _Atomic bool stopping;

static void pause_briefly(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

/* Takes a run of job `number` from a share, the first or the last that is left. */
static bool take(share *from, uint32_t number, bool last, int64_t *run) {
  uint64_t word = atomic_load(&from->word);
  for (;;) {
    uint32_t first = (uint32_t)word >> 16, end = (uint32_t)word & UINT16_MAX;
    if (word >> 32 != number || first == end) return false;
    *run = last ? end - 1 : first;
    if (atomic_compare_exchange_weak(&from->word, &word, last ? word - 1 : word + (1 << 16)))
      return true;
  }
}

/* Runs of job `number` for as long as there are any. What `job` holds is read only with a run in hand: until that is
 * done, the job cannot change. */
static void run_blocks(uint32_t number, int worker) {
  int64_t run;
  self = worker;
  for (int i = 0, threads = cr_pool_threads(); i < threads; i++) {
    while (take(&shares[(worker + i) % threads], number, i > 0, &run)) {
      int64_t end = (run + 1) * job.run < job.blocks ? (run + 1) * job.run : job.blocks;
      for (int64_t b = run * job.run; b < end; b++) job.fn(job.context, b, worker);
      atomic_fetch_add_explicit(&done, 1, memory_order_release);
    }
  }
  self = -1;
}

static uint32_t wait_for_job(uint32_t seen) {
  for (int i = 0; i < SPIN_ROUNDS; i++) {
    uint32_t number = atomic_load_explicit(&newest, memory_order_acquire);
    if (number != seen) return number;
    pause_briefly();
  }
  pthread_mutex_lock(&lock);
  atomic_fetch_add(&sleepers, 1);
  while (atomic_load(&newest) == seen) pthread_cond_wait(&wake, &lock);
  atomic_fetch_sub(&sleepers, 1);
  pthread_mutex_unlock(&lock);
  return atomic_load(&newest);
}

typedef struct { int worker; uint32_t seen; } start;
static start starts[CR_POOL_MAX_THREADS];

static void *worker_main(void *argument) {
  start *s = argument;
  uint32_t seen = s->seen;
  for (;;) {
    seen = wait_for_job(seen);
    if (atomic_load(&stopping)) return NULL;
    run_blocks(seen, s->worker);
  }
}

/* A new job of so many runs. Returns its number. */
static uint32_t announce(uint32_t runs) {
  uint32_t number = atomic_load(&newest) + 1, threads = (uint32_t)cr_pool_threads();
  for (uint32_t t = 0; t < threads; t++)
    atomic_store_explicit(&shares[t].word, (uint64_t)number << 32 | (t * runs / threads) << 16
                          | (t + 1) * runs / threads, memory_order_relaxed);
  atomic_store(&newest, number);
  if (atomic_load(&sleepers) > 0) {
    pthread_mutex_lock(&lock);
    pthread_cond_broadcast(&wake);
    pthread_mutex_unlock(&lock);
  }
  return number;
}

static void stop_workers(void) {
  if (workers == 0) return;
  atomic_store(&stopping, true);
  announce(0);
  for (int i = 0; i < workers; i++) pthread_join(thread[i], NULL);
  atomic_store(&stopping, false);
  workers = 0;
}

/* A thread that cannot be started is done without: the same results, slower. */
static void start_workers(int count) {
  while (workers < count) {
    starts[workers] = (start){ workers + 1, atomic_load(&newest) };
    if (pthread_create(&thread[workers], NULL, worker_main, &starts[workers]) != 0) return;
    workers++;
  }
}

int cr_pool_default_threads(void) {
  cpu_set_t set;
  int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  return n < 1 ? 1 : n > CR_POOL_MAX_THREADS ? CR_POOL_MAX_THREADS : n;
}

int cr_pool_threads(void) {
  if (wanted_threads == 0) wanted_threads = cr_pool_default_threads();
  return wanted_threads;
}

bool cr_pool_set_threads(int threads, cr_error *err) {
  if (threads < 1 || threads > CR_POOL_MAX_THREADS)
    return cr_fail(err, CR_EVALUE, "the number of threads must be 1 to %d, got %d",
                   CR_POOL_MAX_THREADS, threads);
  if (threads - 1 < workers) stop_workers();
  wanted_threads = threads;
  return true;
}

void cr_pool_run(int64_t blocks, cr_block_fn fn, void *context) {
  if (self >= 0 || blocks <= 1 || cr_pool_threads() == 1) {
    int worker = self >= 0 ? self : 0;
    for (int64_t b = 0; b < blocks; b++) fn(context, b, worker);
    return;
  }
  if (workers < wanted_threads - 1) start_workers(wanted_threads - 1);
  job.fn = fn;
  job.context = context;
  job.blocks = blocks;
  job.run = (blocks + MOST_RUNS - 1) / MOST_RUNS;
  int64_t runs = (blocks + job.run - 1) / job.run;
  atomic_store(&done, 0);
  run_blocks(announce((uint32_t)runs), 0);
  /* the others may be in their last block; should they not be running, let them */
  for (int i = 0; atomic_load_explicit(&done, memory_order_acquire) < runs; i++) {
    pause_briefly();
    if (i > SPIN_ROUNDS) sched_yield();
  }
}

typedef struct { cr_range_fn fn; void *context; int64_t n, grain; } range_job;

static void run_range(void *context, int64_t block, int worker) {
  (void)worker;
  range_job *r = context;
  int64_t begin = block * r->grain, end = begin + r->grain;
  r->fn(r->context, begin, end < r->n ? end : r->n);
}

void cr_pool_for(int64_t n, int64_t grain, cr_range_fn fn, void *context) {
  if (n <= 0) return;
  range_job r = { fn, context, n, grain };
  cr_pool_run((n + grain - 1) / grain, run_range, &r);
}
