// What the frames of docs/shim.md ask for, and what their replies are made of.
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "shim.h"

static uint32_t word(const uint8_t *payload, int index) {
  uint32_t value;
  memcpy(&value, payload + 4 * index, sizeof value);
  return value;
}

static void send_or_broadcast(struct client *client, uint16_t type, uint16_t process, const void *payload, size_t length) {
  if (client) {
    client_send(client, type, process, payload, length);
  } else {
    broadcast(type, process, payload, length);
  }
}

void tell_created(struct client *client, const struct process *process) {
  uint8_t payload[8 + 8 * MOMENTS] = {0};
  memcpy(payload, &process->pid, 4);
  memcpy(payload + 8, process->moments, sizeof process->moments);
  send_or_broadcast(client, REPLY_CREATED, process->number, payload, sizeof payload);
}

void tell_started(struct client *client, const struct process *process) {
  uint8_t payload[16] = {0};
  memcpy(payload, &process->pid, 4);
  memcpy(payload + 8, &process->started_at, 8);
  send_or_broadcast(client, REPLY_STARTED, process->number, payload, sizeof payload);
}

void tell_failed(struct client *client, const struct process *process) {
  uint8_t payload[16 + 128];
  uint32_t words[4] = {process->section, process->index, (uint32_t)process->error, 0};
  size_t length = strnlen(process->text, 128);
  memcpy(payload, words, sizeof words);
  memcpy(payload + sizeof words, process->text, length);
  send_or_broadcast(client, REPLY_FAILED, process->number, payload, sizeof words + length);
}

void tell_exit(struct client *client, const struct process *process) {
  uint8_t payload[20];
  uint32_t never = process->failed;
  memcpy(payload, &process->wait_status, 4);
  memcpy(payload + 4, &process->exit_flags, 4);
  memcpy(payload + 8, &process->exited_at, 8);
  memcpy(payload + 16, &never, 4);
  send_or_broadcast(client, REPLY_EXIT, process->number, payload, sizeof payload);
}

static void refuse(struct client *client, uint32_t type, uint16_t process, int error, const char *text) {
  uint8_t payload[8 + 64];
  size_t length = strnlen(text, 64);
  memcpy(payload, &type, 4);
  memcpy(payload + 4, &error, 4);
  memcpy(payload + 8, text, length);
  client_send(client, REPLY_ERROR, process, payload, 8 + length);
}

static bool attach(struct client *client, struct process *process, uint32_t streams, bool lossless) {
  if (client_attachment(client, process->number)) client_detach(client, process->number);
  struct attachment *a = calloc(1, sizeof *a);
  if (!a) return false;
  a->process = process->number;
  a->streams = (uint8_t)(streams & STREAM_ALL);
  a->lossless = lossless && (streams & (STREAM_STDOUT | STREAM_STDERR));
  a->first_stdin = (streams & STREAM_STDIN) && !process->stdin_claimed;
  process->stdin_claimed |= a->first_stdin;
  a->next = client->attachments;
  client->attachments = a;
  bool over = process->state >= STATE_CREATED && streams_ended(process);
  if (over && (streams & (STREAM_STDOUT | STREAM_STDERR))) client_send(client, REPLY_OUTPUT_END, process->number, NULL, 0);
  return true;
}

static void request_start(struct process *process) {
  process->start_asked = true;
  if (process->state == STATE_CREATED) release_soon(process);
}

static void request_kill(struct client *client, struct process *process, uint16_t number, uint32_t signal, bool all) {
  int error = 0;
  if (process) (void)process_succeeded(process);
  if (all) {
    error = kill_all((int)signal);
  } else if (!process || process->pid <= 0 || process->reaped) {
    error = ESRCH;
  } else if (kill(process->pid, (int)signal) != 0) {
    error = errno;
  }
  if (error != 0) refuse(client, REQUEST_KILL, number, error, "kill");
}

// A plan that fails still becomes a process: EXECED, FAILED and EXIT tell of it in order.
static bool request_exec(struct client *client, const uint8_t *payload, size_t length) {
  for (const struct process *other = processes; other; other = other->next) {
    if (other->state != STATE_CREATING || other->reaped || (other->handed && !other->setup.shared)) continue;
    // Its hand-shake socket is still in the table that a new child would copy, and so would not be seen to close.
    client->waits_for = WAIT_LAUNCH;
    return false;
  }
  uint32_t words[2] = {word(payload, 0), 0}, streams = word(payload, 1);
  const struct process *main = process_find(0);
  uint16_t number = main && !main->reaped && !main->failed ? process_number() : 0;
  struct process *process = number ? process_new(number) : NULL;
  size_t size = length - 8;
  void *bytes = process && size > 0 ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) : MAP_FAILED;
  if (bytes == MAP_FAILED) {
    if (process) process->state = STATE_EXITED;
    refuse(client, REQUEST_EXEC, number, number ? ENOMEM : ESRCH, number ? "no memory for the plan" : "the container is not running");
    return true;
  }
  memcpy(bytes, payload + 8, size);
  client_send(client, REPLY_EXECED, number, words, sizeof words);
  if (streams & STREAM_ALL) attach(client, process, streams, (streams & EXEC_LOSSLESS) != 0);
  struct plan_error error;
  process->moments[MOMENT_START] = now_ns();
  if (plan_decode(&process->plan, bytes, size, &error)) {
    process->moments[MOMENT_DECODED] = now_ns();
    process_launch(process);
    return true;
  }
  process->plan = (struct plan){.bytes = bytes, .length = (uint32_t)size};
  process_fail(process, SECTION_DECODE, error.index, EINVAL, error.text);
  plan_free(&process->plan);
  process_ended(process, 255 << 8);
  return true;
}

static void request_status(struct client *client) {
  struct buffer payload = {0};
  status_append(&payload);
  client_send(client, REPLY_STATUS, 0, payload.used ? buffer_data(&payload) : NULL, payload.used);
  buffer_free(&payload);
}

static bool request_stdin(struct client *client, struct process *process, const uint8_t *payload, size_t length) {
  const struct attachment *a = client_attachment(client, process->number);
  if (!a || !(a->streams & STREAM_STDIN)) {
    refuse(client, REQUEST_STDIN, process->number, EBADF, "not attached to its input");
    return true;
  }
  if (length == 0) {
    if (!(process->supervision & SUPERVISE_TTY)) input_close(process);
    return true;
  }
  bool early = (process->supervision & SUPERVISE_TTY) && process->state == STATE_CREATING;
  if (!early && input_write(process, payload, length, &client->input_done)) return true;
  client->waits_for = process->number;
  return false;
}

// Payloads at least as long as the fields this version knows.
static size_t least(uint16_t type) {
  switch ((enum request)type) {
    case REQUEST_HELLO:
    case REQUEST_RESIZE:
    case REQUEST_LOGS:
      return 4;
    case REQUEST_ATTACH:
    case REQUEST_KILL:
    case REQUEST_EXEC:
      return 8;
    case REQUEST_UPDATE:
      return 12;
    case REQUEST_START:
    case REQUEST_DETACH:
    case REQUEST_STDIN:
    case REQUEST_STATUS:
    case REQUEST_RELEASE:
      return 0;
  }
  return 0;
}

// Requests to one process.
static bool process_request(struct client *client, enum request type, struct process *process, const uint8_t *payload,
                            size_t length) {
  switch (type) {
    case REQUEST_START:
      request_start(process);
      return true;
    case REQUEST_ATTACH:
      if (!attach(client, process, word(payload, 0), (word(payload, 1) & ATTACH_LOSSLESS) != 0)) client_close(client);
      return true;
    case REQUEST_STDIN:
      return request_stdin(client, process, payload, length);
    case REQUEST_RESIZE: {
      struct winsize size = {0};
      memcpy(&size.ws_row, payload, 2);
      memcpy(&size.ws_col, payload + 2, 2);
      resize(process, &size);
      return true;
    }
    case REQUEST_LOGS:
      log_reopen(&process->log);
      return true;
    case REQUEST_UPDATE:
      memcpy(&process->log.limit, payload, 8);
      if (word(payload, 2) > 0) process->log.files = word(payload, 2);
      return true;
    case REQUEST_HELLO:
    case REQUEST_DETACH:
    case REQUEST_KILL:
    case REQUEST_EXEC:
    case REQUEST_STATUS:
    case REQUEST_RELEASE:
      return true;
  }
  return true;
}

bool request_take(struct client *client, uint16_t type, uint16_t number, const uint8_t *payload, size_t length) {
  if (length < least(type)) {
    client_close(client);
    return true;
  }
  struct process *process = process_find(number);
  switch ((enum request)type) {
    case REQUEST_HELLO:
      return true;
    case REQUEST_DETACH:
      client_detach(client, number);
      return true;
    case REQUEST_KILL:
      request_kill(client, process, number, word(payload, 0), (word(payload, 1) & KILL_ALL) != 0);
      return true;
    case REQUEST_EXEC:
      return request_exec(client, payload, length);
    case REQUEST_STATUS:
      request_status(client);
      return true;
    case REQUEST_RELEASE:
      released = true;
      return true;
    case REQUEST_START:
    case REQUEST_ATTACH:
    case REQUEST_STDIN:
    case REQUEST_RESIZE:
    case REQUEST_LOGS:
    case REQUEST_UPDATE:
      if (process) return process_request(client, (enum request)type, process, payload, length);
      if (type != REQUEST_STDIN) refuse(client, type, number, ESRCH, "no such process");
      return true;
  }
  return true; // an unknown type: a newer engine's
}
