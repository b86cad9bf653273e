/* worker_test.c - jobs come out whole whatever the number of workers, in any mix of waiting and dropping */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "base/worker.h"

enum { PIECES = 50, JOBS = 6 };

typedef struct work { int value[PIECES], last_worker, threads; } work;

static void fill(void *context, int64_t piece, int worker) {
  work *w = context;
  int sum = 0;
  for (int i = 0; i < 2000; i++) sum += (int)piece * i % 7;
  w->value[piece] += 1 + sum % 2;
  if (worker < 0 || worker > w->threads) w->value[piece] = -1000;
}

static int expected(int64_t piece) {
  int sum = 0;
  for (int i = 0; i < 2000; i++) sum += (int)piece * i % 7;
  return 1 + sum % 2;
}

static void whole_jobs(void **state) {
  (void)state;
  for (int threads = 0; threads <= 4; threads++) {
    cr_workers w;
    cr_workers_start(&w, threads);
    assert_int_equal(w.threads, threads);
    for (int round = 0; round < 50; round++) {
      work done[JOBS];
      cr_job job[JOBS];
      memset(done, 0, sizeof done);
      for (int j = 0; j < JOBS; j++) {
        done[j].threads = threads;
        job[j] = (cr_job){ .fn = fill, .context = &done[j], .pieces = j == 2 ? 0 : PIECES };
        cr_workers_add(&w, &job[j]);
      }
      /* some are waited for in order, one out of order, others dropped */
      cr_workers_wait(&w, &job[4]);
      cr_workers_wait(&w, &job[0]);
      cr_workers_drop(&w, &job[3]);
      cr_workers_wait(&w, &job[1]);
      cr_workers_wait(&w, &job[2]);
      if (round % 2 == 0) cr_workers_drop(&w, &job[5]);
      else cr_workers_wait(&w, &job[5]);
      for (int j = 0; j < JOBS; j++)
        for (int64_t i = 0; i < PIECES; i++) {
          int value = done[j].value[i];
          bool may_be_left = j == 3 || (j == 5 && round % 2 == 0) || j == 2;
          assert_true(value == expected(i) || (may_be_left && value == 0));
        }
      assert_null(w.first);
    }
    cr_workers_stop(&w);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(whole_jobs) };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
