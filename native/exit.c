// The end of a process: its last output, the exit record, the word to everybody.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "shim.h"

#define RECORD_MAGIC 0x31474e4fu

struct record {
  uint32_t magic;
  int32_t wait_status;
  uint32_t flags, error, exited_at[2], section, index;
};
_Static_assert(sizeof(struct record) == 32, "the exit record of docs/shim.md");

void process_fail(struct process *process, enum section section, uint32_t index, int error, const char *text) {
  if (process->failed) return;
  process->failed = true;
  process->section = section;
  process->index = index;
  process->error = error;
  process->text = text;
  tell_failed(NULL, process);
  clients_resume(WAIT_LAUNCH);
}

// "oom_kill N" of memory.events and memory.oom_control. False too where the group is gone; the descriptor is then closed.
static bool oom_killed(struct watch *watch) {
  char text[512];
  ssize_t length = watch->fd >= 0 ? pread(watch->fd, text, sizeof text - 1, 0) : -1;
  if (length <= 0) {
    watch_close(watch);
    return false;
  }
  text[length] = 0;
  for (const char *line = text; line; line = strchr(line, '\n')) {
    if (*line == '\n') line++;
    if (strncmp(line, "oom_kill ", 9) == 0) return strtoul(line + 9, NULL, 10) > 0;
  }
  return false;
}

// Seen as it happens, not only at the end: systemd removes a group as soon as it is empty, and its counters with it.
void oom_ready(struct process *process) {
  if (!oom_killed(&process->oom)) return;
  process->exit_flags |= EXIT_OOM;
  watch_close(&process->oom);
}

// fsync of the directory that a path relative to the state directory lies in.
static bool sync_directory(const char *path) {
  char directory[4096] = ".";
  const char *slash = strrchr(path, '/');
  if (slash) {
    size_t length = slash == path ? 1 : (size_t)(slash - path);
    memcpy(directory, path, length);
    directory[length] = 0;
  }
  int fd = openat(FD_STATE, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  bool good = fd >= 0 && fsync(fd) == 0;
  if (fd >= 0) close(fd);
  return good;
}

static bool write_record(const struct process *process, const char *path, const char *beside) {
  struct record record = {RECORD_MAGIC, process->wait_status, process->exit_flags, (uint32_t)process->error, {0}, process->section, process->index};
  bool durable = (process->supervision & SUPERVISE_DURABLE) != 0;
  memcpy(record.exited_at, &process->exited_at, sizeof process->exited_at);
  if (process->failed) record.flags |= EXIT_SETUP_FAILED;
  int fd = openat(FD_STATE, beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  bool good = write(fd, &record, sizeof record) == (ssize_t)sizeof record && (!durable || fsync(fd) == 0);
  int error = errno;
  close(fd);
  errno = error;
  return good && renameat(FD_STATE, beside, FD_STATE, path) == 0 && (!durable || sync_directory(path));
}

static void record_exit(struct process *process) {
  char beside[4096];
  const char *path = process->exit_path;
  if (!path) return;
  size_t length = strlen(path);
  if (length + sizeof ".new" > sizeof beside) {
    complain("cannot write the exit record", ENAMETOOLONG);
    return;
  }
  memcpy(beside, path, length);
  memcpy(beside + length, ".new", sizeof ".new");
  if (!write_record(process, path, beside)) complain("cannot write the exit record", errno);
}

// Everything of the process is given back, then everybody is told.
static void finish(struct process *process) {
  process->drain_until = 0;
  process->pty_retry = 0;
  streams_close(process);
  runtime_forget(process);
  log_close(&process->log);
  record_exit(process);
  process->state = STATE_EXITED;
  tell_exit(NULL, process);
}

void process_ended(struct process *process, int wait_status) {
  struct timespec now;
  if (process->pid > 0) process_hear(process, true);
  clock_gettime(CLOCK_REALTIME, &now);
  process->exited_at = (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
  process->reaped = true;
  clients_resume(WAIT_LAUNCH); // one that failed was in the way of others until now
  process->wait_status = wait_status;
  oom_ready(process);
  watch_close(&process->oom);
  for (struct process *other = processes; other && process->number == 0; other = other->next) {
    if (other == process || other->pid <= 0 || other->reaped) continue;
    (void)process_succeeded(other);
    kill(other->pid, SIGKILL);
  }
  process->drain_until = now_ns() + DRAIN_NS;
  streams_drain(process, process->failed);
  if (streams_ended(process)) finish(process);
}

static void wake_pty(struct process *process, uint64_t now) {
  if (process->pty_retry == 0 || process->pty_retry > now) return;
  process->pty_retry = 0;
  if (!process->held && process->out[0].fd >= 0) watch_set(&process->out[0], EPOLLIN);
}

uint64_t processes_timers(uint64_t now) {
  uint64_t next = NEVER;
  for (struct process *process = processes; process; process = process->next) {
    wake_pty(process, now);
    if (process->pty_retry != 0 && process->pty_retry < next) next = process->pty_retry;
    if (process->drain_until == 0) continue;
    if (!process->held && !streams_ended(process) && process->drain_until <= now) streams_drain(process, true);
    if (streams_ended(process)) {
      finish(process);
    } else if (!process->held && process->drain_until < next) {
      next = process->drain_until;
    }
  }
  return next;
}
