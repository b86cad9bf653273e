/* pooling.c - see pooling.h
 *
 * A row of windows is worked on one place of the window at a time, so that the inner loop runs along the row whatever
 * the window. Windows of 2 x 2 that do not overlap, the usual ones, have loops of their own. */
#include "kernels/pooling.h"

#include <math.h>
#include <string.h>

#include "base/pool.h"

enum { NOWHERE = UINT16_MAX };

typedef struct {
  const cr_window *w;
  bool count_padding;
  const real *from;
  real *to;
  uint16_t *place;
} job;

bool cr_pool_padding_check(const cr_window *w, cr_error *err) {
  for (int s = 0; s < 2; s++)
    if (w->padding[s] > w->kernel[s] / 2)
      return cr_fail(err, CR_EVALUE, "padding must be at most half of the kernel of %lld, got %lld",
                     (long long)w->kernel[s], (long long)w->padding[s]);
  return true;
}

bool cr_max_pool_check(const cr_window *w, cr_error *err) {
  if (w->kernel[0] * w->kernel[1] > NOWHERE)
    return cr_fail(err, CR_EVALUE, "a kernel has at most %d elements, got %lld x %lld", NOWHERE,
                   (long long)w->kernel[0], (long long)w->kernel[1]);
  return cr_pool_padding_check(w, err);
}

bool cr_parts_check(const cr_parts *s, cr_error *err) {
  const int64_t most = INT32_MAX;
  for (int i = 0; i < 2; i++) {
    if (s->in[i] < 1)
      return cr_fail(err, CR_ESHAPE, "x has no elements along its %s", i == 0 ? "height" : "width");
    if (s->out[i] > most)
      return cr_fail(err, CR_EVALUE, "output_size must be below 2^31, got %lld", (long long)s->out[i]);
  }
  if (s->in[0] > most / s->in[1])
    return cr_fail(err, CR_ESHAPE, "a plane must have fewer than 2^31 elements, got %lld x %lld",
                   (long long)s->in[0], (long long)s->in[1]);
  return true;
}

/* Blocks of whole planes, about 16k elements each */
static void over_planes(const cr_window *w, int64_t planes, cr_range_fn fn, job *j) {
  int64_t elements = w->in[0] * w->in[1] + 1;
  cr_pool_for(planes, (1 << 14) / elements + 1, fn, j);
}

static bool is_two_by_two(const cr_window *w) {
  for (int s = 0; s < 2; s++)
    if (w->kernel[s] != 2 || w->stride[s] != 2 || w->padding[s] != 0 || w->dilation[s] != 1 ||
        w->out[s] * 2 > w->in[s])
      return false;
  return true;
}

/* ---- the largest -------------------------------------------------------------------------------------- */

/* x takes the place of best; the first NaN stays */
static inline bool beats(real x, real best) { return (x > best) | ((x != x) & (best == best)); }

static inline void max_two_by_two(const cr_window *w, const real *restrict x, real *restrict y,
                                  uint16_t *restrict place) {
  for (int64_t oh = 0; oh < w->out[0]; oh++, y += w->out[1], place += w->out[1]) {
    const real *restrict up = x + 2*oh*w->in[1], *restrict low = up + w->in[1];
    for (int64_t ow = 0; ow < w->out[1]; ow++) {
      real a = up[2*ow], b = up[2*ow + 1], c = low[2*ow], d = low[2*ow + 1];
      bool right = beats(b, a), right_below = beats(d, c);
      real above = right ? b : a, below = right_below ? d : c;
      bool lower = beats(below, above);
      y[ow] = lower ? below : above;
      place[ow] = (uint16_t)(lower ? 2 + right_below : right);
    }
  }
}

static inline __attribute__((always_inline)) void
max_line(int64_t n, const real *restrict line, int64_t stride, uint16_t here,
         real *restrict y, uint16_t *restrict place) {
  for (int64_t ow = 0; ow < n; ow++) {
    real v = line[ow * stride];
    bool better = beats(v, y[ow]);
    y[ow] = better ? v : y[ow];
    place[ow] = better ? here : place[ow];
  }
}

static inline void max_row(const cr_window *w, int64_t oh, const real *x, real *y, uint16_t *place) {
  for (int64_t ow = 0; ow < w->out[1]; ow++) y[ow] = -(real)INFINITY, place[ow] = NOWHERE;
  for (int64_t i = 0; i < w->kernel[0]; i++) {
    int64_t ih = oh * w->stride[0] - w->padding[0] + i * w->dilation[0];
    if (ih < 0 || ih >= w->in[0]) continue;
    for (int64_t j = 0; j < w->kernel[1]; j++) {
      int64_t first, end, stride = w->stride[1];
      uint16_t here = (uint16_t)(i * w->kernel[1] + j);
      cr_window_inside(w, 1, j, &first, &end);
      const real *line = x + ih*w->in[1] + j * w->dilation[1] - w->padding[1] + first*stride;
      if (stride == 1)      max_line(end - first, line, 1, here, y + first, place + first);
      else if (stride == 2) max_line(end - first, line, 2, here, y + first, place + first);
      else                  max_line(end - first, line, stride, here, y + first, place + first);
    }
  }
}

CR_VECTOR static void max_range(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const cr_window *w = j->w;
  int64_t in = w->in[0] * w->in[1], out = w->out[0] * w->out[1];
  bool two_by_two = is_two_by_two(w);
  for (int64_t p = begin; p < end; p++) {
    if (two_by_two) {
      max_two_by_two(w, j->from + p*in, j->to + p*out, j->place + p*out);
      continue;
    }
    for (int64_t oh = 0; oh < w->out[0]; oh++)
      max_row(w, oh, j->from + p*in, j->to + p*out + oh*w->out[1], j->place + p*out + oh*w->out[1]);
  }
}

void cr_max_pool(const cr_window *w, int64_t planes, const real *x, real *y, uint16_t *place) {
  job j = { .w = w, .from = x, .to = y, .place = place };
  over_planes(w, planes, max_range, &j);
}

static inline int64_t index_of(const cr_window *w, int64_t oh, int64_t ow, uint16_t place) {
  if (place == NOWHERE) return -1;
  int32_t i = place / (int32_t)w->kernel[1], j = place % (int32_t)w->kernel[1];
  return (oh * w->stride[0] - w->padding[0] + i * w->dilation[0]) * w->in[1]
         + ow * w->stride[1] - w->padding[1] + j * w->dilation[1];
}

int64_t cr_max_pool_index(const cr_window *w, int64_t position, uint16_t place) {
  return index_of(w, position / w->out[1], position % w->out[1], place);
}

static inline void grad_two_by_two(const cr_window *w, const uint16_t *restrict place,
                                   const real *restrict gy, real *restrict gx) {
  for (int64_t oh = 0; oh < w->out[0]; oh++, gy += w->out[1], place += w->out[1]) {
    real *restrict up = gx + 2*oh*w->in[1], *restrict low = up + w->in[1];
    for (int64_t ow = 0; ow < w->out[1]; ow++) {
      up[2*ow] = place[ow] == 0 ? gy[ow] : 0;
      up[2*ow + 1] = place[ow] == 1 ? gy[ow] : 0;
      low[2*ow] = place[ow] == 2 ? gy[ow] : 0;
      low[2*ow + 1] = place[ow] == 3 ? gy[ow] : 0;
    }
    if (w->in[1] % 2) up[w->in[1] - 1] = low[w->in[1] - 1] = 0;
  }
  if (w->in[0] % 2) memset(gx + (w->in[0] - 1) * w->in[1], 0, (size_t)w->in[1] * sizeof(real));
}

CR_VECTOR static void max_grad_range(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const cr_window *w = j->w;
  int64_t in = w->in[0] * w->in[1], out = w->out[0] * w->out[1];
  bool tiles = is_two_by_two(w) && w->in[0] / 2 == w->out[0] && w->in[1] / 2 == w->out[1];
  for (int64_t p = begin; p < end; p++) {
    const real *gy = j->from + p*out;
    const uint16_t *place = j->place + p*out;
    real *gx = j->to + p*in;
    if (tiles) {
      grad_two_by_two(w, place, gy, gx);
      continue;
    }
    memset(gx, 0, (size_t)in * sizeof(real));
    for (int64_t oh = 0; oh < w->out[0]; oh++)
      for (int64_t ow = 0; ow < w->out[1]; ow++, place++, gy++) {
        int64_t at = index_of(w, oh, ow, *place);
        if (at >= 0) gx[at] += *gy;
      }
  }
}

void cr_max_pool_grad(const cr_window *w, int64_t planes, const uint16_t *place, const real *gy, real *gx) {
  job j = { .w = w, .from = gy, .to = gx, .place = (uint16_t *)(uintptr_t)place };
  over_planes(w, planes, max_grad_range, &j);
}

/* ---- the mean ----------------------------------------------------------------------------------------- */

/* How many places of the window at position p of one side count */
static inline int64_t counted(const cr_window *w, bool count_padding, int side, int64_t p) {
  int64_t begin = p * w->stride[side] - w->padding[side], end = begin + w->kernel[side];
  int64_t low = count_padding ? -w->padding[side] : 0;
  int64_t high = w->in[side] + (count_padding ? w->padding[side] : 0);
  begin = begin < low ? low : begin;
  end = end > high ? high : end;
  return end > begin ? end - begin : 1;
}

CR_VECTOR static void avg_range(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const cr_window *w = j->w;
  int64_t in = w->in[0] * w->in[1], out = w->out[0] * w->out[1];
  for (int64_t p = begin; p < end; p++)
    for (int64_t oh = 0; oh < w->out[0]; oh++) {
      real *restrict y = j->to + p*out + oh*w->out[1];
      for (int64_t ow = 0; ow < w->out[1]; ow++) y[ow] = 0;
      for (int64_t i = 0; i < w->kernel[0]; i++) {
        int64_t ih = oh * w->stride[0] - w->padding[0] + i;
        if (ih < 0 || ih >= w->in[0]) continue;
        for (int64_t l = 0; l < w->kernel[1]; l++) {
          int64_t first, last;
          cr_window_inside(w, 1, l, &first, &last);
          const real *restrict line = j->from + p*in + ih*w->in[1] + l - w->padding[1];
          for (int64_t ow = first; ow < last; ow++) y[ow] += line[ow * w->stride[1]];
        }
      }
      int64_t high = counted(w, j->count_padding, 0, oh);
      for (int64_t ow = 0; ow < w->out[1]; ow++)
        y[ow] /= (real)(high * counted(w, j->count_padding, 1, ow));
    }
}

void cr_avg_pool(const cr_window *w, bool count_padding, int64_t planes, const real *x, real *y) {
  job j = { .w = w, .count_padding = count_padding, .from = x, .to = y };
  over_planes(w, planes, avg_range, &j);
}

CR_VECTOR static void avg_grad_range(void *context, int64_t begin, int64_t end) {
  enum { AT_ONCE = 256 };
  const job *j = context;
  const cr_window *w = j->w;
  int64_t in = w->in[0] * w->in[1], out = w->out[0] * w->out[1];
  real share[AT_ONCE];
  for (int64_t p = begin; p < end; p++) {
    real *restrict gx = j->to + p*in;
    memset(gx, 0, (size_t)in * sizeof(real));
    for (int64_t oh = 0; oh < w->out[0]; oh++)
      for (int64_t ow0 = 0; ow0 < w->out[1]; ow0 += AT_ONCE) {
        const real *restrict gy = j->from + p*out + oh*w->out[1] + ow0;
        int64_t n = w->out[1] - ow0 < AT_ONCE ? w->out[1] - ow0 : AT_ONCE;
        int64_t high = counted(w, j->count_padding, 0, oh);
        for (int64_t ow = 0; ow < n; ow++)
          share[ow] = gy[ow] / (real)(high * counted(w, j->count_padding, 1, ow0 + ow));
        for (int64_t i = 0; i < w->kernel[0]; i++) {
          int64_t ih = oh * w->stride[0] - w->padding[0] + i;
          if (ih < 0 || ih >= w->in[0]) continue;
          for (int64_t l = 0; l < w->kernel[1]; l++) {
            int64_t first, last;
            cr_window_inside(w, 1, l, &first, &last);
            first = first < ow0 ? ow0 : first;
            last = last > ow0 + n ? ow0 + n : last;
            real *restrict line = gx + ih*w->in[1] + l - w->padding[1];
            for (int64_t ow = first; ow < last; ow++) line[ow * w->stride[1]] += share[ow - ow0];
          }
        }
      }
  }
}

void cr_avg_pool_grad(const cr_window *w, bool count_padding, int64_t planes, const real *gy, real *gx) {
  job j = { .w = w, .count_padding = count_padding, .from = gy, .to = gx };
  over_planes(w, planes, avg_grad_range, &j);
}

/* ---- parts of a plane --------------------------------------------------------------------------------- */

typedef struct {
  const cr_parts *s;
  const real *from;
  real *to;
  int32_t *index;
} part_job;

typedef struct { int64_t top, bottom, left, right; } box;

static inline box part(const cr_parts *s, int64_t position) {
  int64_t i = position / s->out[1], j = position % s->out[1];
  return (box){ i * s->in[0] / s->out[0], ((i + 1) * s->in[0] + s->out[0] - 1) / s->out[0],
                j * s->in[1] / s->out[1], ((j + 1) * s->in[1] + s->out[1] - 1) / s->out[1] };
}

static void over_parts(const cr_parts *s, int64_t planes, cr_range_fn fn, part_job *j) {
  cr_pool_for(planes, (1 << 14) / (s->in[0] * s->in[1] + 1) + 1, fn, j);
}

static inline double sum_of(const real *x, int64_t width, box b) {
  double lane[8] = { 0 }, rest = 0;
  /* a part as wide as the plane is one line */
  if (b.left == 0 && b.right == width) b = (box){ 0, 1, b.top * width, b.bottom * width };
  for (int64_t ih = b.top; ih < b.bottom; ih++) {
    const real *restrict line = x + ih*width;
    int64_t iw = b.left;
    for (; iw + 8 <= b.right; iw += 8)
      for (int l = 0; l < 8; l++) lane[l] += (double)line[iw + l];
    for (; iw < b.right; iw++) rest += (double)line[iw];
  }
  for (int l = 0; l < 8; l++) rest += lane[l];
  return rest;
}

CR_VECTOR static void part_avg_range(void *context, int64_t begin, int64_t end) {
  const part_job *j = context;
  int64_t in = j->s->in[0] * j->s->in[1], out = j->s->out[0] * j->s->out[1];
  for (int64_t p = begin; p < end; p++)
    for (int64_t q = 0; q < out; q++) {
      box b = part(j->s, q);
      double size = (double)((b.bottom - b.top) * (b.right - b.left));
      j->to[p*out + q] = (real)(sum_of(j->from + p*in, j->s->in[1], b) / size);
    }
}

void cr_part_avg(const cr_parts *s, int64_t planes, const real *x, real *y) {
  part_job j = { s, x, y, NULL };
  over_parts(s, planes, part_avg_range, &j);
}

CR_VECTOR static void part_avg_grad_range(void *context, int64_t begin, int64_t end) {
  const part_job *j = context;
  int64_t in = j->s->in[0] * j->s->in[1], out = j->s->out[0] * j->s->out[1];
  for (int64_t p = begin; p < end; p++) {
    real *restrict gx = j->to + p*in;
    memset(gx, 0, (size_t)in * sizeof(real));
    for (int64_t q = 0; q < out; q++) {
      box b = part(j->s, q);
      real share = j->from[p*out + q] / (real)((b.bottom - b.top) * (b.right - b.left));
      for (int64_t ih = b.top; ih < b.bottom; ih++)
        for (int64_t iw = b.left; iw < b.right; iw++) gx[ih*j->s->in[1] + iw] += share;
    }
  }
}

void cr_part_avg_grad(const cr_parts *s, int64_t planes, const real *gy, real *gx) {
  part_job j = { s, gy, gx, NULL };
  over_parts(s, planes, part_avg_grad_range, &j);
}

static void part_max_range(void *context, int64_t begin, int64_t end) {
  const part_job *j = context;
  int64_t in = j->s->in[0] * j->s->in[1], out = j->s->out[0] * j->s->out[1], width = j->s->in[1];
  for (int64_t p = begin; p < end; p++) {
    const real *x = j->from + p*in;
    for (int64_t q = 0; q < out; q++) {
      box b = part(j->s, q);
      int64_t at = b.top*width + b.left;
      for (int64_t ih = b.top; ih < b.bottom; ih++)
        for (int64_t iw = b.left; iw < b.right; iw++)
          if (beats(x[ih*width + iw], x[at])) at = ih*width + iw;
      j->to[p*out + q] = x[at];
      j->index[p*out + q] = (int32_t)at;
    }
  }
}

void cr_part_max(const cr_parts *s, int64_t planes, const real *x, real *y, int32_t *index) {
  part_job j = { s, x, y, index };
  over_parts(s, planes, part_max_range, &j);
}

static void part_max_grad_range(void *context, int64_t begin, int64_t end) {
  const part_job *j = context;
  int64_t in = j->s->in[0] * j->s->in[1], out = j->s->out[0] * j->s->out[1];
  for (int64_t p = begin; p < end; p++) {
    real *gx = j->to + p*in;
    memset(gx, 0, (size_t)in * sizeof(real));
    for (int64_t q = 0; q < out; q++) gx[j->index[p*out + q]] += j->from[p*out + q];
  }
}

void cr_part_max_grad(const cr_parts *s, int64_t planes, const int32_t *index, const real *gy, real *gx) {
  part_job j = { s, gy, gx, (int32_t *)(uintptr_t)index };
  over_parts(s, planes, part_max_grad_range, &j);
}
