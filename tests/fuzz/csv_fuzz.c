/* csv_fuzz.c - any bytes as a CSV file: as many cells as it says, or an error. See fuzz.h. */
#include "fuzz.h"
#include "io/csv.h"

static bool count(void *context, const char *text, size_t n, cr_error *err) {
  (void)err;
  must(n == 0 || text != NULL);
  ++*(int64_t *)context;
  return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  cr_error err = { 0 };
  cr_csv csv;
  if (cr_csv_open(data, n, &csv, &err)) {
    must(csv.rows >= 1 && csv.columns >= 1 && (size_t)(csv.rows * csv.columns) <= n + 1);
    int64_t wanted = 0, names = 0, texts = 0;
    int64_t *column = malloc((size_t)csv.columns * sizeof *column);
    for (int64_t k = 0; k < csv.columns; k++)
      if (csv.numeric[k]) column[wanted++] = k;
    real *out = malloc((size_t)(csv.rows * wanted + 1) * sizeof *out);
    must(cr_csv_numbers(&csv, column, wanted, out, &err));
    must(cr_csv_names(&csv, count, &names, &err) && names == csv.columns);
    must(cr_csv_texts(&csv, 0, count, &texts, &err) && texts == csv.rows + csv.header);
    free(column);
    free(out);
  } else {
    must(err.kind != CR_OK && err.text[0] != '\0');
  }
  cr_csv_clear(&csv);
  must(cr_memory().live_bytes == 0);
  return 0;
}
