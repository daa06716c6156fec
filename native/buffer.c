#include "buffer.h"

#include <string.h>
#include <sys/mman.h>

bool buffer_reserve(struct buffer *buffer, size_t length) {
  if (buffer->room - buffer->start - buffer->used >= length) return true;
  if (buffer->start > 0) {
    memmove(buffer->memory, buffer->memory + buffer->start, buffer->used);
    buffer->start = 0;
    if (buffer->room - buffer->used >= length) return true;
  }
  size_t room = buffer->room ? buffer->room : 4096;
  while (room - buffer->used < length) room *= 2;
  void *memory = buffer->memory ? mremap(buffer->memory, buffer->room, room, MREMAP_MAYMOVE)
                                : mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return false;
  buffer->memory = memory;
  buffer->room = room;
  return true;
}

bool buffer_append(struct buffer *buffer, const void *data, size_t length) {
  if (length == 0) return true;
  if (!buffer_reserve(buffer, length)) return false;
  memcpy(buffer_data(buffer) + buffer->used, data, length);
  buffer->used += length;
  return true;
}

void buffer_consume(struct buffer *buffer, size_t length) {
  buffer->start += length;
  buffer->used -= length;
  if (buffer->used == 0) buffer_free(buffer);
}

void buffer_free(struct buffer *buffer) {
  if (buffer->memory) munmap(buffer->memory, buffer->room);
  *buffer = (struct buffer){0};
}
