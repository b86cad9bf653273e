/* shape_line.c - see shape_line.h and the grammar in op.h */
#include "autograd/shape_line.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { char letter; int64_t size; } token;   /* letter 0: a number */

/* The tokens after a leading "..." (*open says whether there was one). */
static int parse(const char *line, token *tokens, bool *open) {
  int n = 0;
  *open = strncmp(line, "...", 3) == 0;
  const char *p = *open ? line + 3 : line;
  while (*p != '\0') {
    if (*p == ' ') {
      p++;
    } else if (isdigit((unsigned char)*p)) {
      char *end;
      tokens[n++] = (token){ 0, strtoll(p, &end, 10) };
      p = end;
    } else {
      assert(isalpha((unsigned char)*p) && n < CR_MAX_DIMS);
      tokens[n++] = (token){ *p++, 0 };
    }
  }
  return n;
}

bool cr_shape_line_has_letters(const char *line) { return strcmp(line, "...") != 0; }

/* "[B, D] with B = 128 as in embeddings" */
static void describe(const cr_call *c, const char *line, const char *const *origin, char *text,
                     size_t size) {
  token tokens[CR_MAX_DIMS];
  bool open;
  int n = parse(line, tokens, &open);
  size_t used = (size_t)snprintf(text, size, "[%s", open ? "..." : "");
  for (int d = 0; d < n && used < size; d++) {
    const char *comma = d > 0 || open ? ", " : "";
    if (tokens[d].letter)
      used += (size_t)snprintf(text + used, size - used, "%s%c", comma, tokens[d].letter);
    else
      used += (size_t)snprintf(text + used, size - used, "%s%lld", comma, (long long)tokens[d].size);
  }
  if (used < size) used += (size_t)snprintf(text + used, size - used, "]");
  const char *join = " with";
  for (int d = 0; d < n && used < size; d++) {
    const char *from = origin[(unsigned char)tokens[d].letter];
    if (tokens[d].letter == 0 || from == NULL) continue;
    used += (size_t)snprintf(text + used, size - used, "%s %c = %lld as in %s", join, tokens[d].letter,
                             (long long)c->dim[(unsigned char)tokens[d].letter], from);
    join = ",";
  }
}

static bool check_input(cr_call *c, int i, const char *name, const char *line, const char **origin,
                        cr_error *err) {
  const cr_tensor *t = c->in[i];
  token tokens[CR_MAX_DIMS];
  bool open;
  int n = parse(line, tokens, &open);
  bool fits = open ? t->ndim >= n : t->ndim == n;
  for (int d = 0; fits && d < n; d++) {
    int64_t size = t->shape[t->ndim - n + d];
    unsigned char letter = (unsigned char)tokens[d].letter;
    if (letter == 0) fits = size == tokens[d].size;
    else if (origin[letter] != NULL) fits = size == c->dim[letter];
    for (int e = 0; fits && letter != 0 && e < d; e++)          /* "N N": equal within one input, too */
      if ((unsigned char)tokens[e].letter == letter) fits = size == t->shape[t->ndim - n + e];
  }
  if (!fits) {
    char want[200], got[CR_SHAPE_TEXT];
    describe(c, line, origin, want, sizeof want);
    cr_shape_text(t->ndim, t->shape, got);
    if (t->ndim == 1 && n == 1 && !open)      /* "got 127" reads better than "got [127]" */
      return cr_fail(err, CR_ESHAPE, "%s must have shape %s, got %lld", name, want,
                     (long long)t->shape[0]);
    return cr_fail(err, CR_ESHAPE, "%s must have shape %s, got %s", name, want, got);
  }
  for (int d = 0; d < n; d++) {
    unsigned char letter = (unsigned char)tokens[d].letter;
    if (letter == 0) continue;
    c->dim[letter] = t->shape[t->ndim - n + d];
    if (origin[letter] == NULL) origin[letter] = name;
  }
  return true;
}

bool cr_shape_lines_check(cr_call *c, cr_error *err) {
  const char *origin[128] = { 0 };
  const cr_input *inputs = c->op->inputs;
  bool list = (inputs[0].flags & CR_LIST) != 0;
  for (int i = 0; i < c->n_in; i++) {
    const cr_input *spec = list ? &inputs[0] : &inputs[i];
    if (c->in[i] != NULL && !check_input(c, i, spec->name, spec->shape, origin, err)) return false;
  }
  return true;
}

void cr_shape_line_output(const char *line, const cr_call *c, int *ndim, int64_t *shape) {
  if (line[0] == '=') {
    const cr_tensor *like = c->in[line[1] - '0'];
    *ndim = like->ndim;
    for (int d = 0; d < like->ndim; d++) shape[d] = like->shape[d];
    return;
  }
  token tokens[CR_MAX_DIMS];
  bool open;
  int n = parse(line, tokens, &open);
  *ndim = 0;
  if (open) {                                  /* "... D": the leading dimensions of the first input */
    token first[CR_MAX_DIMS];
    bool first_open;
    int tail = parse(c->op->inputs[0].shape, first, &first_open);
    assert(first_open);
    for (; *ndim < c->in[0]->ndim - tail; ++*ndim) shape[*ndim] = c->in[0]->shape[*ndim];
  }
  for (int d = 0; d < n; d++)
    shape[(*ndim)++] = tokens[d].letter ? c->dim[(unsigned char)tokens[d].letter] : tokens[d].size;
}
