// Log files: pieces of output to lines, lines to entries, entries to a file that is rotated.
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "calls.h"
#include "shim.h"

// Entries are gathered here and written together.
static uint8_t *batch;
#define BATCH_ROOM (2 * LOG_ENTRY_MAX)

static void lost(struct log *log, const char *what) {
  if (!log->complained) complain(what, errno);
  log->complained = true;
}

static void open_file(struct log *log, int flags) {
  struct stat status;
  log->fd = openat(log->directory, log->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | flags, 0640);
  if (log->fd == -1) {
    lost(log, "log lines are lost: cannot open the log");
    return;
  }
  log->size = fstat(log->fd, &status) == 0 ? (uint64_t)status.st_size : 0;
}

void log_open(struct log *log, const struct plan *plan, int directory) {
  log->fd = -1;
  if (plan->log_format == LOG_NONE) return;
  char *path = strdup(plan->log_path); // the plan's memory goes once the process runs
  if (!path) return;
  log->format = plan->log_format;
  log->path = path;
  log->directory = directory;
  log->limit = plan->log_size;
  log->files = plan->log_files;
  open_file(log, 0);
}

void log_reopen(struct log *log) {
  if (log->format == LOG_NONE) return;
  if (log->fd >= 0) close(log->fd);
  log->complained = false;
  open_file(log, 0);
}

// "path", or "path.number" for number > 0. False when it is too long for a path.
static bool numbered(char out[4096], const char *path, uint32_t number) {
  size_t length = strlen(path);
  char digits[16], *start = digits + sizeof digits;
  if (length + sizeof digits >= 4096) return false;
  memcpy(out, path, length + 1);
  if (number == 0) return true;
  *--start = 0;
  for (; number > 0; number /= 10) *--start = (char)('0' + number % 10);
  *--start = '.';
  memcpy(out + length, start, strlen(start) + 1);
  return true;
}

// `log` becomes `log.1`, and so on up to `files` in all. If it cannot be renamed, what it holds is lost: it never outgrows
// its limit by more than an entry.
static void rotate(struct log *log) {
  char from[4096], to[4096];
  bool renamed = log->files > 1;
  for (uint32_t number = log->files - 1; number > 0; number--) {
    if (!numbered(from, log->path, number - 1) || !numbered(to, log->path, number)) renamed = false;
    if (renamed && renameat(log->directory, from, log->directory, to) != 0 && (errno != ENOENT || number == 1)) {
      lost(log, "cannot rotate the log, it starts anew");
      renamed = false;
    }
  }
  close(log->fd);
  open_file(log, renamed ? 0 : O_TRUNC);
}

// What the disk does not take is lost, by whole entries: a torn one would spoil the file for its readers.
static void write_batch(struct log *log, const uint8_t *data, size_t length) {
  if (length == 0 || log->fd == -1) return;
  ssize_t written = write(log->fd, data, length);
  if (written == (ssize_t)length) {
    log->size += length;
    log->complained = false;
    return;
  }
  if (written >= 0) errno = ENOSPC;
  lost(log, "log lines are lost: cannot write the log");
  if (written <= 0) return;
  while (written > 0 && data[written - 1] != '\n') written--;
  log->size += (size_t)written;
  if (ftruncate(log->fd, (off_t)log->size) != 0) lost(log, "a log line is torn");
}

struct writer {
  struct log *log;
  enum output stream;
  size_t used;
};

static void add(struct writer *writer, const char *time, const uint8_t *line, size_t length, bool whole) {
  struct log *log = writer->log;
  if (BATCH_ROOM - writer->used < LOG_ENTRY_MAX) {
    write_batch(log, batch, writer->used);
    writer->used = 0;
  }
  uint8_t *start = batch + writer->used;
  uint8_t *end = log_entry(start, log->format, writer->stream, time, line, length, whole);
  size_t size = (size_t)(end - start);
  if (log->limit > 0 && log->fd >= 0 && log->size + writer->used > 0 && log->size + writer->used + size > log->limit) {
    write_batch(log, batch, writer->used);
    rotate(log);
    memmove(batch, start, size);
    writer->used = 0;
  }
  writer->used += size;
}

// Takes `length` bytes of a line that goes on, or ends if `ends`. Docker's buffer holds the line feed too, so it splits
// a line of exactly the maximum; CRI does not.
static void take(struct writer *writer, const uint8_t *data, size_t length, bool ends, const char *now) {
  struct log *log = writer->log;
  struct buffer *line = &log->pending[writer->stream].line;
  char *time = log->pending[writer->stream].time;
  size_t most = log->format == LOG_JSON ? LOG_LINE_MAX - 1 : LOG_LINE_MAX;
  bool *open = &log->pending[writer->stream].open;
  if (!*open) memcpy(time, now, LOG_TIME_MAX);
  bool fresh = !*open;
  *open = !ends;
  if (fresh && ends && length <= most) {
    add(writer, now, data, length, true);
    return;
  }
  while (line->used + length > most) {
    size_t missing = LOG_LINE_MAX - line->used;
    if (!buffer_append(line, data, missing)) return;
    size_t part = log->format == LOG_JSON ? log_cut(buffer_data(line)) : LOG_LINE_MAX;
    add(writer, time, buffer_data(line), part, false);
    buffer_consume(line, part);
    data += missing;
    length -= missing;
  }
  if (!buffer_append(line, data, length)) return;
  if (!ends) return;
  add(writer, time, buffer_data(line), line->used, true);
  buffer_free(line);
}

static bool have_batch(void) {
  if (!batch) batch = memory_active(MEMORY_BATCH, BATCH_ROOM);
  return batch != NULL;
}

void log_write(struct log *log, enum output stream, const uint8_t *data, size_t length) {
  if (log->format == LOG_NONE || !have_batch()) return;
  if (log->fd == -1) open_file(log, 0);
  char now[LOG_TIME_MAX];
  log_time(now);
  struct writer writer = {log, stream, 0};
  const uint8_t *end = data + length;
  while (data < end) {
    const uint8_t *feed = memchr(data, '\n', (size_t)(end - data));
    take(&writer, data, (size_t)((feed ? feed : end) - data), feed != NULL, now);
    data = feed ? feed + 1 : end;
  }
  write_batch(log, batch, writer.used);
}

void log_close(struct log *log) {
  if (log->format == LOG_NONE) return;
  for (int stream = 0; stream < 2; stream++) {
    struct buffer *line = &log->pending[stream].line;
    struct writer writer = {log, (enum output)stream, 0};
    if (line->used > 0 && have_batch()) {
      add(&writer, log->pending[stream].time, buffer_data(line), line->used, false);
      write_batch(log, batch, writer.used);
    }
    buffer_free(line);
  }
  if (log->fd >= 0) close(log->fd);
  free((char *)log->path);
  *log = (struct log){.fd = -1};
}
