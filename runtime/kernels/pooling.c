/* pooling.c - see pooling.h
 *
 * A row of windows is worked on one place of the window at a time, so that the inner loop runs
 * along the row whatever the window. Windows of 2 x 2 that do not overlap, the usual ones, have
 * loops of their own. */
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
      return cr_fail(err, CR_EVALUE, "output_size must be below 2^31, got %lld",
                     (long long)s->out[i]);
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

/* ---- the largest ---------------------------------------------------------------------------- */

/* Places are worked on as wide as the numbers they go with, AT_ONCE of them, so that comparing and
 * choosing is the same few instructions for a whole vector: branches on random numbers cost five
 * times as much. */
enum { AT_ONCE = 256 };
#ifdef CR_DOUBLE
typedef int64_t lane;
#else
typedef int32_t lane;
#endif

/* x takes the place of best: it is larger or NaN, and best is no NaN */
static inline bool beats(real x, real best) { return !(x <= best) & (best == best); }

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static inline void narrow(int64_t n, const lane *restrict at, uint16_t *restrict place) {
  for (int64_t i = 0; i < n; i++) place[i] = (uint16_t)at[i];
}

/* Vectors by hand: gcc 12 finds some of them in the loops, and not for short rows. */
typedef real eight __attribute__((vector_size(8 * sizeof(real))));
typedef real loose_eight __attribute__((vector_size(8 * sizeof(real)), aligned(sizeof(real)),
                                        may_alias));
typedef lane eight_lanes __attribute__((vector_size(8 * sizeof(real))));
typedef lane loose_lanes __attribute__((vector_size(8 * sizeof(real)), aligned(sizeof(real)),
                                        may_alias));
typedef uint16_t loose_places __attribute__((vector_size(8 * sizeof(uint16_t)),
                                             aligned(sizeof(uint16_t)), may_alias));
#define EVEN (eight_lanes){ 0, 2, 4, 6, 8, 10, 12, 14 }
#define ODD (eight_lanes){ 1, 3, 5, 7, 9, 11, 13, 15 }
#define BEATS(x, best) ((eight_lanes)~(x <= best) & (eight_lanes)(best == best))
#define CHOOSE(mask, a, b) ((mask & (eight_lanes)(a)) | (~mask & (eight_lanes)(b)))

/* Eight windows of 2 x 2 side by side */
static inline __attribute__((always_inline)) void
max_eight_tiles(const real *up, const real *low, real *y, uint16_t *place) {
  eight up0 = *(const loose_eight *)up, up1 = *(const loose_eight *)(up + 8);
  eight low0 = *(const loose_eight *)low, low1 = *(const loose_eight *)(low + 8);
  eight a = __builtin_shuffle(up0, up1, EVEN), b = __builtin_shuffle(up0, up1, ODD);
  eight c = __builtin_shuffle(low0, low1, EVEN), d = __builtin_shuffle(low0, low1, ODD);
  eight_lanes right = BEATS(b, a), right_below = BEATS(d, c);
  eight above = (eight)CHOOSE(right, b, a), below = (eight)CHOOSE(right_below, d, c);
  eight_lanes lower = BEATS(below, above);
  *(loose_eight *)y = (eight)CHOOSE(lower, below, above);
  eight_lanes at = CHOOSE(lower, 2 - right_below, -right);
  *(loose_places *)place = __builtin_convertvector(at, loose_places);
}

static inline void max_tile(const real *up, const real *low, real *y, uint16_t *place) {
  bool right = beats(up[1], up[0]), right_below = beats(low[1], low[0]);
  bool lower = beats(low[right_below], up[right]);
  *y = lower ? low[right_below] : up[right];
  *place = (uint16_t)(lower ? 2 + right_below : right);
}

/* n windows of 2 x 2 side by side in two lines */
static inline __attribute__((always_inline)) void
max_tiles(int64_t n, const real *up, const real *low, real *y, uint16_t *place) {
  int64_t q = 0;
  for (; q + 8 <= n; q += 8) max_eight_tiles(up + 2*q, low + 2*q, y + q, place + q);
  for (; q < n; q++) max_tile(up + 2*q, low + 2*q, y + q, place + q);
}

/* One place of the window for eight windows of a row, with a stride of 1 or 2 */
static inline __attribute__((always_inline)) void
max_eight(const real *line, int64_t stride, lane here, real *y, lane *at) {
  eight v = *(const loose_eight *)line, best = *(loose_eight *)y;
  if (stride == 2) {    /* the second half from 7 on, not from 8: nothing past the end is read */
    const eight_lanes every_other = { 0, 2, 4, 6, 9, 11, 13, 15 };
    v = __builtin_shuffle(v, (eight)*(const loose_eight *)(line + 7), every_other);
  }
  eight_lanes better = BEATS(v, best);
  *(loose_eight *)y = (eight)CHOOSE(better, v, best);
  *(loose_lanes *)at = (better & here) | (~better & *(loose_lanes *)at);
}

/* The same for n windows. Doing a window twice changes nothing, so the last eight may overlap those
 * before. */
static inline __attribute__((always_inline)) void
max_line(int64_t n, const real *line, int64_t stride, lane here, real *y, lane *at) {
  int64_t q = 0;
  if (n >= 8 && stride <= 2) {
    for (; q + 8 <= n; q += 8) max_eight(line + q*stride, stride, here, y + q, at + q);
    if (q < n) max_eight(line + (n - 8) * stride, stride, here, y + n - 8, at + n - 8);
    return;
  }
  for (; q < n; q++)
    if (beats(line[q*stride], y[q])) y[q] = line[q*stride], at[q] = here;
}

/* Windows ow0 .. ow0+n-1 of row oh of a plane */
static inline __attribute__((always_inline)) void
max_row(const cr_window *w, int64_t oh, int64_t ow0, int64_t n, const real *x, real *y, lane *at) {
  for (int64_t q = 0; q < n; q++) y[q] = -(real)INFINITY, at[q] = NOWHERE;
  for (int64_t i = 0; i < w->kernel[0]; i++) {
    int64_t ih = oh * w->stride[0] - w->padding[0] + i * w->dilation[0];
    if (ih < 0 || ih >= w->in[0]) continue;
    for (int64_t j = 0; j < w->kernel[1]; j++) {
      int64_t first, end, stride = w->stride[1];
      lane here = (lane)(i * w->kernel[1] + j);
      cr_window_inside(w, 1, j, &first, &end);
      first = first < ow0 ? ow0 : first;
      end = least(end, ow0 + n);
      const real *line = x + ih*w->in[1] + j * w->dilation[1] - w->padding[1] + first*stride;
      real *best = y + first - ow0;
      lane *where = at + first - ow0;
      if (stride == 1)      max_line(end - first, line, 1, here, best, where);
      else if (stride == 2) max_line(end - first, line, 2, here, best, where);
      else                  max_line(end - first, line, stride, here, best, where);
    }
  }
}

CR_VECTOR static void max_range(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const cr_window *w = j->w;
  int64_t in = w->in[0] * w->in[1], out = w->out[0] * w->out[1];
  bool two_by_two = is_two_by_two(w);
  lane at[AT_ONCE];
  for (int64_t p = begin; p < end; p++) {
    const real *x = j->from + p*in;
    real *y = j->to + p*out;
    uint16_t *place = j->place + p*out;
    for (int64_t oh = 0; oh < w->out[0]; oh++)
      for (int64_t ow = 0; ow < w->out[1]; ow += AT_ONCE) {
        int64_t n = least(AT_ONCE, w->out[1] - ow);
        const real *up = x + 2*oh*w->in[1] + 2*ow;
        if (two_by_two) {
          max_tiles(n, up, up + w->in[1], y, place);
        } else {
          max_row(w, oh, ow, n, x, y, at);
          narrow(n, at, place);
        }
        y += n, place += n;
      }
  }
}

void cr_max_pool(const cr_window *w, int64_t planes, const real *x, real *y, uint16_t *place) {
  job j = { .w = w, .from = x, .to = y, .place = place };
  over_planes(w, planes, max_range, &j);
}

/* How far place 0 of the window is from the plane's first element, and a place from place 0 */
static inline int64_t window_at(const cr_window *w, int64_t oh, int64_t ow) {
  return (oh * w->stride[0] - w->padding[0]) * w->in[1] + ow * w->stride[1] - w->padding[1];
}

static inline int64_t place_at(const cr_window *w, int64_t place) {
  return place / w->kernel[1] * w->dilation[0] * w->in[1] + place % w->kernel[1] * w->dilation[1];
}

int64_t cr_max_pool_index(const cr_window *w, int64_t position, uint16_t place) {
  if (place == NOWHERE) return -1;
  return window_at(w, position / w->out[1], position % w->out[1]) + place_at(w, place);
}

/* The gradients of n windows of 2 x 2 side by side */
static inline __attribute__((always_inline)) void
grad_tiles(int64_t n, const uint16_t *place, const real *gy, real *up, real *low) {
  int64_t q = 0;
  for (; q + 8 <= n; q += 8) {
    const eight_lanes first = { 0, 8, 1, 9, 2, 10, 3, 11 }, second = { 4, 12, 5, 13, 6, 14, 7, 15 };
    eight_lanes at = __builtin_convertvector(*(const loose_places *)(place + q), eight_lanes);
    eight_lanes g = (eight_lanes)*(const loose_eight *)(gy + q);
    eight a = (eight)(g & (at == 0)), b = (eight)(g & (at == 1));
    eight c = (eight)(g & (at == 2)), d = (eight)(g & (at == 3));
    *(loose_eight *)(up + 2*q) = __builtin_shuffle(a, b, first);
    *(loose_eight *)(up + 2*q + 8) = __builtin_shuffle(a, b, second);
    *(loose_eight *)(low + 2*q) = __builtin_shuffle(c, d, first);
    *(loose_eight *)(low + 2*q + 8) = __builtin_shuffle(c, d, second);
  }
  for (; q < n; q++) {
    up[2*q] = up[2*q + 1] = low[2*q] = low[2*q + 1] = 0;
    (place[q] < 2 ? up : low)[2*q + place[q] % 2] = gy[q];
  }
}

static inline __attribute__((always_inline)) void
grad_of_tiles(const cr_window *w, const uint16_t *place, const real *gy, real *gx) {
  for (int64_t oh = 0; oh < w->out[0]; oh++, gy += w->out[1], place += w->out[1]) {
    real *up = gx + 2*oh*w->in[1], *low = up + w->in[1];
    grad_tiles(w->out[1], place, gy, up, low);
    if (w->in[1] % 2) up[w->in[1] - 1] = low[w->in[1] - 1] = 0;
  }
  if (w->in[0] % 2) memset(gx + (w->in[0] - 1) * w->in[1], 0, (size_t)w->in[1] * sizeof(real));
}

CR_VECTOR static void max_grad_range(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const cr_window *w = j->w;
  int64_t in = w->in[0] * w->in[1], out = w->out[0] * w->out[1], known[AT_ONCE];
  bool tiles = is_two_by_two(w) && w->in[0] / 2 == w->out[0] && w->in[1] / 2 == w->out[1];
  for (int64_t k = 0; k < least(AT_ONCE, w->kernel[0] * w->kernel[1]); k++)
    known[k] = place_at(w, k);
  for (int64_t p = begin; p < end; p++) {
    const real *gy = j->from + p*out;
    const uint16_t *place = j->place + p*out;
    real *gx = j->to + p*in;
    if (tiles) {
      grad_of_tiles(w, place, gy, gx);
      continue;
    }
    memset(gx, 0, (size_t)in * sizeof(real));
    for (int64_t oh = 0; oh < w->out[0]; oh++)
      for (int64_t ow = 0; ow < w->out[1]; ow++, place++, gy++)
        if (*place != NOWHERE)
          gx[window_at(w, oh, ow) +
             (*place < AT_ONCE ? known[*place] : place_at(w, *place))] += *gy;
  }
}

void cr_max_pool_grad(const cr_window *w, int64_t planes, const uint16_t *place, const real *gy,
                      real *gx) {
  job j = { .w = w, .from = gy, .to = gx, .place = (uint16_t *)(uintptr_t)place };
  over_planes(w, planes, max_grad_range, &j);
}

/* ---- the mean ------------------------------------------------------------------------------- */

/* How many places of the window at position p of one side count */
static inline int64_t counted(const cr_window *w, bool count_padding, int side, int64_t p) {
  int64_t begin = p * w->stride[side] - w->padding[side], end = begin + w->kernel[side];
  int64_t low = count_padding ? -w->padding[side] : 0;
  int64_t high = w->in[side] + (count_padding ? w->padding[side] : 0);
  begin = begin < low ? low : begin;
  end = end > high ? high : end;
  return end > begin ? end - begin : 1;
}

/* x[q] /= the number of elements that count, for windows ow0 .. ow0+n-1 of row oh: the same for all
 * but those at the ends */
static inline void divide(const cr_window *w, bool count_padding, int64_t oh, int64_t ow0,
                          int64_t n, real *restrict x) {
  int64_t high = counted(w, count_padding, 0, oh), first = 0, end = n;
  for (; first < n && counted(w, count_padding, 1, ow0 + first) != w->kernel[1]; first++)
    x[first] /= (real)(high * counted(w, count_padding, 1, ow0 + first));
  for (; end > first && counted(w, count_padding, 1, ow0 + end - 1) != w->kernel[1]; end--)
    x[end - 1] /= (real)(high * counted(w, count_padding, 1, ow0 + end - 1));
  real all = (real)(high * w->kernel[1]);
  for (int64_t q = first; q < end; q++) x[q] /= all;
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
          if (w->stride[1] == 2) for (int64_t ow = first; ow < last; ow++) y[ow] += line[2*ow];
          else for (int64_t ow = first; ow < last; ow++) y[ow] += line[ow * w->stride[1]];
        }
      }
      divide(w, j->count_padding, oh, 0, w->out[1], y);
    }
}

void cr_avg_pool(const cr_window *w, bool count_padding, int64_t planes, const real *x, real *y) {
  job j = { .w = w, .count_padding = count_padding, .from = x, .to = y };
  over_planes(w, planes, avg_range, &j);
}

CR_VECTOR static void avg_grad_range(void *context, int64_t begin, int64_t end) {
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
        int64_t n = least(AT_ONCE, w->out[1] - ow0);
        for (int64_t ow = 0; ow < n; ow++) share[ow] = gy[ow];
        divide(w, j->count_padding, oh, ow0, n, share);
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

void cr_avg_pool_grad(const cr_window *w, bool count_padding, int64_t planes, const real *gy,
                      real *gx) {
  job j = { .w = w, .count_padding = count_padding, .from = gy, .to = gx };
  over_planes(w, planes, avg_grad_range, &j);
}

/* ---- parts of a plane ----------------------------------------------------------------------- */

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
  double chain[8] = { 0 }, rest = 0;
  /* a part as wide as the plane is one line */
  if (b.left == 0 && b.right == width) b = (box){ 0, 1, b.top * width, b.bottom * width };
  for (int64_t ih = b.top; ih < b.bottom; ih++) {
    const real *restrict line = x + ih*width;
    int64_t iw = b.left;
    for (; iw + 8 <= b.right; iw += 8)
      for (int l = 0; l < 8; l++) chain[l] += (double)line[iw + l];
    for (; iw < b.right; iw++) rest += (double)line[iw];
  }
  for (int l = 0; l < 8; l++) rest += chain[l];
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

void cr_part_max_grad(const cr_parts *s, int64_t planes, const int32_t *index, const real *gy,
                      real *gx) {
  part_job j = { s, gy, gx, (int32_t *)(uintptr_t)index };
  over_parts(s, planes, part_max_grad_range, &j);
}
