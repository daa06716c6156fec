// A queue of bytes in mapped memory: takes none while it is empty.
#ifndef ONGGI_BUFFER_H
#define ONGGI_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
  uint8_t *memory;
  size_t room, start, used;
};

static inline uint8_t *buffer_data(const struct buffer *buffer) { return buffer->memory + buffer->start; }
// Room for `length` more bytes at buffer_data + used. False when there is no memory.
bool buffer_reserve(struct buffer *buffer, size_t length);
bool buffer_append(struct buffer *buffer, const void *data, size_t length);
void buffer_consume(struct buffer *buffer, size_t length);
void buffer_free(struct buffer *buffer);

#endif
