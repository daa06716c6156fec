// Standard streams: three pipes or a terminal; output to the log and to clients, input from clients.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shim.h"

// Output that is read per call of streams_drain, so that a flood cannot keep the shim there.
#define DRAIN_MAX (1u << 20)

static bool no_block(int fd) {
  int flags = fcntl(fd, F_GETFL);
  return flags != -1 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) != -1;
}

// A pipe whose end `ours` does not block. A larger one saves wake-ups; the limit per user may forbid it.
static bool open_pipe(int *ours, int *theirs, bool output) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return false;
  *ours = ends[output ? 0 : 1];
  *theirs = ends[output ? 1 : 0];
  if (output) (void)fcntl(*ours, F_SETPIPE_SZ, PIPE_SIZE);
  return no_block(*ours);
}

// What is read from nobody. A runtime may give it to the container's user: the host's /dev/null must not become that one's.
static int open_no_input(const struct process *process) {
  if (!process->pid_path) return open("/dev/null", O_RDONLY | O_CLOEXEC);
  int ours, theirs;
  if (!open_pipe(&ours, &theirs, false)) return -1;
  close(ours);
  return theirs;
}

bool streams_open(struct process *process, int child[3]) {
  child[0] = child[1] = child[2] = -1;
  if (process->supervision & SUPERVISE_TTY) return true;
  bool good = true;
  if (process->supervision & SUPERVISE_OPEN_STDIN) {
    good = open_pipe(&process->in.fd, &child[0], false);
  } else {
    child[0] = open_no_input(process);
    good = child[0] >= 0;
  }
  good = good && open_pipe(&process->out[0].fd, &child[1], true) && open_pipe(&process->out[1].fd, &child[2], true);
  if (good && !process->pid_path) streams_watch(process);
  if (good) return true;
  int error = errno;
  for (int i = 0; i < 3; i++) {
    if (child[i] >= 0) close(child[i]);
  }
  errno = error;
  return false;
}

void streams_watch(struct process *process) {
  for (int i = 0; i < 2; i++) watch_set(&process->out[i], EPOLLIN);
}

void pty_adopt(struct process *process, int master) {
  (void)fcntl(master, F_SETFD, FD_CLOEXEC);
  if (!no_block(master)) complain("cannot make the terminal non-blocking", errno);
  process->out[0].fd = master;
  process->in.fd = fcntl(master, F_DUPFD_CLOEXEC, 3);
  if (process->size.ws_row > 0 || process->size.ws_col > 0) resize(process, &process->size);
  watch_set(&process->out[0], EPOLLIN);
  clients_resume(process->number);
}

void resize(struct process *process, const struct winsize *size) {
  process->size = *size;
  if ((process->supervision & SUPERVISE_TTY) && process->out[0].fd >= 0) (void)ioctl(process->out[0].fd, TIOCSWINSZ, size);
}

bool streams_ended(const struct process *process) { return process->out[0].fd < 0 && process->out[1].fd < 0; }

static void output_end(struct process *process, enum output stream) {
  watch_close(&process->out[stream]);
  if (process->state != STATE_CREATING && streams_ended(process)) clients_output_end(process);
}

// A terminal that nobody holds open reads as EIO. While the process lives it may open it again: look now and then.
static bool pty_rests(struct process *process) {
  if (!(process->supervision & SUPERVISE_TTY) || errno != EIO || process->reaped) return false;
  watch_set(&process->out[0], 0);
  process->pty_retry = now_ns() + PTY_RETRY_NS;
  return true;
}

// Reads one chunk. Returns its length, 0 when there is nothing more for now.
static size_t read_once(struct process *process, enum output stream) {
  uint8_t *chunk = memory_active(MEMORY_CHUNK, CHUNK);
  struct watch *watch = &process->out[stream];
  if (!chunk || watch->fd < 0 || process->held) return 0;
  ssize_t length = read(watch->fd, chunk, CHUNK);
  if (length < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  if (length <= 0) {
    if (length == 0 || !pty_rests(process)) output_end(process, stream);
    return 0;
  }
  if (length > 4096) memory_dirty = true;
  log_write(&process->log, stream, chunk, (size_t)length);
  clients_output(process, stream, chunk, (size_t)length);
  return (size_t)length;
}

void stream_ready(struct process *process, enum output stream) { read_once(process, stream); }

void streams_hold(struct process *process) {
  bool hold = false;
  for (const struct client *client = clients; client; client = client->next) {
    if (client->dead || client->out.used < CLIENT_HOLD) continue;
    for (const struct attachment *a = client->attachments; a; a = a->next) hold |= a->process == process->number && a->lossless;
  }
  if (hold == process->held) return;
  process->held = hold;
  if (!hold && process->drain_until != 0) process->drain_until = now_ns() + DRAIN_NS;
  for (int i = 0; i < 2; i++) {
    if (process->out[i].fd >= 0 && process->pty_retry == 0) watch_set(&process->out[i], hold ? 0 : EPOLLIN);
  }
}

void streams_drain(struct process *process, bool last) {
  for (int i = 0; i < 2; i++) {
    size_t total = 0, length;
    do {
      length = read_once(process, (enum output)i);
      total += length;
    } while (length > 0 && total < DRAIN_MAX);
    if (last && process->out[i].fd >= 0) output_end(process, (enum output)i);
  }
}

void streams_close(struct process *process) {
  watch_close(&process->out[0]);
  watch_close(&process->out[1]);
  input_close(process);
}

void input_close(struct process *process) {
  watch_close(&process->in);
  clients_resume(process->number);
}

bool input_write(struct process *process, const uint8_t *data, size_t length, size_t *done) {
  while (*done < length && process->in.fd >= 0) {
    ssize_t written = write(process->in.fd, data + *done, length - *done);
    if (written > 0) {
      *done += (size_t)written;
    } else if (written < 0 && errno == EAGAIN) {
      watch_set(&process->in, EPOLLOUT);
      return false;
    } else if (!(written < 0 && errno == EINTR)) {
      watch_close(&process->in); // nobody reads it any more
    }
  }
  return true;
}

void input_ready(struct process *process) {
  watch_set(&process->in, 0);
  clients_resume(process->number);
}
