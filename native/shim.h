// What the parts of onggi-shim share. The contract with the engine is docs/shim.md.
//
//   main.c     start, the loop, signals, timers, the end
//   clone.c    sets a process up: streams, plan, hand-shake; setup.c carries the plan out
//   runtime.c  a process that an OCI runtime makes
//   process.c  the processes there are, reaping, signals to all of them
//   streams.c  output to log and clients, input from clients
//   clients.c  connections and their frames; requests.c what the frames ask for
//   exit.c     drain, exit record
//   log.c      log files
//
// One thread, one epoll set. Nothing here blocks but fsync of the exit record and the operations of a plan.
#ifndef ONGGI_SHIM_H
#define ONGGI_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/types.h>

#include "buffer.h"
#include "log.h"
#include "setup.h"

#define FD_LISTEN 3
#define FD_PLAN 4
#define FD_STATE 5
#define FD_PASSED 6
#define PASSED_MAX 16

#define PROTOCOL_VERSION 1
#define FRAME_HEADER 8
#define PAYLOAD_MAX (1u << 20)
#define CHUNK 65536
#define PIPE_SIZE (256 << 10)
// A client's unsent bytes: a lossless one holds the process back from here on, output is dropped from here on, and a
// client that lets even events pile up to here is cut off.
#define CLIENT_HOLD (256u << 10)
#define CLIENT_FULL (960u << 10)
#define CLIENT_MAX (1u << 20)
#define CLIENTS_MAX 256
#define DRAIN_NS 200000000ull
#define LINGER_NS 10000000000ull
#define PTY_RETRY_NS 100000000ull
#ifndef STALL_NS // the sanitizer build shortens it, for the tests
#define STALL_NS 60000000000ull
#endif
#define EXITED_MAX 64
#define NEVER UINT64_MAX

enum request {
  REQUEST_HELLO = 1,
  REQUEST_START,
  REQUEST_ATTACH,
  REQUEST_DETACH,
  REQUEST_STDIN,
  REQUEST_RESIZE,
  REQUEST_KILL,
  REQUEST_EXEC,
  REQUEST_STATUS,
  REQUEST_LOGS,
  REQUEST_RELEASE,
  REQUEST_UPDATE,
};

enum reply {
  REPLY_HELLO = 64,
  REPLY_CREATED,
  REPLY_STARTED,
  REPLY_FAILED,
  REPLY_STDOUT,
  REPLY_STDERR,
  REPLY_EXIT,
  REPLY_DROPPED,
  REPLY_EXECED,
  REPLY_ERROR,
  REPLY_STATUS,
  REPLY_OUTPUT_END,
};

enum stream_bits { STREAM_STDIN = 1, STREAM_STDOUT = 2, STREAM_STDERR = 4, STREAM_ALL = 7 };
enum { ATTACH_LOSSLESS = 1, EXEC_LOSSLESS = 8, KILL_ALL = 1, EXIT_OOM = 1, EXIT_SETUP_FAILED = 2 };

// What a client that is not read from waits for, besides a process's input: nothing, another set-up's end, its turn.
enum { WAIT_NOTHING = -1, WAIT_LAUNCH = -2, WAIT_RESUMED = -3 };

// A descriptor in the epoll set, with what is done when it is ready.
enum watch_kind { WATCH_LISTEN, WATCH_SIGNAL, WATCH_CLIENT, WATCH_SYNC, WATCH_INPUT, WATCH_STDOUT, WATCH_STDERR, WATCH_OOM, WATCH_CONSOLE };
struct watch {
  enum watch_kind kind;
  int fd; // -1: none
  uint32_t events;
  void *owner;
};

enum state { STATE_CREATING = 1, STATE_CREATED, STATE_RUNNING, STATE_EXITED };
enum moment { MOMENT_START, MOMENT_DECODED, MOMENT_CLONED, MOMENT_SET_UP, MOMENT_CREATED, MOMENTS };

struct process {
  struct process *next;
  uint16_t number;
  enum state state;
  uint32_t supervision;
  pid_t pid; // 0: not cloned
  bool start_asked, release_due;
  bool failed, reaped, held, stdin_claimed;
  struct plan plan;
  struct setup setup; // `shared` is set while it is set up
  struct watch sync, in, out[2], oom;
  char *pid_path, *console_path; // while a runtime makes the process; see runtime.c
  bool handed;                   // the runtime has its descriptors
  bool adopted;                  // it is what a runtime has made
  struct watch console;          // where the runtime sends the terminal
  struct log log;
  char *exit_path;
  enum section section; // where set-up failed, with index, errno and a word about it
  uint32_t index;
  int error;
  const char *text;
  uint64_t moments[MOMENTS], started_at;
  int wait_status;
  uint32_t exit_flags;
  uint64_t exited_at;
  uint64_t drain_until; // once it is reaped, while output may still come
  uint64_t pty_retry;   // a terminal that nobody holds open: when to look again
  struct winsize size;
};

struct attachment {
  struct attachment *next;
  uint16_t process;
  uint8_t streams;
  bool lossless;
  bool first_stdin; // of all that ever attached to this process's input
  uint64_t dropped;
};

struct client {
  struct client *next;
  struct watch watch;
  struct buffer in, out;
  struct attachment *attachments;
  int waits_for;     // process whose input is full while a STDIN frame is at the front of `in`, or a WAIT_ value
  size_t input_done; // bytes of that frame already written
  uint64_t progress; // when it last took something, while it has something to take
  bool dead;
};

extern struct process *processes;
extern struct client *clients;
extern bool released; // the engine needs the shim no more
extern int passed;    // descriptors the engine gave for registers

// main.c
uint64_t now_ns(void);
void complain(const char *what, int error);
// Sets the events a descriptor is watched for; 0 takes it out of the set.
void watch_set(struct watch *watch, uint32_t events);
void oom_ready(struct process *process);
// Takes it out of the set and closes it.
void watch_close(struct watch *watch);
// Memory for moving data, one piece per slot, mapped once. Its pages go back to the kernel when the loop has nothing to
// do and memory_dirty is set. NULL when there is none.
enum { MEMORY_CHUNK, MEMORY_BATCH, MEMORY_SLOTS };
void *memory_active(int slot, size_t length);
extern bool memory_dirty;
// Runs the release of `start` after every frame that was sent before it.
void release_soon(struct process *process);

// clone.c
void process_launch(struct process *process);
void process_release(struct process *process);
// Takes what the child has said; `ended`: it is known to have exited.
void process_hear(struct process *process, bool ended);
// Whether a process that was cloned has been succeeded by one that it forked: that one is the process from then on.
bool process_succeeded(struct process *process);

// runtime.c
// Readies the places where the plan's runtime, if it has one, leaves its word. False with errno.
bool runtime_prepare(struct process *process);
// Whether a runtime is at work, and `pid` is its own.
bool runtime_works(const struct process *process);
// The process's pid has ended with this status. True: it was a runtime's, and the process that it has made is in its place.
bool runtime_ended(struct process *process, int wait_status);
// The process that a runtime has made has been started.
void runtime_started(struct process *process);
void runtime_forget(struct process *process);
void console_ready(struct process *process);

// process.c
struct process *process_new(uint16_t number);
struct process *process_find(uint16_t number);
// A number no living process and no remembered exit has; 0: none is left.
uint16_t process_number(void);
void processes_reap(void);
// Forgets execs whose end everybody has been told. Returns whether a process other than 0 is left.
bool processes_sweep(void);
// Signals every descendant of the shim. Returns 0 or an errno.
int kill_all(int signal);
// STATUS of every process, and of execs that have ended.
void status_append(struct buffer *buffer);

// streams.c
bool streams_open(struct process *process, int child[3]);
// Begins to take output. A runtime's own, before the process is there, is not taken.
void streams_watch(struct process *process);
void stream_ready(struct process *process, enum output stream);
void streams_hold(struct process *process);
void streams_drain(struct process *process, bool last);
bool streams_ended(const struct process *process);
void streams_close(struct process *process);
void pty_adopt(struct process *process, int master);
void input_close(struct process *process);
// Writes input. False: the process does not take more now; `done` says how much it took.
bool input_write(struct process *process, const uint8_t *data, size_t length, size_t *done);
void input_ready(struct process *process);
void resize(struct process *process, const struct winsize *size);

// clients.c
void clients_accept(struct watch *listener);
void client_ready(struct client *client, uint32_t events);
void client_parse(struct client *client);
void client_watch(struct client *client);
// Frees the closed ones; accepts again if there were any.
void clients_sweep(struct watch *listener);
// Those that wait for this may go on, at the end of this turn of the loop: see clients_continue.
void clients_resume(int waits_for);
void clients_continue(void);
void clients_read_all(void);
void client_close(struct client *client);
void client_detach(struct client *client, uint16_t process);
struct attachment *client_attachment(struct client *client, uint16_t process);
void client_send(struct client *client, uint16_t type, uint16_t process, const void *payload, size_t length);
void broadcast(uint16_t type, uint16_t process, const void *payload, size_t length);
void clients_output(struct process *process, enum output stream, const uint8_t *data, size_t length);
void clients_output_end(struct process *process);
// Turns lossless clients that have stood still too long into ordinary ones. Returns when to look again.
uint64_t clients_stalled(uint64_t now);
bool clients_flushed(void);

// requests.c
// Does what a frame asks. False: it cannot be done yet, the client waits for a process's input.
bool request_take(struct client *client, uint16_t type, uint16_t process, const uint8_t *payload, size_t length);
void tell_created(struct client *client, const struct process *process);
void tell_started(struct client *client, const struct process *process);
void tell_failed(struct client *client, const struct process *process);
void tell_exit(struct client *client, const struct process *process);

// exit.c
void process_fail(struct process *process, enum section section, uint32_t index, int error, const char *text);
// The process is gone: drains its output, then finishes it.
void process_ended(struct process *process, int wait_status);
// Ends what waits for output. Returns when to look again.
uint64_t processes_timers(uint64_t now);

#endif
