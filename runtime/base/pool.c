/* pool.c - see pool.h
 *
 * One job at a time. The caller publishes it by raising `epoch`; workers that are still spinning see it at once, sleeping
 * ones are woken. Blocks are handed out by one atomic counter, so an uneven block costs nothing but itself. A worker
 * spins for some microseconds after a job, since the next one usually follows, and then sleeps. */
#define _GNU_SOURCE
#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

enum { SPIN_ROUNDS = 4000 };          /* about 30 microseconds of `pause` */

static int wanted_threads;            /* 0: not asked yet */
static int workers;                   /* threads started, the caller not counted */
static pthread_t thread[CR_POOL_MAX_THREADS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static _Thread_local int self = -1;   /* this thread's worker number while it runs a block */

static struct {
  cr_block_fn fn;
  void *context;
  int64_t blocks;
} job;
static _Atomic int64_t next_block;
static _Atomic int busy;              /* workers that have not finished this job */
static _Atomic uint64_t epoch;        /* a new value: a new job, or time to stop */
static _Atomic int sleepers;
static _Atomic bool stopping;

static void pause_briefly(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

static void run_blocks(int worker) {
  self = worker;
  for (;;) {
    int64_t block = atomic_fetch_add_explicit(&next_block, 1, memory_order_relaxed);
    if (block >= job.blocks) break;
    job.fn(job.context, block, worker);
  }
  self = -1;
}

static void wait_for_epoch(uint64_t seen) {
  for (int i = 0; i < SPIN_ROUNDS; i++) {
    if (atomic_load_explicit(&epoch, memory_order_acquire) != seen) return;
    pause_briefly();
  }
  pthread_mutex_lock(&lock);
  atomic_fetch_add(&sleepers, 1);
  while (atomic_load(&epoch) == seen) pthread_cond_wait(&wake, &lock);
  atomic_fetch_sub(&sleepers, 1);
  pthread_mutex_unlock(&lock);
}

typedef struct { int worker; uint64_t seen; } start;
static start starts[CR_POOL_MAX_THREADS];

static void *worker_main(void *argument) {
  start *s = argument;
  uint64_t seen = s->seen;
  for (;;) {
    wait_for_epoch(seen);
    seen = atomic_load(&epoch);
    if (atomic_load(&stopping)) return NULL;
    run_blocks(s->worker);
    atomic_fetch_sub_explicit(&busy, 1, memory_order_release);
  }
}

static void announce(void) {
  atomic_fetch_add(&epoch, 1);
  if (atomic_load(&sleepers) > 0) {
    pthread_mutex_lock(&lock);
    pthread_cond_broadcast(&wake);
    pthread_mutex_unlock(&lock);
  }
}

static void stop_workers(void) {
  if (workers == 0) return;
  atomic_store(&stopping, true);
  announce();
  for (int i = 0; i < workers; i++) pthread_join(thread[i], NULL);
  atomic_store(&stopping, false);
  workers = 0;
}

/* A thread that cannot be started is done without: the same results, slower. */
static void start_workers(int count) {
  while (workers < count) {
    starts[workers] = (start){ workers + 1, atomic_load(&epoch) };
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
  atomic_store_explicit(&next_block, 0, memory_order_relaxed);
  atomic_store_explicit(&busy, workers, memory_order_release);
  announce();
  run_blocks(0);
  /* the others may be in their last block; should they not even be running, let them */
  for (int i = 0; atomic_load_explicit(&busy, memory_order_acquire) > 0; i++) {
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
