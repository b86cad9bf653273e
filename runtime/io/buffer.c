/* buffer.c - see buffer.h */
#include "io/buffer.h"

#include <string.h>
#include "base/memory.h"

bool cr_buffer_reserve(cr_buffer *b, size_t more) {
  size_t wanted, room;
  if (b->error.kind != CR_OK) return false;
  if (!cr_size_add(b->n, more, &wanted) || !cr_size_add(wanted, b->n / 2 + 64, &room))
    return cr_fail(&b->error, CR_EMEMORY, "a buffer of more bytes than memory can have");
  if (wanted <= b->room) return true;
  if (b->n == 0) room = wanted;      /* the first request is usually the whole: take it as it is */
  unsigned char *data = cr_alloc(room, &b->error);
  if (data == NULL) return false;
  if (b->n > 0) memcpy(data, b->data, b->n);
  cr_free(b->data);
  b->data = data;
  b->room = room;
  return true;
}

bool cr_buffer_add(cr_buffer *b, const void *data, size_t n) {
  if (n == 0) return b->error.kind == CR_OK;
  if (!cr_buffer_reserve(b, n)) return false;
  memcpy(b->data + b->n, data, n);
  b->n += n;
  return true;
}

bool cr_buffer_add_byte(cr_buffer *b, unsigned char byte) { return cr_buffer_add(b, &byte, 1); }

bool cr_buffer_add_text(cr_buffer *b, const char *text) {
  return cr_buffer_add(b, text, strlen(text));
}

bool cr_buffer_fill(cr_buffer *b, unsigned char byte, size_t times) {
  if (times == 0) return b->error.kind == CR_OK;
  if (!cr_buffer_reserve(b, times)) return false;
  memset(b->data + b->n, byte, times);
  b->n += times;
  return true;
}

bool cr_buffer_ok(const cr_buffer *b, cr_error *err) {
  return b->error.kind == CR_OK || cr_fail(err, b->error.kind, "%s", b->error.text);
}

void cr_buffer_clear(cr_buffer *b) {
  cr_free(b->data);
  *b = (cr_buffer){ 0 };
}

bool cr_buffer_add_u32(cr_buffer *b, uint32_t value) {
  unsigned char bytes[4];
  for (int i = 0; i < 4; i++) bytes[i] = (unsigned char)(value >> (8 * i));
  return cr_buffer_add(b, bytes, sizeof bytes);
}

bool cr_buffer_add_u64(cr_buffer *b, uint64_t value) {
  return cr_buffer_add_u32(b, (uint32_t)value) && cr_buffer_add_u32(b, (uint32_t)(value >> 32));
}

uint32_t cr_read_u32(const unsigned char *bytes) {
  return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16
       | (uint32_t)bytes[3] << 24;
}

uint64_t cr_read_u64(const unsigned char *bytes) {
  return (uint64_t)cr_read_u32(bytes) | (uint64_t)cr_read_u32(bytes + 4) << 32;
}
