/* error.h - how a function of the runtime says that it failed
 *
 * A function that can fail returns bool (or a pointer, NULL on failure) and takes cr_error *err last.
 * cr_fail fills it and returns false, so failing is one line. The text says what was expected, what came
 * and in which argument; it names no file of ours: bind/ puts the user's script line in front. */
#ifndef CR_BASE_ERROR_H
#define CR_BASE_ERROR_H

#include <stdbool.h>

typedef enum {
  CR_OK,
  CR_ESHAPE,    /* sizes that do not fit together */
  CR_ETYPE,     /* a value of the wrong type */
  CR_EVALUE,    /* a value out of its range */
  CR_EMEMORY,   /* no memory, or past the ceiling */
  CR_EIO,       /* the operating system refused to read or write */
  CR_EFORMAT,   /* a file that is not what it claims */
  CR_EGRAPH     /* a gradient that cannot be had */
} cr_error_kind;

typedef struct cr_error {
  cr_error_kind kind;
  char text[500];
} cr_error;

/* Fills *err (which may be NULL) from a printf format and returns false. */
bool cr_fail(cr_error *err, cr_error_kind kind, const char *format, ...)
  __attribute__((format(printf, 3, 4)));

/* Puts "PREFIX: " before the text of *err; returns false. For a caller that knows a better name. */
bool cr_fail_in(cr_error *err, const char *prefix);

#endif
