/* events.h - TensorBoard event files: append-only, one record a call
 *
 * The writer holds no open file: a record is appended and on disk's way before the call returns, so
 * a file that is cut off by a kill still loads up to the cut. Free it like any cr_alloc block. */
#ifndef CR_IO_EVENTS_H
#define CR_IO_EVENTS_H

#include <limits.h>
#include "base/error.h"
#include "tensor/tensor.h"

typedef struct cr_events {
  char path[PATH_MAX];
} cr_events;

/* A setting of a run, with its type. A setting that a run does not have is left out. */
typedef struct cr_hparam {
  const char *name;
  enum { CR_HPARAM_NUMBER, CR_HPARAM_TEXT, CR_HPARAM_FLAG } kind;
  double number;                      /* or 0 and 1 of a flag */
  const char *text;
} cr_hparam;

/* Starts a new file FOLDER/events.out.tfevents.SECONDS.HOST.PID.NUMBER; makes the folder. */
bool cr_events_open(cr_events *w, const char *folder, cr_error *err);
bool cr_events_scalar(const cr_events *w, const char *tag, double value, int64_t step,
                      cr_error *err);
bool cr_events_histogram(const cr_events *w, const char *tag, const cr_tensor *values, int64_t step,
                         cr_error *err);
bool cr_events_image(const cr_events *w, const char *tag, cr_tensor *image, int64_t step,
                     cr_error *err);

/* HParams. The experiment record belongs into the folder above all runs and lists every setting and
 * metric that any run has (of a setting only name and kind are read); start and end belong into the
 * run's own folder. Runs of one group are folded into one row: give seeds of one config its hash.
 */
bool cr_events_experiment(const cr_events *w, const cr_hparam *hparam, size_t n,
                          const char *const *metric, size_t n_metrics, cr_error *err);
bool cr_events_session_start(const cr_events *w, const cr_hparam *hparam, size_t n,
                             const char *group, cr_error *err);
bool cr_events_session_end(const cr_events *w, bool success, cr_error *err);

#endif
