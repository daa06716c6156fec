// Connections: frames in, frames out, bounded memory. A client that stands still holds up nobody but itself, unless it is
// attached lossless.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "shim.h"

// Reads of one client in a row: one that floods the shim does not keep it.
#define READS_MAX 64

struct client *clients;

static void put_header(uint8_t header[FRAME_HEADER], uint32_t length, uint16_t type, uint16_t process) {
  memcpy(header, &length, 4);
  memcpy(header + 4, &type, 2);
  memcpy(header + 6, &process, 2);
}

// Only root, or whoever runs the shim, may give it plans to execute.
static bool peer_allowed(int fd) {
  struct ucred peer;
  socklen_t length = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return false;
  return peer.uid == 0 || peer.uid == geteuid();
}

static void welcome(struct client *client) {
  uint32_t hello[4] = {PROTOCOL_VERSION, (uint32_t)getpid(), 0, 0};
  client_send(client, REPLY_HELLO, 0, hello, sizeof hello);
  const struct process *main = process_find(0);
  if (!main) return;
  if (main->moments[MOMENT_CREATED]) tell_created(client, main);
  if (main->started_at) tell_started(client, main);
  if (main->failed) tell_failed(client, main);
  if (main->state == STATE_EXITED) tell_exit(client, main);
}

void clients_accept(struct watch *listener) {
  int count = 0;
  for (const struct client *client = clients; client; client = client->next) count++;
  for (;;) {
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)) return;
    if (fd < 0) {
      watch_set(listener, 0); // out of descriptors or memory: until a client goes, see clients_sweep
      return;
    }
    struct client *client = count < CLIENTS_MAX && peer_allowed(fd) ? calloc(1, sizeof *client) : NULL;
    if (!client) {
      close(fd);
      continue;
    }
    count++;
    client->watch = (struct watch){WATCH_CLIENT, fd, 0, client};
    client->waits_for = WAIT_NOTHING;
    client->next = clients;
    clients = client;
    client_watch(client);
    welcome(client);
  }
}

void client_watch(struct client *client) {
  uint32_t events = client->waits_for == WAIT_NOTHING ? EPOLLIN : 0;
  if (client->out.used > 0) events |= EPOLLOUT;
  if (!client->dead) watch_set(&client->watch, events);
}

struct attachment *client_attachment(struct client *client, uint16_t process) {
  struct attachment *a = client->attachments;
  while (a && a->process != process) a = a->next;
  return a;
}

void client_detach(struct client *client, uint16_t number) {
  struct attachment **link = &client->attachments;
  while (*link && (*link)->process != number) link = &(*link)->next;
  struct attachment *gone = *link;
  if (!gone) return;
  *link = gone->next;
  struct process *process = process_find(number);
  bool once = process && (process->supervision & SUPERVISE_STDIN_ONCE) && !(process->supervision & SUPERVISE_TTY);
  if (once && gone->first_stdin) input_close(process);
  free(gone);
  if (process) streams_hold(process);
}

// Freed by clients_sweep: events of this turn of the loop may still name it. Shut down first, because a child that has
// not reached execve may hold a copy of the descriptor.
void client_close(struct client *client) {
  if (client->dead) return;
  client->dead = true;
  shutdown(client->watch.fd, SHUT_RDWR);
  watch_close(&client->watch);
  buffer_free(&client->in);
  buffer_free(&client->out);
  while (client->attachments) client_detach(client, client->attachments->process);
}

void clients_sweep(struct watch *listener) {
  for (struct client **link = &clients; *link;) {
    struct client *client = *link;
    if (!client->dead) {
      link = &client->next;
      continue;
    }
    *link = client->next;
    free(client);
    watch_set(listener, EPOLLIN);
  }
}

static void queue(struct client *client, const void *data, size_t length) {
  if (client->out.used == 0) client->progress = now_ns();
  if (!buffer_append(&client->out, data, length)) client_close(client);
}

void client_send(struct client *client, uint16_t type, uint16_t process, const void *payload, size_t length) {
  uint8_t header[FRAME_HEADER];
  if (client->dead) return;
  if (client->out.used + FRAME_HEADER + length > CLIENT_MAX) {
    client_close(client);
    return;
  }
  put_header(header, (uint32_t)length, type, process);
  ssize_t sent = 0;
  if (client->out.used == 0) {
    struct iovec parts[2] = {{header, FRAME_HEADER}, {(void *)payload, length}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    sent = sendmsg(client->watch.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
      client_close(client);
      return;
    }
    if (sent < 0) sent = 0;
  }
  size_t done = (size_t)sent;
  if (done == FRAME_HEADER + length) return;
  if (done < FRAME_HEADER) {
    queue(client, header + done, FRAME_HEADER - done);
    done = FRAME_HEADER;
  }
  if (!client->dead) queue(client, (const uint8_t *)payload + (done - FRAME_HEADER), length - (done - FRAME_HEADER));
  client_watch(client);
}

void broadcast(uint16_t type, uint16_t process, const void *payload, size_t length) {
  for (struct client *client = clients; client; client = client->next) client_send(client, type, process, payload, length);
}

static void tell_dropped(struct client *client, struct attachment *attachment) {
  if (attachment->dropped == 0) return;
  uint64_t dropped = attachment->dropped;
  attachment->dropped = 0;
  client_send(client, REPLY_DROPPED, attachment->process, &dropped, sizeof dropped);
}

void clients_output(struct process *process, enum output stream, const uint8_t *data, size_t length) {
  uint8_t bit = stream == OUTPUT_STDOUT ? STREAM_STDOUT : STREAM_STDERR;
  bool lossless = false;
  for (struct client *client = clients; client; client = client->next) {
    struct attachment *a = client->dead ? NULL : client_attachment(client, process->number);
    if (!a || !(a->streams & bit)) continue;
    if (client->out.used + FRAME_HEADER + length > CLIENT_FULL) {
      a->dropped += length;
      continue;
    }
    lossless |= a->lossless;
    tell_dropped(client, a);
    client_send(client, stream == OUTPUT_STDOUT ? REPLY_STDOUT : REPLY_STDERR, process->number, data, length);
  }
  if (lossless) streams_hold(process);
}

void clients_output_end(struct process *process) {
  for (struct client *client = clients; client; client = client->next) {
    struct attachment *a = client->dead ? NULL : client_attachment(client, process->number);
    if (!a || !(a->streams & (STREAM_STDOUT | STREAM_STDERR))) continue;
    tell_dropped(client, a);
    client_send(client, REPLY_OUTPUT_END, process->number, NULL, 0);
  }
}

static void hold_again(struct client *client) {
  for (struct attachment *a = client->attachments; a; a = a->next) {
    struct process *process = process_find(a->process);
    if (process && a->lossless) streams_hold(process);
  }
}

static void flush(struct client *client) {
  while (client->out.used > 0) {
    ssize_t sent = send(client->watch.fd, buffer_data(&client->out), client->out.used, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) break;
    if (sent < 0) {
      client_close(client);
      return;
    }
    client->progress = now_ns();
    buffer_consume(&client->out, (size_t)sent);
  }
  hold_again(client);
  for (struct attachment *a = client->attachments; a && client->out.used == 0; a = a->next) tell_dropped(client, a);
  client_watch(client);
}

static size_t payload_limit(uint16_t type) { return type == REQUEST_EXEC ? PLAN_MAX_LENGTH + 8 : PAYLOAD_MAX; }

// The length of the frame at the front with its header, 0: not known yet, SIZE_MAX: over the limit.
static size_t frame_length(const struct client *client) {
  if (client->in.used < FRAME_HEADER) return 0;
  uint32_t length;
  uint16_t type;
  memcpy(&length, buffer_data(&client->in), 4);
  memcpy(&type, buffer_data(&client->in) + 4, 2);
  return length > payload_limit(type) ? SIZE_MAX : FRAME_HEADER + (size_t)length;
}

void client_parse(struct client *client) {
  while (!client->dead && client->waits_for == WAIT_NOTHING) {
    size_t length = frame_length(client);
    if (length == SIZE_MAX) {
      client_close(client);
      return;
    }
    if (length == 0 || client->in.used < length) break;
    const uint8_t *frame = buffer_data(&client->in);
    uint16_t type, process;
    memcpy(&type, frame + 4, 2);
    memcpy(&process, frame + 6, 2);
    if (!request_take(client, type, process, frame + FRAME_HEADER, length - FRAME_HEADER)) break;
    if (!client->dead) buffer_consume(&client->in, length);
    client->input_done = 0;
  }
  client_watch(client);
}

// Reads what is there, at most a chunk, and does what it asks. Returns whether there was something.
static bool client_read(struct client *client) {
  size_t frame = frame_length(client), room = 4096;
  if (frame > client->in.used) room = frame - client->in.used;
  if (room > CHUNK) room = CHUNK;
  if (room < 4096) room = 4096;
  if (!buffer_reserve(&client->in, room)) {
    client_close(client);
    return false;
  }
  ssize_t length = recv(client->watch.fd, buffer_data(&client->in) + client->in.used, room, MSG_DONTWAIT);
  if (length < 0 && (errno == EAGAIN || errno == EINTR)) {
    if (client->in.used == 0) buffer_free(&client->in);
    return false;
  }
  if (length <= 0) {
    client_close(client);
    return false;
  }
  client->in.used += (size_t)length;
  client_parse(client);
  return true;
}

void client_ready(struct client *client, uint32_t events) {
  if (!client->dead && (events & EPOLLOUT)) flush(client);
  if (client->dead || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
  if (client->waits_for == WAIT_NOTHING) {
    client_read(client);
  } else if (client->out.used > 0) {
    client_close(client); // it has gone, and what it sent last cannot be taken for now: nobody is told of its fate
  } else {
    watch_set(&client->watch, 0);
  }
}

void clients_read_all(void) {
  for (struct client *client = clients; client; client = client->next) {
    for (int i = 0; i < READS_MAX && !client->dead && client->waits_for == WAIT_NOTHING && client_read(client); i++) continue;
  }
}

void clients_resume(int waits_for) {
  for (struct client *client = clients; client; client = client->next) {
    if (client->waits_for == waits_for) client->waits_for = WAIT_RESUMED;
  }
}

void clients_continue(void) {
  for (struct client *client = clients; client; client = client->next) {
    if (client->waits_for != WAIT_RESUMED) continue;
    client->waits_for = WAIT_NOTHING;
    client_parse(client);
  }
}

uint64_t clients_stalled(uint64_t now) {
  uint64_t next = NEVER;
  for (struct client *client = clients; client; client = client->next) {
    if (client->dead || client->out.used < CLIENT_HOLD) continue;
    for (struct attachment *a = client->attachments; a; a = a->next) {
      if (!a->lossless) continue;
      uint64_t until = client->progress + STALL_NS;
      if (until <= now) {
        struct process *process = process_find(a->process);
        a->lossless = false;
        if (process) streams_hold(process);
      } else if (until < next) {
        next = until;
      }
    }
  }
  return next;
}

bool clients_flushed(void) {
  for (const struct client *client = clients; client; client = client->next) {
    if (!client->dead && client->out.used > 0) return false;
  }
  return true;
}
