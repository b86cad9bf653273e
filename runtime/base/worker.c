/* worker.c - see worker.h
 *
 * One lock around everything: a piece is some images, tens of microseconds at least. */
#include "base/worker.h"

#include <stddef.h>

/* with the lock: takes the next piece of job, which leaves the queue with its last one */
static int64_t take(cr_workers *w, cr_job *job) {
  int64_t piece = job->taken++;
  if (job->taken == job->pieces) {
    cr_job **at = &w->first;
    while (*at != job) at = &(*at)->next;
    *at = job->next;
  }
  return piece;
}

/* with the lock, which is given back while the piece runs */
static void run(cr_workers *w, cr_job *job, int worker) {
  int64_t piece = take(w, job);
  pthread_mutex_unlock(&w->lock);
  job->fn(job->context, piece, worker);
  pthread_mutex_lock(&w->lock);
  job->done++;
  if (job->done == job->taken) pthread_cond_broadcast(&w->done);
}

static void *worker_main(void *argument) {
  cr_workers *w = argument;
  pthread_mutex_lock(&w->lock);
  int number = 0;
  while (!pthread_equal(w->thread[number], pthread_self())) number++;
  for (;;) {
    while (w->first == NULL && !w->stopping) pthread_cond_wait(&w->work, &w->lock);
    if (w->stopping) break;
    run(w, w->first, number);
  }
  pthread_mutex_unlock(&w->lock);
  return NULL;
}

void cr_workers_start(cr_workers *w, int threads) {
  *w = (cr_workers){ 0 };
  pthread_mutex_init(&w->lock, NULL);
  pthread_cond_init(&w->work, NULL);
  pthread_cond_init(&w->done, NULL);
  /* a thread that begins waits for the lock, so it finds itself in the list */
  pthread_mutex_lock(&w->lock);
  while (w->threads < threads && w->threads < CR_WORKERS_MOST
         && pthread_create(&w->thread[w->threads], NULL, worker_main, w) == 0) w->threads++;
  pthread_mutex_unlock(&w->lock);
}

void cr_workers_add(cr_workers *w, cr_job *job) {
  job->taken = job->done = 0;
  job->next = NULL;
  if (job->pieces == 0) return;
  pthread_mutex_lock(&w->lock);
  cr_job **at = &w->first;
  while (*at != NULL) at = &(*at)->next;
  *at = job;
  pthread_cond_broadcast(&w->work);
  pthread_mutex_unlock(&w->lock);
}

void cr_workers_wait(cr_workers *w, cr_job *job) {
  pthread_mutex_lock(&w->lock);
  while (job->taken < job->pieces) run(w, job, w->threads);
  while (job->done < job->pieces) pthread_cond_wait(&w->done, &w->lock);
  pthread_mutex_unlock(&w->lock);
}

void cr_workers_drop(cr_workers *w, cr_job *job) {
  pthread_mutex_lock(&w->lock);
  if (job->taken < job->pieces) {
    cr_job **at = &w->first;
    while (*at != job) at = &(*at)->next;
    *at = job->next;
    job->pieces = job->taken;
  }
  while (job->done < job->taken) pthread_cond_wait(&w->done, &w->lock);
  pthread_mutex_unlock(&w->lock);
}

void cr_workers_stop(cr_workers *w) {
  pthread_mutex_lock(&w->lock);
  w->stopping = true;
  pthread_cond_broadcast(&w->work);
  pthread_mutex_unlock(&w->lock);
  for (int i = 0; i < w->threads; i++) pthread_join(w->thread[i], NULL);
  pthread_mutex_destroy(&w->lock);
  pthread_cond_destroy(&w->work);
  pthread_cond_destroy(&w->done);
}
