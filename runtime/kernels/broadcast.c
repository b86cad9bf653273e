/* broadcast.c - see broadcast.h */
#include "kernels/broadcast.h"

#include <string.h>
#include "base/pool.h"

/* An operand along the result: strides over the result's shape, neighbouring dimensions joined where one stride serves both.
 * No dimension left and stride 1 in the last means packed; stride 0 means one value for all. */
typedef struct source {
  const unsigned char *data;
  size_t bytes;
  int ndim;                     /* at least 1 */
  int64_t shape[CR_SHAPE_MAX], stride[CR_SHAPE_MAX];
} source;

typedef struct job {
  cr_loop_fn loop;
  unsigned char *out;
  size_t bytes;
  const double *option;
  int fallback;                             /* a slot in use */
  const cr_operand *in;
  const source *source[CR_SLOTS];           /* NULL: packed, or not in use */
} job;

static bool is_packed(const cr_operand *o, int ndim, const int64_t *shape) {
  if (o->ndim != ndim) return false;
  int64_t step = 1;
  for (int d = ndim - 1; d >= 0; d--) {
    if (o->shape[d] != shape[d] || (o->stride[d] != step && shape[d] != 1)) return false;
    step *= shape[d];
  }
  return true;
}

static void look_along(source *s, const cr_operand *o, int ndim, const int64_t *shape) {
  int64_t size[CR_SHAPE_MAX], step[CR_SHAPE_MAX];      /* innermost first */
  int n = 0;
  for (int d = ndim - 1; d >= 0; d--) {
    if (shape[d] == 1) continue;
    int own = d - (ndim - o->ndim);
    int64_t stride = own < 0 || o->shape[own] == 1 ? 0 : o->stride[own];
    if (n > 0 && stride == step[n-1] * size[n-1]) {
      size[n-1] *= shape[d];
    } else {
      size[n] = shape[d];
      step[n++] = stride;
    }
  }
  if (n == 0) size[n] = 1, step[n++] = 0;
  s->data = o->data;
  s->bytes = o->bytes;
  s->ndim = n;
  for (int d = 0; d < n; d++) s->shape[d] = size[n-1-d], s->stride[d] = step[n-1-d];
}

/* n elements with one stride */
static void copy_run(unsigned char *to, const unsigned char *from, size_t bytes, int64_t n, int64_t stride) {
  if (stride == 1) {
    memcpy(to, from, (size_t)n * bytes);
  } else if (bytes == 4) {
    uint32_t *restrict t = (uint32_t *)(void *)to;
    const uint32_t *restrict f = (const uint32_t *)(const void *)from;
    if (stride == 0) for (int64_t i = 0; i < n; i++) t[i] = *f;
    else             for (int64_t i = 0; i < n; i++) t[i] = f[i*stride];
  } else if (bytes == 8) {
    uint64_t *restrict t = (uint64_t *)(void *)to;
    const uint64_t *restrict f = (const uint64_t *)(const void *)from;
    if (stride == 0) for (int64_t i = 0; i < n; i++) t[i] = *f;
    else             for (int64_t i = 0; i < n; i++) t[i] = f[i*stride];
  } else {
    for (int64_t i = 0; i < n; i++) to[i] = from[i*stride];
  }
}

/* Elements begin .. begin+n-1 of the source in the result's order: in place where they lie side by side, else in buffer. */
static const void *fetch(const source *s, int64_t begin, int64_t n, unsigned char *buffer) {
  int64_t at[CR_SHAPE_MAX], rest = begin, offset = 0;
  int last = s->ndim - 1;
  for (int d = last; d >= 0; d--) {
    at[d] = d == 0 ? rest : rest % s->shape[d];
    rest /= s->shape[d];
    offset += at[d] * s->stride[d];
  }
  if (s->stride[last] == 1 && s->shape[last] - at[last] >= n)
    return s->data + (size_t)offset * s->bytes;
  for (int64_t done = 0; done < n; ) {
    int64_t run = s->shape[last] - at[last];
    if (run > n - done) run = n - done;
    copy_run(buffer + (size_t)done * s->bytes, s->data + offset * (int64_t)s->bytes, s->bytes, run,
             s->stride[last]);
    done += run;
    at[last] += run;
    offset += run * s->stride[last];
    for (int d = last; d > 0 && at[d] == s->shape[d]; d--) {
      offset += s->stride[d-1] - at[d] * s->stride[d];
      at[d] = 0;
      at[d-1]++;
    }
  }
  return buffer;
}

/* Elements begin .. end-1 of the result when some operand has to be gathered */
static void run_pieces(const job *j, int64_t begin, int64_t end) {
  _Alignas(64) unsigned char buffer[CR_SLOTS][CR_PIECE * sizeof(int64_t)];
  for (int64_t i = begin; i < end; ) {
    int64_t n = end - i < CR_PIECE ? end - i : CR_PIECE;
    const void *in[CR_SLOTS];
    for (int k = 0; k < CR_SLOTS; k++) {
      const source *s = j->source[k];
      if (s == NULL)
        in[k] = (const unsigned char *)j->in[k].data + (size_t)i * j->in[k].bytes;
      else if (i > begin && s->ndim == 1 && s->stride[0] == 0)
        in[k] = buffer[k];                             /* one value for all, already there */
      else
        in[k] = fetch(s, i, n, buffer[k]);
    }
    for (int k = 0; k < CR_SLOTS; k++) if (j->in[k].data == NULL) in[k] = in[j->fallback];
    j->loop(n, j->out + (size_t)i * j->bytes, in, j->option);
    i += n;
  }
}

static void run_packed(const job *j, int64_t begin, int64_t end) {
  const void *in[CR_SLOTS];
  for (int k = 0; k < CR_SLOTS; k++) {
    const cr_operand *o = &j->in[j->in[k].data != NULL ? k : j->fallback];
    in[k] = (const unsigned char *)o->data + (size_t)begin * o->bytes;
  }
  j->loop(end - begin, j->out + (size_t)begin * j->bytes, in, j->option);
}

static void pieces_range(void *context, int64_t begin, int64_t end) { run_pieces(context, begin, end); }
static void packed_range(void *context, int64_t begin, int64_t end) { run_packed(context, begin, end); }

void cr_kernel_broadcast(cr_loop_fn loop, void *out, size_t bytes, int ndim, const int64_t *shape,
                         const cr_operand in[CR_SLOTS], const double option[2]) {
  source sources[CR_SLOTS];
  job j = { loop, out, bytes, option, 0, in, { NULL } };
  bool packed = true;
  int64_t numel = 1;
  for (int d = 0; d < ndim; d++) numel *= shape[d];
  if (numel == 0) return;
  for (int k = CR_SLOTS - 1; k >= 0; k--) {
    if (in[k].data == NULL) continue;
    j.fallback = k;
    if (is_packed(&in[k], ndim, shape)) continue;
    look_along(&sources[k], &in[k], ndim, shape);
    j.source[k] = &sources[k];
    packed = false;
  }
  if (numel > CR_PARALLEL) cr_pool_for(numel, CR_GRAIN, packed ? packed_range : pieces_range, &j);
  else if (packed)         run_packed(&j, 0, numel);
  else                     run_pieces(&j, 0, numel);
}

/* ---- plain copies ------------------------------------------------------------------------------------- */

typedef struct copy { unsigned char *out; const source *from; } copy;

static void copy_range(void *context, int64_t begin, int64_t end) {
  const copy *c = context;
  unsigned char *to = c->out + (size_t)begin * c->from->bytes;
  const void *from = fetch(c->from, begin, end - begin, to);
  if (from != to) memcpy(to, from, (size_t)(end - begin) * c->from->bytes);
}

void cr_kernel_gather(void *out, int ndim, const int64_t *shape, const cr_operand *in) {
  source s;
  int64_t numel = 1;
  for (int d = 0; d < ndim; d++) numel *= shape[d];
  if (numel == 0) return;
  look_along(&s, in, ndim, shape);
  copy c = { out, &s };
  if (numel > CR_PARALLEL) cr_pool_for(numel, CR_GRAIN, copy_range, &c);
  else copy_range(&c, 0, numel);
}
