/* photo.h - JPEG files as grey images of one size, in memory that was made before
 *
 * What crun.imagefolder does to a file, for threads that may not allocate: the same bytes. */
#ifndef CR_IO_PHOTO_H
#define CR_IO_PHOTO_H

#include "io/buffer.h"

enum { CR_PHOTO_FILE_MOST = 8 << 20, CR_PHOTO_PIXELS_MOST = 4 << 20, CR_PHOTO_SIDE_MOST = 8192 };

typedef struct cr_photo_room {        /* of one thread */
  int64_t height, width;              /* of what comes out */
  cr_buffer file;
  uint8_t *pixels, *grey, *between;
  int32_t *taps;
} cr_photo_room;

bool cr_photo_room_init(cr_photo_room *room, int64_t height, int64_t width, cr_error *err);
void cr_photo_room_clear(cr_photo_room *room);

/* Reads, decodes, makes grey and resizes into out [height width]. Any thread, one room each. */
bool cr_photo_read(cr_photo_room *room, const char *path, uint8_t *out, cr_error *err);

#endif
