// onggi-shim: executes one container's plan, then supervises it. Start, loop, end; the contract is docs/shim.md.
//
// It runs as the engine does (root, or an unprivileged user), in the host's namespaces, with the engine's rights. It takes
// orders from the engine (a plan, frames on a socket that only its own user and root may use) and bytes from the
// container (output, which it never interprets). It is not dumpable: a process in the container that shares its user
// cannot reach it, or the child before execve, through /proc.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "calls.h"
#include "init.h"
#include "oneshot.h"
#include "shim.h"

#define EVENTS 16
#define STATUS_BAD_PLAN 64
#define SHIM_NAME "onggi-shim"

bool released;
int passed;
bool memory_dirty;

static int set = -1;          // epoll
static int child_event = -1;  // counts up when a child has ended
static bool release_waits;
static uint64_t ended_at;     // monotonic; 0: process 0 is alive
static const char *id = "?";
static struct watch listener = {WATCH_LISTEN, FD_LISTEN, 0, NULL};
static struct watch signals = {WATCH_SIGNAL, -1, 0, NULL};
static struct {
  void *start;
  size_t length;
} memory[MEMORY_SLOTS];

uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

static char *append(char *out, const char *end, const char *text) {
  while (*text && out < end) *out++ = *text++;
  return out;
}

void complain(const char *what, int error) {
  char line[256], digits[12], *out = line, *first = digits + sizeof digits;
  const char *end = line + sizeof line - 1;
  *--first = 0;
  for (unsigned rest = (unsigned)error; rest > 0 || *first == 0; rest /= 10) *--first = (char)('0' + rest % 10);
  out = append(out, end, "onggi-shim ");
  out = append(out, end, id);
  out = append(out, end, ": ");
  out = append(out, end, what);
  out = append(out, end, ": errno ");
  out = append(out, end, first);
  *out++ = '\n';
  (void)!write(2, line, (size_t)(out - line));
}

void watch_set(struct watch *watch, uint32_t events) {
  if (watch->fd < 0 || watch->events == events) return;
  struct epoll_event event = {.events = events, .data.ptr = watch};
  // A plain file in a control file's place is never waited for (EPERM), only read at the end.
  int op = watch->events == 0 ? EPOLL_CTL_ADD : events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
  if (epoll_ctl(set, op, watch->fd, &event) != 0) {
    if (errno == EPERM) return;
    complain("cannot watch a descriptor", errno);
  }
  watch->events = events;
}

void watch_close(struct watch *watch) {
  if (watch->fd < 0) return;
  watch_set(watch, 0); // a copy of the descriptor in a child would keep it in the set
  close(watch->fd);
  watch->fd = -1;
}

void *memory_active(int slot, size_t length) {
  if (memory[slot].start) return memory[slot].start;
  void *start = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) return NULL;
  memory[slot].start = start;
  memory[slot].length = length;
  return start;
}

static void memory_give_back(void) {
  for (int i = 0; i < MEMORY_SLOTS; i++) {
    if (memory[i].start) (void)madvise(memory[i].start, memory[i].length, MADV_DONTNEED);
  }
  memory_dirty = false;
}

void release_soon(struct process *process) { process->release_due = release_waits = true; }

static void run_releases(void) {
  release_waits = false;
  clients_accept(&listener);
  clients_read_all();
  for (struct process *process = processes; process; process = process->next) {
    if (process->release_due) process_release(process);
  }
}

static void on_child(int signal) {
  (void)signal;
  int error = errno;
  uint64_t one = 1;
  (void)!write(child_event, &one, sizeof one);
  errno = error;
}

static void on_signal(int signal) { (void)signal; }

// Signals that would end the shim are handled, not ignored or blocked: what is ignored or blocked passes through execve to
// the container, and the child could only undo it by calls that are not in its plan.
static void arrange_signals(void) {
  static const int harmless[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2, SIGALRM, SIGXFSZ, SIGTTOU, SIGTTIN, SIGTSTP};
  struct sigaction action = {.sa_handler = SIG_DFL, .sa_flags = SA_RESTART};
  // the kernel's own call: libc keeps 32 and 33 for itself, and whoever started the engine may have them ignored
  static const unsigned long all_default[4];
  for (int signal = 1; signal < 65; signal++) syscall(SYS_rt_sigaction, signal, all_default, NULL, sizeof(uint64_t));
  action.sa_handler = on_signal;
  for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++) sigaction(harmless[i], &action, NULL);
  action.sa_handler = on_child;
  action.sa_flags |= SA_NOCLDSTOP;
  sigaction(SIGCHLD, &action, NULL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

// Whoever else runs this program, a container that got hold of it for one, has given it no socket to serve.
static bool called_by_engine(void) {
  int listening = 0;
  socklen_t length = sizeof listening;
  return getsockopt(FD_LISTEN, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) == 0 && listening;
}

static bool start_up(void) {
  if (!called_by_engine()) return false;
  while (passed < PASSED_MAX && fcntl(FD_PASSED + passed, F_GETFD) != -1) passed++;
  if (syscall(SYS_close_range, FD_PASSED + passed, ~0u, 0) != 0) return false;
  if (syscall(SYS_close_range, 3, ~0u, RANGE_CLOEXEC) != 0) return false;
  (void)setsid();
  (void)!chdir("/");
  (void)prctl(PR_SET_NAME, SHIM_NAME, 0, 0, 0); // it runs from memory, so the kernel knows no name
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) return false;
  set = epoll_create1(EPOLL_CLOEXEC);
  child_event = signals.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (set < 0 || child_event < 0) return false;
  arrange_signals();
  if (fcntl(FD_LISTEN, F_SETFL, O_NONBLOCK) != 0) return false;
  watch_set(&listener, EPOLLIN);
  watch_set(&signals, EPOLLIN);
  return true;
}

// The plan into memory of its own: whoever holds the file cannot change it after it was checked.
static uint8_t *read_plan(size_t *length) {
  struct stat status;
  if (fstat(FD_PLAN, &status) != 0) return NULL;
  if (status.st_size <= 0 || status.st_size > PLAN_MAX_LENGTH) {
    errno = EFBIG;
    return NULL;
  }
  *length = (size_t)status.st_size;
  uint8_t *bytes = mmap(NULL, *length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (bytes == MAP_FAILED) return NULL;
  for (size_t done = 0; done < *length;) {
    ssize_t got = pread(FD_PLAN, bytes + done, *length - done, (off_t)done);
    if (got <= 0) break; // what is missing stays zero, and the decoder says so
    done += (size_t)got;
  }
  close(FD_PLAN);
  return bytes;
}

// Makes process 0 of the plan. False when there is none, and everybody is told.
static bool launch_main(struct process *main) {
  size_t length = 0;
  struct plan_error error = {"cannot be read", NO_INDEX};
  uint8_t *bytes = read_plan(&length);
  if (bytes && plan_decode(&main->plan, bytes, length, &error)) {
    main->moments[MOMENT_DECODED] = now_ns();
    process_launch(main);
    return true;
  }
  process_fail(main, SECTION_DECODE, error.index, bytes ? EINVAL : errno, error.text);
  process_ended(main, STATUS_BAD_PLAN << 8);
  return false;
}

static void dispatch(struct watch *watch, uint32_t events) {
  if (watch->fd < 0) return; // closed by an earlier event of this turn
  uint64_t count;
  switch (watch->kind) {
    case WATCH_LISTEN:
      clients_accept(watch);
      return;
    case WATCH_SIGNAL:
      (void)!read(watch->fd, &count, sizeof count);
      processes_reap();
      return;
    case WATCH_CLIENT:
      client_ready(watch->owner, events);
      return;
    case WATCH_SYNC:
      process_hear(watch->owner, false);
      return;
    case WATCH_INPUT:
      input_ready(watch->owner);
      return;
    case WATCH_STDOUT:
      stream_ready(watch->owner, OUTPUT_STDOUT);
      return;
    case WATCH_STDERR:
      stream_ready(watch->owner, OUTPUT_STDERR);
      return;
    case WATCH_CONSOLE:
      console_ready(watch->owner);
      return;
    case WATCH_OOM:
      oom_ready(watch->owner);
      return;
  }
}

// Whether all is done: the exit is told to whoever is there, or written down for whoever comes.
static bool over(const struct process *main, bool execs, uint64_t now) {
  if (main->state != STATE_EXITED) return false;
  if (ended_at == 0) ended_at = now;
  if (now >= ended_at + LINGER_NS) return true;
  clients_accept(&listener);
  clients_read_all();
  return !execs && (released || (clients_flushed() && (clients || main->exit_path)));
}

static int timeout_ms(uint64_t next, uint64_t now) {
  if (ended_at != 0 && ended_at + LINGER_NS < next) next = ended_at + LINGER_NS;
  if (next == NEVER) return -1;
  return next <= now ? 0 : (int)((next - now) / 1000000 + 1);
}

static void serve(const struct process *main) {
  struct epoll_event events[EVENTS];
  for (int timeout = 0;;) {
    int count = epoll_wait(set, events, EVENTS, memory_dirty ? 0 : timeout);
    if (count == 0 && memory_dirty) memory_give_back();
    for (int i = 0; i < count; i++) dispatch(events[i].data.ptr, events[i].events);
    clients_continue();
    if (release_waits) run_releases();
    uint64_t now = now_ns();
    uint64_t stalled = clients_stalled(now), timers = processes_timers(now);
    bool execs = processes_sweep();
    clients_sweep(&listener);
    if (over(main, execs, now)) return;
    timeout = timeout_ms(stalled < timers ? stalled : timers, now);
  }
}

// The name a program is called by, without the directories.
static bool called(const char *path, const char *name) {
  const char *slash = strrchr(path, '/');
  return strcmp(slash ? slash + 1 : path, name) == 0;
}

int main(int count, char **arguments, char **environment) {
  uint64_t started = now_ns();
  if (count == 3 && called(arguments[0], ONESHOT_NAME)) oneshot_main(atoi(arguments[1]), atoi(arguments[2]));
  if (count > 1 && called(arguments[0], INIT_NAME)) init_main(arguments);
  if (count < 1 || !called(arguments[0], SHIM_NAME)) return front_main(arguments, environment);
  if (count > 1) id = arguments[1];
  if (!start_up()) {
    complain("cannot start: it is the engine that runs this program, see docs/shim.md", errno);
    _exit(64);
  }
  struct process *main = process_new(0);
  if (!main) _exit(71);
  main->moments[MOMENT_START] = started;
  bool launched = launch_main(main);
  serve(main);
  _exit(launched ? 0 : STATUS_BAD_PLAN);
}
