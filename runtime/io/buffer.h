/* buffer.h - bytes that grow
 *
 * A failure sticks: once an add has failed, later ones do nothing, and cr_buffer_ok tells at the
 * end. So a writer adds what it has to add, one line each, and asks once. Start with { 0 };
 * cr_buffer_clear ends it (and may be called twice). */
#ifndef CR_IO_BUFFER_H
#define CR_IO_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

typedef struct cr_buffer {
  unsigned char *data;        /* from cr_alloc; may be NULL while n is 0 */
  size_t n, room;
  cr_error error;             /* of the first add that failed */
} cr_buffer;

/* Room for `more` bytes behind the n there are. */
bool cr_buffer_reserve(cr_buffer *b, size_t more);
bool cr_buffer_add(cr_buffer *b, const void *data, size_t n);
bool cr_buffer_add_byte(cr_buffer *b, unsigned char byte);
bool cr_buffer_add_text(cr_buffer *b, const char *text);
bool cr_buffer_fill(cr_buffer *b, unsigned char byte, size_t times);
bool cr_buffer_ok(const cr_buffer *b,
                  cr_error *err); /* false, with the reason, when an add failed */
void cr_buffer_clear(cr_buffer *b);

/* Little-endian numbers, as all formats here have them. */
bool cr_buffer_add_u32(cr_buffer *b, uint32_t value);
bool cr_buffer_add_u64(cr_buffer *b, uint64_t value);
uint32_t cr_read_u32(const unsigned char *bytes);
uint64_t cr_read_u64(const unsigned char *bytes);

#endif
