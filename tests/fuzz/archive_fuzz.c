/* archive_fuzz.c - any bytes as a zip or tar file: members with safe names, or an error. See
 * fuzz.h. Nearly every mutation of a tar header breaks its sum, so each input is also tried with
 * its sums made good. */
#include "fuzz.h"
#include <stdio.h>
#include "io/archive.h"

static void check_name(const char *name) {
  must(name[0] != '\0' && name[0] != '/' && strlen(name) <= CR_NAME_MOST);
  must(strchr(name, '\\') == NULL && strstr(name, "//") == NULL);
  for (const char *part = name; part != NULL; part = strchr(part, '/')) {
    if (*part == '/') part++;
    size_t n = strcspn(part, "/");
    must(n > 0 && !(n == 1 && part[0] == '.') && !(n == 2 && memcmp(part, "..", 2) == 0));
  }
}

static void try(const uint8_t *data, size_t n) {
  cr_error err = { 0 };
  cr_archive archive;
  if (cr_archive_open(data, n, &archive, &err)) {
    for (size_t i = 0; i < archive.n; i++) {
      const cr_member *m = &archive.member[i];
      cr_buffer out = { 0 };
      check_name(m->name);
      must(m->packed <= n && (m->packed == 0 || (m->data >= data && m->data + m->packed <= data + n)));
      if (cr_archive_read(m, &out, &err)) must(out.n == m->bytes);
      else must(err.kind != CR_OK && err.text[0] != '\0');
      cr_buffer_clear(&out);
    }
  } else {
    must(err.kind != CR_OK && err.text[0] != '\0');
  }
  cr_archive_clear(&archive);
  must(cr_memory().live_bytes == 0);
}

static void repair(uint8_t *data, size_t n) {
  for (size_t at = 0; at + 512 <= n; at += 512) {
    unsigned sum = 0;
    char text[8];
    memset(data + at + 148, ' ', 8);
    for (int i = 0; i < 512; i++) sum += data[at + (size_t)i];
    if (sum == 8 * ' ') memset(data + at + 148, 0, 8);
    else snprintf(text, sizeof text, "%06o", sum), memcpy(data + at + 148, text, 7);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  uint8_t *copy = malloc(n + 1);
  try(data, n);
  memcpy(copy, data, n);
  repair(copy, n);
  try(copy, n);
  free(copy);
  return 0;
}
