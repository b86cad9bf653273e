/* worker.h - threads that work ahead of the main one
 *
 * A job is a number of pieces. Workers take the pieces of the oldest job first; whoever waits for a
 * job takes pieces too, so that nothing is lost when the workers are late or there are none. What a
 * piece computes must not depend on who computes it. Pieces run kernels and nothing else: no
 * allocation, no Lua, no errors. The memory of a job is its owner's until wait or drop returns. */
#ifndef CR_BASE_WORKER_H
#define CR_BASE_WORKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum { CR_WORKERS_MOST = 16 };

/* worker: 0 .. threads - 1, or threads for the one who waits; names the scratch a piece may use */
typedef void (*cr_piece_fn)(void *context, int64_t piece, int worker);

typedef struct cr_job {
  cr_piece_fn fn;
  void *context;
  int64_t pieces;
  int64_t taken, done;          /* the workers' own */
  struct cr_job *next;
} cr_job;

typedef struct cr_workers {
  int threads;
  bool stopping;
  cr_job *first;                /* oldest; jobs leave when their last piece is taken */
  pthread_mutex_t lock;
  pthread_cond_t work, done;
  pthread_t thread[CR_WORKERS_MOST];
} cr_workers;

/* Starts up to `threads` (fewer when the system refuses; 0 is fine). */
void cr_workers_start(cr_workers *w, int threads);
void cr_workers_add(cr_workers *w, cr_job *job);
void cr_workers_wait(cr_workers *w, cr_job *job);
/* Takes a job back: no piece of it runs any more or ever will. */
void cr_workers_drop(cr_workers *w, cr_job *job);
void cr_workers_stop(cr_workers *w);          /* all jobs must have been waited for or dropped */

#endif
