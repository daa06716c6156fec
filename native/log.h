// A process's log file: Docker's json-file form or CRI's, rotated by size and count.
#ifndef ONGGI_LOG_H
#define ONGGI_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffer.h"
#include "plan.h"

// Longest line that is one entry, without its line feed; longer ones are logged in parts.
#define LOG_LINE_MAX 16384
// "2006-01-02T15:04:05.999999999Z"
#define LOG_TIME_MAX 31

enum output { OUTPUT_STDOUT = 0, OUTPUT_STDERR = 1 };

struct log {
  enum log_format format; // LOG_NONE: everything below is unused
  int directory;          // what `path` is relative to
  int fd;                 // -1: could not be opened
  const char *path;       // owned
  uint64_t size, limit;   // bytes; limit 0: never rotated
  uint32_t files;
  bool complained;
  struct {
    bool open;          // a line has begun and not ended
    struct buffer line; // what of it is not logged yet
    char time[LOG_TIME_MAX];
  } pending[2];
};

// Opens the plan's log, if it has one. A file that cannot be opened loses its lines until log_reopen.
void log_open(struct log *log, const struct plan *plan, int directory);
void log_reopen(struct log *log);
// Logs a piece of output as it was read. Never blocks, never fails: lines that the disk does not take are lost whole.
void log_write(struct log *log, enum output stream, const uint8_t *data, size_t length);
// Logs what has no line feed yet, and closes.
void log_close(struct log *log);

// log-format.c
// Writes one entry to `out` (room: LOG_ENTRY_MAX) and returns its end. `whole`: the line ends here.
#define LOG_ENTRY_MAX (6 * LOG_LINE_MAX + 128)
uint8_t *log_entry(uint8_t *out, enum log_format format, enum output stream, const char *time, const uint8_t *line,
                   size_t length, bool whole);
// RFC 3339 with nanoseconds, without trailing zeros, in UTC.
void log_time(char text[LOG_TIME_MAX]);
// The longest part of a line's first LOG_LINE_MAX bytes that does not cut a UTF-8 sequence.
size_t log_cut(const uint8_t *line);

#endif
