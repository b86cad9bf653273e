/* png.c - Portable Network Graphics, by libpng, with limits that hold
 *
 * libpng's own limits do not: release builds make "chunk data is too large" a warning and then
 * clear up to 2 GiB (28 s for a file of 904 bytes). So
 *   - the size in the header is checked here before libpng sees the file;
 *   - png_set_benign_errors(png, 0) makes such warnings errors, and no chunk may be longer than
 *     the file;
 *   - deflate expands at most 1032 times: a header that promises more than its IDAT chunks can hold
 * is refused before pixels are allocated;
 *   - chunks that do not change pixels (text, colour profile, ...) are skipped unread, which also
 * spares us a refusal of the many files whose profile is slightly wrong.
 *
 * libpng reports errors by longjmp. Both directions keep all they own in one struct outside the
 * function that calls setjmp, so nothing is lost and no local variable is in doubt. */
#include "io/png.h"

#include <png.h>
#include <setjmp.h>
#include <string.h>
#include "base/memory.h"
#include "io/image.h"

enum { DEFLATE_RATIO = 1032, CHUNKS = 16 };

typedef struct job {
  png_structp png;
  png_infop info;
  cr_error *err;
  const unsigned char *at, *end;      /* reading: what is left of the file */
  cr_buffer *out;                     /* writing */
  cr_tensor *image;
  uint8_t *pixels;                    /* interleaved */
  png_bytep *rows;
} job;

static void on_error(png_structp png, png_const_charp message) {
  job *j = png_get_error_ptr(png);
  if (j->err == NULL || j->err->kind == CR_OK) cr_fail(j->err, CR_EFORMAT, "PNG: %s", message);
  longjmp(png_jmpbuf(png), 1);
}

static void on_warning(png_structp png, png_const_charp message) { (void)png, (void)message; }

static png_voidp on_alloc(png_structp png, png_alloc_size_t bytes) {
  (void)png;
  return cr_alloc(bytes, NULL);
}

static void on_free(png_structp png, png_voidp block) {
  (void)png;
  cr_free(block);
}

static void on_read(png_structp png, png_bytep data, png_size_t n) {
  job *j = png_get_io_ptr(png);
  if ((size_t)(j->end - j->at) < n) png_error(png, "the file is cut short");
  memcpy(data, j->at, n);
  j->at += n;
}

static void on_write(png_structp png, png_bytep data, png_size_t n) {
  job *j = png_get_io_ptr(png);
  if (cr_buffer_add(j->out, data, n)) return;
  cr_buffer_ok(j->out, j->err);
  png_error(png, "no memory");
}

static void on_flush(png_structp png) { (void)png; }

static uint32_t big_endian(const unsigned char *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

/* bytes of compressed pixels in the file */
static uint64_t idat_bytes(const unsigned char *file, size_t n) {
  uint64_t sum = 0;
  for (size_t at = 8, length; n - at >= 12; at += 12 + length) {
    length = big_endian(file + at);
    if (length > n - at - 12) length = n - at - 12;
    if (memcmp(file + at + 4, "IDAT", 4) == 0) sum += length;
  }
  return sum;
}

/* what libpng does between setjmp and the end; every failure jumps */
static void decode(job *j, uint64_t compressed) {
  png_structp png = j->png;
  png_uint_32 width, height;
  int bits, kind;
  png_set_benign_errors(png, 0);
  png_set_user_limits(png, 0x7fffffff, 0x7fffffff);       /* the pixels have been counted already */
  png_set_chunk_malloc_max(png, (size_t)(j->end - j->at));
  png_set_chunk_cache_max(png, CHUNKS);
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
  png_set_read_fn(png, j, on_read);
  png_read_info(png, j->info);
  png_get_IHDR(png, j->info, &width, &height, &bits, &kind, NULL, NULL, NULL);
  if (kind == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
  else if (bits < 8) png_set_expand_gray_1_2_4_to_8(png);
  if (bits == 16) png_set_scale_16(png);
  png_set_strip_alpha(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, j->info);

  int64_t channels = png_get_channels(png, j->info), shape[3] = { channels, height, width };
  size_t row = png_get_rowbytes(png, j->info), total;
  if (channels != 1 && channels != 3) png_error(png, "an unknown kind of pixel");
  if (row != (size_t)width * (size_t)channels || !cr_size_mul(row, height, &total))
    png_error(png, "rows of an unknown size");
  if (total > DEFLATE_RATIO * compressed + 4096)
    png_error(png, "the file is too short for the size it claims");

  j->image = cr_tensor_new(CR_BYTE, 3, shape, j->err);
  if (j->image == NULL) png_error(png, "no memory");
  j->rows = cr_alloc(height * sizeof *j->rows, j->err);
  if (j->rows == NULL) png_error(png, "no memory");
  uint8_t *pixels = cr_bytes(j->image);
  if (channels > 1) pixels = j->pixels = cr_alloc(total, j->err);
  if (pixels == NULL) png_error(png, "no memory");
  for (png_uint_32 y = 0; y < height; y++) j->rows[y] = pixels + y * row;
  png_read_image(png, j->rows);
  png_read_end(png, NULL);
  if (channels > 1) cr_image_split(pixels, shape[1] * shape[2], channels, cr_bytes(j->image));
}

static bool run_decode(job *j, uint64_t compressed) {
  if (setjmp(png_jmpbuf(j->png)) != 0) return false;
  decode(j, compressed);
  return true;
}

static void job_clear(job *j) {
  cr_free(j->pixels);
  cr_free(j->rows);
}

cr_tensor *cr_png_read(const void *bytes, size_t n, int64_t max_pixels, cr_error *err) {
  static const unsigned char magic[8] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' };
  const unsigned char *file = bytes;
  cr_error own = { 0 };               /* on_error needs to know whether a reason has been given */
  job j = { .err = &own, .at = file, .end = file + n };
  if (n < 8 || memcmp(file, magic, 8) != 0)
    return cr_fail(err, CR_EFORMAT, "not a PNG file: it does not begin with the PNG signature"),
           NULL;
  if (n < 33 || memcmp(file + 12, "IHDR", 4) != 0)
    return cr_fail(err, CR_EFORMAT, "PNG: the file is cut short, or its first chunk is no IHDR"),
           NULL;
  if (!cr_image_size("PNG", big_endian(file + 16), big_endian(file + 20), max_pixels, err))
    return NULL;

  j.png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &j, on_error, on_warning, NULL, on_alloc,
                                   on_free);
  j.info = j.png != NULL ? png_create_info_struct(j.png) : NULL;
  bool ok = j.info != NULL ? run_decode(&j, idat_bytes(file, n))
                           : cr_fail(&own, CR_EMEMORY, "PNG: no memory");
  png_destroy_read_struct(&j.png, &j.info, NULL);
  job_clear(&j);
  if (ok) return j.image;
  cr_tensor_release(j.image);
  cr_fail(err, own.kind, "%s", own.text);
  return NULL;
}

static bool run_encode(job *j, int64_t channels, int64_t height, int64_t width) {
  if (setjmp(png_jmpbuf(j->png)) != 0) return false;
  png_set_user_limits(j->png, 0x7fffffff, 0x7fffffff);
  png_set_write_fn(j->png, j, on_write, on_flush);
  png_set_IHDR(j->png, j->info, (png_uint_32)width, (png_uint_32)height, 8,
               channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(j->png, j->info);
  for (int64_t y = 0; y < height; y++) {
    cr_image_join(cr_bytes(j->image), height * width, channels, y * width, width, j->pixels);
    png_write_row(j->png, j->pixels);
  }
  png_write_end(j->png, NULL);
  return true;
}

bool cr_png_write(cr_tensor *image, cr_buffer *out, cr_error *err) {
  int64_t channels, height, width;
  cr_error own = { 0 };
  job j = { .err = &own, .out = out };
  j.image = cr_image_packed(image, &channels, &height, &width, err);
  if (j.image == NULL) return false;
  bool ok = false;
  if (width > 0x7fffffff || height > 0x7fffffff) {
    cr_fail(&own, CR_ESHAPE, "PNG: an image of %lld x %lld is too large for the format",
            (long long)width, (long long)height);
  } else if ((j.pixels = cr_alloc((size_t)(width * channels), &own)) != NULL) {
    j.png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, &j, on_error, on_warning, NULL,
                                      on_alloc, on_free);
    j.info = j.png != NULL ? png_create_info_struct(j.png) : NULL;
    ok = j.info != NULL ? run_encode(&j, channels, height, width)
                        : cr_fail(&own, CR_EMEMORY, "PNG: no memory");
    png_destroy_write_struct(&j.png, &j.info);
  }
  job_clear(&j);
  cr_tensor_release(j.image);
  return ok || cr_fail(err, own.kind, "%s", own.text);
}
