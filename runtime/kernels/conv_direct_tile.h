/* conv_direct_tile.h - the inner parts of conv_direct.c for one instruction set; conv_tile.h has
 * the products */
#ifndef CR_KERNELS_CONV_DIRECT_TILE_H
#define CR_KERNELS_CONV_DIRECT_TILE_H

#include <string.h>
#include "kernels/conv_tile.h"

/* The lines that outputs of rows row0 .. row1-1 see, with the zeros around them; those that a
 * stride passes over are left as they are. */
static void copy_lines(const cr_direct *d, int64_t image, int64_t row0, int64_t row1, real *to) {
  int64_t C = d->channels, line = d->in[1] * C, width = cr_direct_line(d);
  int64_t rows = (row1 - row0 - 1) * d->stride[0] + d->kernel[0];
  int64_t shift = d->before[1] * C;     /* to[t] = x[t - shift] */
  int64_t first = least(shift > 0 ? shift : 0, width), end = least(line + shift, width);
  const real *x = d->x + image * d->in[0] * line;
  for (int64_t r = 0; r < rows; r++, to += width) {
    int64_t row = row0 * d->stride[0] + r - d->before[0];
    if (r % d->stride[0] >= d->kernel[0]) continue;
    if (row < 0 || row >= d->in[0] || end <= first) {
      memset(to, 0, (size_t)width * sizeof(real));
      continue;
    }
    memset(to, 0, (size_t)first * sizeof(real));
    memcpy(to + first, x + row*line + first - shift, (size_t)(end - first) * sizeof(real));
    memset(to + end, 0, (size_t)(width - end) * sizeof(real));
  }
  memset(to, 0, CR_DIRECT_GROUP * sizeof(real));
}

/* weights[panel][i][j][c][filter of the panel], the last panel filled up with zeros */
static void direct_weights(const cr_direct *d, const cr_direct_weight *from, int64_t panel,
                           real *to) {
  int64_t o0 = panel * WIDTH, wide = least(WIDTH, d->filters - o0), width = round_up(wide, LANES);
  to += d->kernel[0] * d->kernel[1] * d->channels * o0;
  for (int64_t i = 0; i < d->kernel[0]; i++)
    for (int64_t j = 0; j < d->kernel[1]; j++)
      for (int64_t c = 0; c < d->channels; c++, to += width) {
        const real *at = from->weight + from->first + o0 * from->o_step + c * from->c_step +
                         i * from->i_step + j * from->j_step;
        for (int64_t o = 0; o < wide; o++) to[o] = at[o * from->o_step];
        for (int64_t o = wide; o < width; o++) to[o] = 0;
      }
}

/* y += bias, and the sums of y, for n places and `wide` filters from o on */
static void finish(const cr_direct *d, int64_t n, int64_t o, int64_t wide, real *y, double *part) {
  const int64_t step = d->spread[1] * d->filters;
  int64_t l = 0;
  for (; l + LANES <= wide; l += LANES) {
    vector bias = { 0 }, sum = { 0 }, squares = { 0 };
    if (d->bias != NULL) bias = load(d->bias + o + l);
    for (int64_t q = 0; q < n; q++) {
      vector value = load(y + q*step + l);
      if (d->bias != NULL) store(y + q*step + l, value += bias);
      sum += value, squares += value * value;
    }
    if (part == NULL) continue;
    add_to(part + o + l, sum), add_to(part + d->filters + o + l, squares);
  }
  for (; l < wide; l++)
    for (int64_t q = 0; q < n; q++) {
      real value = y[q*step + l] += d->bias ? d->bias[o + l] : 0;
      if (part == NULL) continue;
      part[o + l] += (double)value, part[d->filters + o + l] += (double)value * (double)value;
    }
}

/* One line of outputs, `wide` filters from o on */
static void direct_line(const cr_direct *d, const real *from, int64_t o, int64_t wide, real *y,
                        double *part) {
  int64_t C = d->channels, width = cr_direct_line(d), length = d->kernel[1] * C;
  int64_t panel = round_up(wide, LANES), step = d->spread[1] * d->filters;
  const real *weights = d->weights + d->kernel[0] * length * o;
  const int64_t place = d->stride[1] * C;
  for (int64_t q = 0; q < d->out[1]; q += ROWS) {
    int64_t n = least(ROWS, d->out[1] - q), high = round_up(n, GROUP);
    const real *a = from + q*place;
    operand rows = { { a, a + GROUP*place, a + 2*GROUP*place }, place, 1, width };
    if (high == n && panel == wide) {
      rows_tile((int)(high / GROUP), (int)(panel / LANES), d->kernel[0], length, &rows, weights,
                panel, y + q*step, step);
    } else {
      real scrap[ROWS * WIDTH] __attribute__((aligned(64)));
      rows_tile((int)(high / GROUP), (int)(panel / LANES), d->kernel[0], length, &rows, weights,
                panel, scrap, panel);
      for (int64_t p = 0; p < n; p++)
        for (int64_t l = 0; l < wide; l++) y[(q + p) * step + l] = scrap[p*panel + l];
    }
  }
  if (d->bias != NULL || part != NULL) finish(d, d->out[1], o, wide, y, part);
}

/* A share of the places that no weight sees */
static void direct_nothing(const cr_direct *d, int64_t image, int64_t row0, int64_t row1) {
  for (int64_t r = row0; r < row1; r++) {
    int64_t row = image * d->size[0] + d->place[0] + r * d->spread[0];
    real *y = d->y + (row * d->size[1] + d->place[1]) * d->filters;
    for (int64_t q = 0; q < d->out[1]; q++, y += d->spread[1] * d->filters)
      memset(y, 0, (size_t)d->filters * sizeof(real));
  }
}

static void direct_forward(const cr_direct *d, int64_t image, int64_t row0, int64_t row1,
                           double *part) {
  if (d->kernel[0] == 0 || d->kernel[1] == 0) {
    direct_nothing(d, image, row0, row1);
    return;
  }
  real lines[CR_DIRECT_ROOM] __attribute__((aligned(64)));
  int64_t width = cr_direct_line(d), line = d->in[1] * d->channels;
  bool first = d->place[0] == 0 && d->place[1] == 0;
  copy_lines(d, image, row0, row1, lines);
  for (int64_t o = 0; o < d->filters; o += WIDTH)
    for (int64_t r = row0; r < row1; r++) {
      if (first && o == 0)              /* the lines of the next strip */
        fetch_ahead(d->x + (image * d->in[0] + (r + row1 - row0) * d->stride[0]) * line,
                    least(d->stride[0], d->kernel[0]), line, line);
      int64_t row = image * d->size[0] + d->place[0] + r * d->spread[0];
      direct_line(d, lines + (r - row0) * d->stride[0] * width, o, least(WIDTH, d->filters - o),
                  d->y + (row * d->size[1] + d->place[1]) * d->filters + o, part);
    }
}

/* gw [kernel_h][kernel_w channels, filled up to whole groups][filters] += over rows row0 .. row1-1
 * of one image. The groups of rows of x are taken three at a time, whichever kernel line they are
 * of. */
static void direct_products(const cr_direct *d, int64_t image, int64_t row0, int64_t row1,
                            const real *gy, real *gw) {
  real lines[CR_DIRECT_ROOM] __attribute__((aligned(64)));
  int64_t width = cr_direct_line(d), O = d->filters;
  int64_t in_line = cr_direct_kernel_line(d) / GROUP, groups = d->kernel[0] * in_line;
  copy_lines(d, image, row0, row1, lines);
  gy += (image * d->out[0] + row0) * d->out[1] * O;
  for (int64_t g = 0; g < groups; g += 3) {
    int64_t n = least(3, groups - g);
    operand rows = { .i_step = 1, .p_step = d->stride[1] * d->channels,
                     .s_step = d->stride[0] * width };
    for (int64_t k = 0; k < n; k++)
      rows.group[k] = lines + (g + k) / in_line * width + (g + k) % in_line * GROUP;
    for (int64_t o = 0; o < O; o += WIDTH)
      turned_tile((int)n, (int)(least(WIDTH, O - o) / LANES), row1 - row0, d->out[1], &rows, gy + o,
                  O, gw + g*GROUP*O + o, O);
  }
}

#endif
