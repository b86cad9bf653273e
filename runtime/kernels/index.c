/* index.c - see index.h */
#include "kernels/index.h"

#include <assert.h>
#include <string.h>
#include "base/pool.h"

/* memory looked at as words of its element size, whatever it holds */
typedef uint64_t __attribute__((may_alias)) word8;
typedef uint32_t __attribute__((may_alias)) word4;

/* elements a thread takes at a time; doubles summed side by side, of a run or of a whole short
 * line */
enum { GRAIN = 16384, RUN = 256, LINE = 1024 };

static int64_t at_least_one(int64_t n) { return n > 1 ? n : 1; }

/* rows */

typedef struct row_job {
  size_t bytes, dst_step, src_step;
  unsigned char *dst;
  const unsigned char *src;
} row_job;

static void copy_rows(void *context, int64_t begin, int64_t end) {
  const row_job *job = context;
  for (int64_t i = begin; i < end; i++)
    memcpy(job->dst + (size_t)i * job->dst_step, job->src + (size_t)i * job->src_step, job->bytes);
}

void cr_index_rows(int64_t rows, size_t bytes, void *dst, size_t dst_step, const void *src,
                   size_t src_step) {
  if (!rows || !bytes) return;
  row_job job = { bytes, dst_step, src_step, dst, src };
  cr_pool_for(rows, at_least_one((int64_t)(8 * GRAIN / bytes)), copy_rows, &job);
}

/* axes */

/* The same copy in fewer axes: neighbours that both stay or both repeat are one axis, and those at
 * the end that stay are a run of `run` elements. The last axis left repeats or has a table (or
 * there is none left). */
typedef struct axes_job {
  int n;
  cr_axis axis[CR_INDEX_MAX_AXES];
  int64_t step[CR_INDEX_MAX_AXES];      /* from one place of an axis to the next, in what is read */
  int64_t run;
  size_t element;
  const unsigned char *x, *fill;
  unsigned char *out;
  /* backward: on each axis the i with from[i] = j are item[start[j]] .. item[start[j+1] - 1] */
  const int64_t *start[CR_INDEX_MAX_AXES], *item[CR_INDEX_MAX_AXES];
  const real *g;
  real *gx;
  int64_t chunks;                       /* a run is summed in this many pieces of RUN */
} axes_job;

static bool is_kept(const cr_axis *axis) { return !axis->from && axis->n_in == axis->n_out; }
static bool is_repeated(const cr_axis *axis) { return !axis->from && axis->n_in != axis->n_out; }

static axes_job merge(int n, const cr_axis *axis) {
  axes_job job = { .run = 1 };
  while (n > 0 && is_kept(&axis[n-1])) job.run *= axis[--n].n_in;
  for (int d = 0; d < n; d++) {
    const cr_axis *last = job.n > 0 ? &job.axis[job.n-1] : NULL;
    bool both_kept = last && is_kept(last) && is_kept(&axis[d]);
    if (both_kept || (last && is_repeated(last) && is_repeated(&axis[d]))) {
      job.axis[job.n-1].n_in *= axis[d].n_in;
      job.axis[job.n-1].n_out *= axis[d].n_out;
    } else {
      job.axis[job.n++] = axis[d];
    }
  }
  return job;
}

static int64_t from(const cr_axis *axis, int64_t i) {
  return axis->from ? axis->from[i] : is_repeated(axis) ? 0 : i;
}

static void fill_elements(const axes_job *job, unsigned char *out, int64_t n) {
  for (int64_t i = 0; i < n; i++) memcpy(out + (size_t)i * job->element, job->fill, job->element);
}

/* Elements of a type one by one along the last axis, for runs of one. */
#define COPY_LINE(type)                                                         \
  do {                                                                          \
    const type *x = (const type *)(const void *)job->x + base;                  \
    const type *fill = (const type *)(const void *)job->fill;                   \
    type *o = (type *)(void *)out;                                              \
    for (int64_t i = i0; i < i1; i++)                                           \
      o[i - i0] = !table ? *x : table[i] < 0 ? *fill : x[table[i]];              \
  } while (0)

/* Places i0 .. i1-1 of the last axis; base is the offset in x that the other axes lead to. */
static void copy_line(const axes_job *job, int64_t base, int64_t i0, int64_t i1,
                      unsigned char *out) {
  const int64_t *table = job->axis[job->n-1].from;
  size_t bytes = (size_t)job->run * job->element;
  if (job->run > 1) {
    for (int64_t i = i0; i < i1; i++, out += bytes) {
      int64_t place = table ? table[i] : 0;
      if (place < 0) fill_elements(job, out, job->run);
      else memcpy(out, job->x + (size_t)(base + place * job->run) * job->element, bytes);
    }
  } else if (job->element == 8) {
    COPY_LINE(word8);
  } else if (job->element == 4) {
    COPY_LINE(word4);
  } else {
    COPY_LINE(uint8_t);
  }
}

/* begin, end count places of all axes but the run */
static void copy_axes(void *context, int64_t begin, int64_t end) {
  const axes_job *job = context;
  int64_t line = job->axis[job->n-1].n_out;
  for (int64_t r = begin; r < end; ) {
    int64_t i0 = r % line, i1 = i0 + (end - r) < line ? i0 + (end - r) : line, rest = r / line,
            base = 0;
    unsigned char *out = job->out + (size_t)(r * job->run) * job->element;
    for (int d = job->n - 2; d >= 0; d--) {
      int64_t place = from(&job->axis[d], rest % job->axis[d].n_out);
      rest /= job->axis[d].n_out;
      if (place < 0) base = -1;
      else if (base >= 0) base += place * job->step[d];
    }
    if (base < 0) fill_elements(job, out, (i1 - i0) * job->run);
    else copy_line(job, base, i0, i1, out);
    r += i1 - i0;
  }
}

void cr_index_axes(int n, const cr_axis *axis, size_t element, const void *x, const void *fill,
                   void *out) {
  axes_job job = merge(n, axis);
  assert(element == 1 || element == 4 || element == 8);
  job.element = element, job.x = x, job.fill = fill, job.out = out;
  int64_t rows = 1, step = job.run;
  for (int d = job.n - 1; d >= 0; d--) {
    rows *= job.axis[d].n_out;
    job.step[d] = step;
    step *= job.axis[d].n_in;
  }
  if (rows * job.run == 0) return;
  if (job.n == 0) memcpy(out, x, (size_t)job.run * element);
  else cr_pool_for(rows, at_least_one(GRAIN / job.run), copy_axes, &job);
}

size_t cr_index_axes_sum_bytes(int n, const cr_axis *axis) {
  size_t numbers = 0;
  for (int d = 0; d < n; d++)
    if (axis[d].from) numbers += (size_t)(axis[d].n_in + 1 + axis[d].n_out);
  return numbers * sizeof(int64_t);
}

/* The table of an axis turned round, a counting sort: item[] in rising order of i for each j. */
static void invert(const cr_axis *axis, int64_t *start, int64_t *item) {
  memset(start, 0, (size_t)(axis->n_in + 1) * sizeof *start);
  for (int64_t i = 0; i < axis->n_out; i++)
    if (axis->from[i] >= 0) start[axis->from[i] + 1]++;
  for (int64_t j = 0; j < axis->n_in; j++) start[j+1] += start[j];
  for (int64_t i = 0; i < axis->n_out; i++)
    if (axis->from[i] >= 0) item[start[axis->from[i]]++] = i;
  for (int64_t j = axis->n_in; j > 0; j--) start[j] = start[j-1];
  start[0] = 0;
}

/* The places of axis d, which has no table, that go to place j: itself, or all of them. */
static int64_t first_of(const axes_job *job, int d, int64_t j) {
  return is_repeated(&job->axis[d]) ? 0 : j;
}
static int64_t end_of(const axes_job *job, int d, int64_t j) {
  return is_repeated(&job->axis[d]) ? job->axis[d].n_out : j + 1;
}

/* Adds to sum[0 .. width-1] every run of g that place j[] of the axes d .. n-1 receives. */
static void sum_runs(const axes_job *job, int d, const int64_t *j, const real *g, int64_t width,
                     double *sum) {
  if (d == job->n) {
    for (int64_t k = 0; k < width; k++) sum[k] += (double)g[k];
    return;
  }
  if (!job->start[d]) {
    for (int64_t i = first_of(job, d, j[d]); i < end_of(job, d, j[d]); i++)
      sum_runs(job, d + 1, j, g + i * job->step[d], width, sum);
    return;
  }
  for (int64_t at = job->start[d][j[d]]; at < job->start[d][j[d]+1]; at++)
    sum_runs(job, d + 1, j, g + job->item[d][at] * job->step[d], width, sum);
}

/* Adds to sum[] what a whole line of gx receives: place j[] of the axes before the last, and all of
 * the last. */
static void sum_line(const axes_job *job, int d, const int64_t *j, const real *g, double *sum) {
  if (d < job->n - 1) {
    if (!job->start[d]) {
      for (int64_t i = first_of(job, d, j[d]); i < end_of(job, d, j[d]); i++)
        sum_line(job, d + 1, j, g + i * job->step[d], sum);
      return;
    }
    for (int64_t at = job->start[d][j[d]]; at < job->start[d][j[d]+1]; at++)
      sum_line(job, d + 1, j, g + job->item[d][at] * job->step[d], sum);
    return;
  }
  const cr_axis *last = &job->axis[d];
  for (int64_t i = 0; i < last->n_out; i++, g += job->run) {
    int64_t place = last->from ? last->from[i] : 0;
    if (place < 0) continue;
    double *to = sum + place * job->run;
    for (int64_t k = 0; k < job->run; k++) to[k] += (double)g[k];
  }
}

/* begin, end count lines of gx, each short enough to be summed side by side */
static void sum_lines(void *context, int64_t begin, int64_t end) {
  const axes_job *job = context;
  int64_t width = job->axis[job->n-1].n_in * job->run;
  for (int64_t line = begin; line < end; line++) {
    int64_t j[CR_INDEX_MAX_AXES], rest = line;
    double sum[LINE];
    for (int64_t k = 0; k < width; k++) sum[k] = 0;
    for (int d = job->n - 2; d >= 0; d--) {
      j[d] = rest % job->axis[d].n_in;
      rest /= job->axis[d].n_in;
    }
    sum_line(job, 0, j, job->g, sum);
    for (int64_t k = 0; k < width; k++) job->gx[line * width + k] = (real)sum[k];
  }
}

/* begin, end count pieces of runs of gx */
static void sum_axes(void *context, int64_t begin, int64_t end) {
  const axes_job *job = context;
  for (int64_t piece = begin; piece < end; piece++) {
    int64_t j[CR_INDEX_MAX_AXES], row = piece / job->chunks, first = piece % job->chunks * RUN,
                                  rest = row;
    int64_t width = job->run - first < RUN ? job->run - first : RUN;
    double sum[RUN];
    for (int64_t k = 0; k < width; k++) sum[k] = 0;
    for (int d = job->n - 1; d >= 0; d--) {
      j[d] = rest % job->axis[d].n_in;
      rest /= job->axis[d].n_in;
    }
    sum_runs(job, 0, j, job->g + first, width, sum);
    for (int64_t k = 0; k < width; k++) job->gx[row * job->run + first + k] = (real)sum[k];
  }
}

void cr_index_axes_sum(int n, const cr_axis *axis, const real *g, void *scratch, real *gx) {
  axes_job job = merge(n, axis);
  int64_t rows = 1, outs = 1, step = job.run, *free_space = scratch;
  for (int d = job.n - 1; d >= 0; d--) {
    rows *= job.axis[d].n_in;
    outs *= job.axis[d].n_out;
    job.step[d] = step;
    step *= job.axis[d].n_out;
    if (!job.axis[d].from) continue;
    int64_t *start = free_space, *item = start + job.axis[d].n_in + 1;
    invert(&job.axis[d], start, item);
    free_space = item + job.axis[d].n_out;
    job.start[d] = start, job.item[d] = item;
  }
  if (rows * job.run == 0) return;
  job.g = g, job.gx = gx, job.chunks = (job.run + RUN - 1) / RUN;
  int64_t last = job.n > 0 ? job.axis[job.n-1].n_in : 1;
  if (job.n > 0 && job.run < RUN / 4 && last * job.run <= LINE) {
    int64_t lines = rows / last;
    cr_pool_for(lines, at_least_one(GRAIN / at_least_one(outs * job.run / lines)), sum_lines, &job);
    return;
  }
  int64_t pieces = rows * job.chunks,
          terms = outs * job.run / pieces; /* the average work of a piece */
  cr_pool_for(pieces, at_least_one(GRAIN / at_least_one(terms + 8)), sum_axes, &job);
}

/* rules */

size_t cr_index_rule_bytes(int ndim, const int64_t *in, const int64_t *out, bool backward) {
  size_t numbers = 0;
  for (int d = 0; d < ndim; d++)
    numbers += backward ? (size_t)(2 * out[d] + in[d] + 1) : (size_t)out[d];
  return numbers * sizeof(int64_t);
}

/* Fills the tables and returns the end of them. */
static int64_t *apply_rule(int ndim, const int64_t *in, const int64_t *out, cr_index_source source,
                           const void *context, int64_t *table, cr_axis *axis) {
  for (int d = 0; d < ndim; d++) {
    bool same = in[d] == out[d];
    for (int64_t i = 0; i < out[d]; i++) {
      table[i] = source(context, d, i, in[d]);
      same = same && table[i] == i;
    }
    axis[d] = (cr_axis){ in[d], out[d], same ? NULL : table };
    if (!same) table += out[d];
  }
  return table;
}

void cr_index_rule(int ndim, const int64_t *in, const int64_t *out, cr_index_source source,
                   const void *context, void *scratch, size_t element, const void *x,
                   const void *fill, void *y) {
  cr_axis axis[CR_INDEX_MAX_AXES];
  apply_rule(ndim, in, out, source, context, scratch, axis);
  cr_index_axes(ndim, axis, element, x, fill, y);
}

void cr_index_rule_sum(int ndim, const int64_t *in, const int64_t *out, cr_index_source source,
                       const void *context, void *scratch, const real *g, real *gx) {
  cr_axis axis[CR_INDEX_MAX_AXES];
  int64_t *free_space = apply_rule(ndim, in, out, source, context, scratch, axis);
  cr_index_axes_sum(ndim, axis, g, free_space, gx);
}

/* places */

void cr_index_places(int ndim, const int64_t *shape, const int64_t *target, int dim,
                     const int64_t *index, int64_t *where) {
  int64_t at[CR_INDEX_MAX_AXES] = { 0 }, step[CR_INDEX_MAX_AXES], n = 1, size = 1, base = 0;
  for (int d = ndim - 1; d >= 0; d--) {
    step[d] = size;
    size *= target[d];
    n *= shape[d];
  }
  /* base is the offset of the current place without its coordinate along dim */
  for (int64_t e = 0; e < n; e++) {
    where[e] = base + (index[e] - 1) * step[dim];
    for (int d = ndim - 1; d >= 0; d--) {
      if (d != dim) base += step[d];
      if (++at[d] < shape[d]) break;
      if (d != dim) base -= shape[d] * step[d];
      at[d] = 0;
    }
  }
}

typedef struct take_job {
  const int64_t *where;
  size_t element;
  const void *x;
  void *out;
} take_job;

#define TAKE(type)                                                              \
  do {                                                                          \
    const type *x = job->x;                                                     \
    type *out = job->out;                                                       \
    for (int64_t e = begin; e < end; e++) out[e] = x[job->where[e]];            \
  } while (0)

static void take(void *context, int64_t begin, int64_t end) {
  const take_job *job = context;
  if (job->element == 8) TAKE(word8);
  else if (job->element == 4) TAKE(word4);
  else TAKE(uint8_t);
}

void cr_index_take(int64_t n, const int64_t *where, size_t element, const void *x, void *out) {
  take_job job = { where, element, x, out };
  assert(element == 1 || element == 4 || element == 8);
  if (n > 0) cr_pool_for(n, 2 * GRAIN, take, &job);
}

void cr_index_put(int64_t n, const int64_t *where, size_t element, const void *x, void *out) {
  const unsigned char *from_bytes = x;
  unsigned char *to = out;
  if (element == sizeof(real)) {
    const real *a = x;
    real *b = out;
    for (int64_t e = 0; e < n; e++) b[where[e]] = a[e];
  } else {
    for (int64_t e = 0; e < n; e++)
      memcpy(to + (size_t)where[e] * element, from_bytes + (size_t)e * element, element);
  }
}

void cr_index_put_sum(int64_t n, const int64_t *where, double scale, const real *x, int64_t n_out,
                      const real *base, double *sum, real *out) {
  for (int64_t p = 0; p < n_out; p++) sum[p] = 0;
  for (int64_t e = 0; e < n; e++) sum[where[e]] += (double)x[e];
  for (int64_t p = 0; p < n_out; p++)
    out[p] = (real)((base ? (double)base[p] : 0) + scale * sum[p]);
}

int64_t cr_index_outside(int64_t n, const int64_t *index, int64_t limit) {
  for (int64_t i = 0; i < n; i++)
    if (index[i] < 1 || index[i] > limit) return i;
  return -1;
}
