/* im2col.c - see im2col.h */
#include "kernels/im2col.h"

#include <string.h>

bool cr_window_set(cr_window *w, bool ceil, cr_error *err) {
  static const char *const side_name[] = { "height", "width" };
  for (int s = 0; s < 2; s++) {
    if (w->kernel[s] < 1 || w->stride[s] < 1 || w->dilation[s] < 1 || w->padding[s] < 0)
      return cr_fail(err, CR_EVALUE,
                     "kernel, stride and dilation must be 1 or more and padding 0 or more, "
                     "got %lld, %lld, %lld and %lld",
                     (long long)w->kernel[s], (long long)w->stride[s],
                     (long long)w->dilation[s], (long long)w->padding[s]);
    /* nothing of use is larger, and sums of such numbers cannot overflow */
    const int64_t most = (int64_t)1 << 30;
    if (w->kernel[s] > most || w->stride[s] > most || w->dilation[s] > most || w->padding[s] > most)
      return cr_fail(err, CR_EVALUE, "kernel, stride, padding and dilation must be below 2^30");
    int64_t reach = w->dilation[s] * (w->kernel[s] - 1) + 1;
    int64_t room = w->in[s] + 2*w->padding[s] - reach;
    if (room < 0)
      return cr_fail(err, CR_ESHAPE,
                     "the window reaches over %lld elements of the %s, but there are only "
                     "%lld with padding", (long long)reach, side_name[s],
                     (long long)(w->in[s] + 2*w->padding[s]));
    w->out[s] = room / w->stride[s] + 1;
    if (ceil && room % w->stride[s] != 0 && w->out[s] * w->stride[s] < w->in[s] + w->padding[s])
      w->out[s]++;
  }
  return true;
}

/* a / b for a >= 0; the usual strides without a division */
static inline int64_t over(int64_t a, int64_t b) { return b == 1 ? a : b == 2 ? a >> 1 : a / b; }

void cr_window_inside(const cr_window *w, int side, int64_t at, int64_t *first, int64_t *end) {
  int64_t stride = w->stride[side], before = w->padding[side] - at * w->dilation[side];
  int64_t last = w->in[side] - 1 + before;              /* the last p * stride inside */
  *first = before > 0 ? over(before + stride - 1, stride) : 0;
  *end = last < 0 ? 0 : over(last, stride) + 1;
  if (*first > w->out[side]) *first = w->out[side];
  if (*end > w->out[side]) *end = w->out[side];
  if (*end < *first) *end = *first;
}

/* A stretch of one row of the matrix that lies in one row of positions: columns ow0 .. ow1-1 of it,
 * of which first .. end-1 lie inside the input, from `line`[ow * stride + shift]. line: NULL when
 * the whole row lies outside. */
typedef struct { int64_t ow0, ow1, first, end, stride, shift, line; } stretch;

static inline int64_t clamp(int64_t x, int64_t low, int64_t high) {
  return x < low ? low : x > high ? high : x;
}

static inline void gather(real *restrict to, const real *restrict plane, const stretch *s) {
  int64_t n = s->ow1 - s->ow0, first = clamp(s->first, s->ow0, s->ow1) - s->ow0;
  int64_t end = clamp(s->end, s->ow0, s->ow1) - s->ow0;
  if (s->line < 0 || end <= first) {
    for (int64_t i = 0; i < n; i++) to[i] = 0;
    return;
  }
  const real *from = plane + s->line + s->ow0 * s->stride + s->shift;
  for (int64_t i = 0; i < first; i++) to[i] = 0;
  if (s->stride == 1) for (int64_t i = first; i < end; i++) to[i] = from[i];
  else                for (int64_t i = first; i < end; i++) to[i] = from[i * s->stride];
  for (int64_t i = end; i < n; i++) to[i] = 0;
}

static inline void scatter(real *restrict plane, const real *restrict from, const stretch *s) {
  int64_t first = clamp(s->first, s->ow0, s->ow1) - s->ow0;
  int64_t end = clamp(s->end, s->ow0, s->ow1) - s->ow0;
  if (s->line < 0 || end <= first) return;
  real *to = plane + s->line + s->ow0 * s->stride + s->shift;
  if (s->stride == 1) for (int64_t i = first; i < end; i++) to[i] += from[i];
  else                for (int64_t i = first; i < end; i++) to[i * s->stride] += from[i];
}

/* The row's place in the window, and the inside of it along the width */
static inline stretch row_start(const cr_window *w, int64_t r, int64_t *channel, int64_t *down) {
  stretch s = { .stride = w->stride[1] };
  int64_t j = r % w->kernel[1], i = r / w->kernel[1] % w->kernel[0];
  *channel = r / (w->kernel[0] * w->kernel[1]);
  *down = i * w->dilation[0] - w->padding[0];
  s.shift = j * w->dilation[1] - w->padding[1];
  cr_window_inside(w, 1, j, &s.first, &s.end);
  return s;
}

static inline void next_stretch(const cr_window *w, stretch *s, int64_t oh, int64_t down,
                                int64_t left) {
  int64_t ih = oh * w->stride[0] + down;
  s->line = ih < 0 || ih >= w->in[0] ? -1 : ih * w->in[1];
  s->ow1 = s->ow0 + left < w->out[1] ? s->ow0 + left : w->out[1];
}

/* A row of the matrix when stride is 1 and the width stays: the plane shifted, and zeros where that
 * leaves it. */
static inline void shift_plane(const cr_window *w, const real *restrict plane, int64_t down,
                               const stretch *s, int64_t q0, int64_t q1, real *restrict to) {
  int64_t width = w->in[1], by = down * width + s->shift;
  int64_t low = clamp(-down * width, q0, q1), high = clamp((w->in[0] - down) * width, q0, q1);
  int64_t begin = clamp(-by, low, high), end = clamp(w->in[0] * width - by, low, high);
  for (int64_t q = q0; q < begin; q++) to[q - q0] = 0;
  for (int64_t q = begin; q < end; q++) to[q - q0] = plane[q + by];
  for (int64_t q = end; q < q1; q++) to[q - q0] = 0;
  if (s->first == 0 && s->end == width) return;
  for (int64_t line = low / width * width; line < high; line += width) {
    int64_t left = clamp(line + s->first, low, high), right = clamp(line + s->end, low, high);
    for (int64_t q = clamp(line, low, high); q < left; q++) to[q - q0] = 0;
    for (int64_t q = right; q < clamp(line + width, low, high); q++) to[q - q0] = 0;
  }
}

CR_VECTOR void cr_im2col(const cr_window *w, const real *image, int64_t r0, int64_t r1,
                         int64_t q0, int64_t q1, real *column) {
  bool shifts = w->stride[0] == 1 && w->stride[1] == 1 && w->out[1] == w->in[1];
  for (int64_t r = r0; r < r1; r++) {
    int64_t channel, down, oh = q0 / w->out[1];
    stretch s = row_start(w, r, &channel, &down);
    const real *plane = image + channel * w->in[0] * w->in[1];
    if (shifts) {
      shift_plane(w, plane, down, &s, q0, q1, column);
      column += q1 - q0;
      continue;
    }
    s.ow0 = q0 % w->out[1];
    for (int64_t left = q1 - q0; left > 0; oh++, s.ow0 = 0) {
      next_stretch(w, &s, oh, down, left);
      gather(column, plane, &s);
      column += s.ow1 - s.ow0, left -= s.ow1 - s.ow0;
    }
  }
}

CR_VECTOR void cr_col2im(const cr_window *w, const real *column, int64_t r0, int64_t r1,
                         int64_t q0, int64_t q1, real *image) {
  for (int64_t r = r0; r < r1; r++) {
    int64_t channel, down, oh = q0 / w->out[1];
    stretch s = row_start(w, r, &channel, &down);
    s.ow0 = q0 % w->out[1];
    for (int64_t left = q1 - q0; left > 0; oh++, s.ow0 = 0) {
      next_stretch(w, &s, oh, down, left);
      scatter(image + channel * w->in[0] * w->in[1], column, &s);
      column += s.ow1 - s.ow0, left -= s.ow1 - s.ow0;
    }
  }
}
