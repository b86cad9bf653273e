/* csv.h - tables of numbers as text: features exported from elsewhere
 *
 * Commas, semicolons or tabs between cells, whichever is most frequent in the first line; cells may
 * be in double quotes ("" is a quote within); lines end with LF or CRLF. A column is numeric when
 * every cell of it below the first line is a number. The first line is a header when one of its
 * cells in a numeric column is not a number, or when no cell of it is. */
#ifndef CR_IO_CSV_H
#define CR_IO_CSV_H

#include "io/buffer.h"
#include "tensor/tensor.h"

enum { CR_CSV_COLUMNS_MOST = 65536 };

typedef struct cr_csv {
  const char *bytes;            /* the file, which must outlive it */
  size_t n;
  char separator;
  bool header;
  int64_t rows, columns;        /* without the header */
  bool *numeric;                /* [columns] */
  cr_buffer flags, cell;        /* its memory, and the cell in hand */
} cr_csv;

/* Looks through the whole file: every line must have the same number of cells. To be cleared after
 * a failure too. */
bool cr_csv_open(const void *bytes, size_t n, cr_csv *out, cr_error *err);
void cr_csv_clear(cr_csv *csv);

/* out[r * wanted + k] = cell (r, column[k]); the columns must be numeric and ascending. */
bool cr_csv_numbers(cr_csv *csv, const int64_t *column, int64_t wanted, real *out, cr_error *err);
/* Calls take(context, text, bytes) for each cell of a column, the header's first if there is one. */
typedef bool (*cr_csv_take)(void *context, const char *text, size_t bytes, cr_error *err);
bool cr_csv_texts(cr_csv *csv, int64_t column, cr_csv_take take, void *context, cr_error *err);
bool cr_csv_names(cr_csv *csv, cr_csv_take take, void *context, cr_error *err); /* of the header */

#endif
