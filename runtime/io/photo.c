/* photo.c - see photo.h */
#include "io/photo.h"

#include <string.h>
#include "base/memory.h"
#include "io/file.h"
#include "io/image.h"
#include "io/jpeg.h"
#include "kernels/image.h"

/* int32 for both axes: first and number of source pixels, their weights, and a row of sums */
static size_t taps_needed(int64_t from, int64_t to) {
  return (size_t)((cr_kernel_image_resize_most(from, to) + 3) * to);
}

bool cr_photo_room_init(cr_photo_room *room, int64_t height, int64_t width, cr_error *err) {
  *room = (cr_photo_room){ .height = height, .width = width };
  /* a byte more than a file may have, so that reading one never grows the buffer */
  if (!cr_buffer_reserve(&room->file, CR_PHOTO_FILE_MOST + 2)) return cr_buffer_ok(&room->file, err);
  size_t taps = taps_needed(CR_PHOTO_SIDE_MOST, height) + taps_needed(CR_PHOTO_SIDE_MOST, width);
  room->pixels = cr_alloc(3 * (size_t)CR_PHOTO_PIXELS_MOST, err);
  room->grey = cr_alloc((size_t)CR_PHOTO_PIXELS_MOST + 3 * CR_PHOTO_SIDE_MOST, err);
  room->between = cr_alloc((size_t)(CR_PHOTO_SIDE_MOST * width), err);
  room->taps = cr_alloc(taps * sizeof *room->taps, err);
  if (room->pixels && room->grey && room->between && room->taps) return true;
  cr_photo_room_clear(room);
  return false;
}

void cr_photo_room_clear(cr_photo_room *room) {
  cr_buffer_clear(&room->file);
  cr_free(room->pixels);
  cr_free(room->grey);
  cr_free(room->between);
  cr_free(room->taps);
  *room = (cr_photo_room){ 0 };
}

/* colour to grey, row by row through three planes of a row each */
static void make_grey(cr_photo_room *room, const cr_jpeg_size *size) {
  uint8_t *row = room->grey + CR_PHOTO_PIXELS_MOST;
  int64_t w = size->width;
  for (int64_t y = 0; y < size->height; y++) {
    cr_image_split(room->pixels + 3 * y * w, w, 3, row);
    cr_kernel_image_grey(row, row + w, row + 2 * w, w, room->grey + y * w);
  }
}

static void resize(cr_photo_room *room, const cr_jpeg_size *size, const uint8_t *in, uint8_t *out) {
  cr_resize r = { .H = size->height, .W = size->width, .h = room->height, .w = room->width };
  r.most_across = cr_kernel_image_resize_most(r.W, r.w);
  r.most_down = cr_kernel_image_resize_most(r.H, r.h);
  int32_t *sum = room->taps, *across = sum + r.w, *down = across + (r.most_across + 2) * r.w;
  cr_kernel_image_resize_taps(r.W, r.w, across, across + r.w, across + 2 * r.w);
  cr_kernel_image_resize_taps(r.H, r.h, down, down + r.h, down + 2 * r.h);
  r.first_across = across, r.taps_across = across + r.w, r.weight_across = across + 2 * r.w;
  r.first_down = down, r.taps_down = down + r.h, r.weight_down = down + 2 * r.h;
  cr_kernel_image_resize(&r, in, out, room->between, sum);
}

bool cr_photo_read(cr_photo_room *room, const char *path, uint8_t *out, cr_error *err) {
  cr_jpeg_size size;
  room->file.n = 0;
  if (!cr_file_read(path, CR_PHOTO_FILE_MOST, &room->file, err)) return false;
  if (!cr_jpeg_pixels(room->file.data, room->file.n, CR_PHOTO_PIXELS_MOST, room->pixels, &size,
                      err)) return cr_fail_in(err, path);
  if (size.height > CR_PHOTO_SIDE_MOST || size.width > CR_PHOTO_SIDE_MOST)
    return cr_fail(err, CR_EFORMAT, "%s: %lld x %lld pixels, at most %d each way expected", path,
                   (long long)size.width, (long long)size.height, CR_PHOTO_SIDE_MOST);
  const uint8_t *grey = size.channels == 1 ? room->pixels : room->grey;
  if (size.channels == 3) make_grey(room, &size);
  if (size.height == room->height && size.width == room->width)
    memcpy(out, grey, (size_t)(size.height * size.width));
  else resize(room, &size, grey, out);
  return true;
}
